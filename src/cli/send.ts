/** Calling a verb, and staying with its task where that is wanted; what `call` and the friendlier commands share. */
import { HostbusError } from '../../schemas/errors.ts';
import type { Task } from '../../schemas/task.ts';
import { CallTimeout } from '../client/errors.ts';
import type { Host } from '../client/types.ts';
import type { Context } from './context.ts';
import { followTask, throwUnlessSucceeded } from './follow.ts';

/** How long an answer may take before a followed task is looked at without it. */
const patienceMs = 1000;

export interface Sending {
  readonly method: string;
  readonly params: unknown;
  /** @default a new one, of 16 letters and digits */
  readonly taskId?: string | undefined;
  readonly follow: boolean;
  /** Queries leave no task that could go on. */
  readonly query: boolean;
}

export type Sent =
  | { readonly kind: 'answer'; readonly answer: unknown }
  | { readonly kind: 'task'; readonly task: Task };

/**
 * Calls; with `follow`, shows the task until it has succeeded.
 * @throws what the client library throws, and TaskFailed, TaskCancelled, Interrupted
 */
export async function send(context: Context, host: Host, sending: Sending): Promise<Sent> {
  const { method, params, query } = sending;
  const taskId = sending.taskId ?? (await newTaskId());
  Object.assign(context.doing, { hostId: host.hostId, method, ...(query ? {} : { taskId }) });
  const startedMs = performance.now();
  const following = sending.follow && !query;
  // a task that is being followed has no time limit, unless the user gave one
  const limitMs = following ? context.options.timeoutMs : context.timeoutMs;
  const answer = context.untilStopped(
    host.callUntyped(method, params ?? {}, {
      taskId,
      timeout: limitMs ?? maxTimerMs,
      signal: context.signal,
    }),
  );
  if (!following) {
    const value = await answer;
    delete context.doing.taskId;
    return { kind: 'answer', answer: value };
  }
  answer.catch(() => undefined); // it is awaited below, perhaps after the task was followed for hours
  const answered = await answeredWithin(answer, patienceMs);
  const remainingMs =
    limitMs === undefined ? undefined : Math.max(1, limitMs - (performance.now() - startedMs));
  const task = await follow(context, host, taskId, remainingMs, answer, answered);
  delete context.doing.taskId;
  throwUnlessSucceeded(task);
  return { kind: 'task', task };
}

/** The longest that Node's timers can wait, about 24 days. */
const maxTimerMs = 2_147_483_647;

async function answeredWithin(answer: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(resolve, ms, false);
  try {
    return await Promise.race([answer.then(() => true as const), promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A refusal that arrives while a task of that ID is looked at wins: the task is then another caller's. */
async function follow(
  context: Context,
  host: Host,
  taskId: string,
  timeoutMs: number | undefined,
  answer: Promise<unknown>,
  accepted: boolean,
): Promise<Task> {
  if (accepted) return followTask(context, host, taskId, { timeoutMs, accepted });
  const refused = answer.then(
    () => new Promise<never>(() => undefined),
    (error: unknown) => {
      if (error instanceof HostbusError && error.name !== 'Cancelled') throw error;
      return new Promise<never>(() => undefined);
    },
  );
  const followed = followTask(context, host, taskId, { timeoutMs, accepted }).catch(
    async (error: unknown) => {
      // not taken on yet, or gone: the answer tells
      if (error instanceof HostbusError && error.name === 'TaskNotFound') {
        await answer;
        return followTask(context, host, taskId, { timeoutMs, accepted: true });
      }
      throw error instanceof CallTimeout ? new CallTimeout(taskId, context.timeoutMs) : error;
    },
  );
  followed.catch(() => undefined);
  return Promise.race([followed, refused]);
}

/** Without `-` and `_`: it can be typed, read aloud, and never looks like an option. */
export async function newTaskId(): Promise<string> {
  const { customAlphabet } = await import('nanoid');
  return customAlphabet('0123456789abcdefghijklmnopqrstuvwxyz', 16)();
}
