/** One task on one host, from the caller's side. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Task, TaskState } from '../../schemas/task.ts';
import { eventPattern } from '../bus/names.ts';
import type { Calls } from './calls.ts';
import { CallTimeout, HostUnreachable } from './errors.ts';
import type { Subscription } from './subscription.ts';
import type { TaskHandle, WaitOptions } from './types.ts';

/** How long one waitTask lasts: a host that was restarted in between is noticed after that. */
const waitChunkMs = 10_000;
const answerMarginMs = 5_000;
/** When nothing was heard for so long, the host is asked: an event can be dropped while the broker is away. */
const silenceMs = 10_000;
/** How long a host may be away before whoever follows a task is told. */
const unreachableMs = 30_000;
const retryMs = 500;

export class RemoteTask implements TaskHandle {
  readonly taskId: string;
  readonly #hostId: string;
  readonly #calls: Calls;
  readonly #subscribe: (patterns: string[]) => Subscription;

  constructor(hostId: string, taskId: string, calls: Calls, subscribe: (patterns: string[]) => Subscription) {
    this.#hostId = hostId;
    this.taskId = taskId;
    this.#calls = calls;
    this.#subscribe = subscribe;
  }

  async status(): Promise<Task> {
    return (await this.#calls.call(this.#hostId, 'getTaskStatus', { taskId: this.taskId })) as Task;
  }

  async wait(options: WaitOptions = {}): Promise<Task> {
    const deadline = new Deadline(this.taskId, options);
    for (;;) {
      const timeout = Math.min(waitChunkMs, deadline.leftMs());
      const task = await deadline.orAbort(
        this.#patiently(deadline, () =>
          this.#calls.call(
            this.#hostId,
            'waitTask',
            { taskId: this.taskId, timeout: Math.ceil(timeout) },
            {
              timeout: timeout + answerMarginMs,
            },
          ),
        ),
      );
      if (isEnded(task)) return task;
      deadline.check();
    }
  }

  async cancel(): Promise<{ taskId: string; state: TaskState }> {
    const answer = await this.#calls.call(this.#hostId, 'cancelTask', { taskId: this.taskId });
    return answer as { taskId: string; state: TaskState };
  }

  async *follow(options: WaitOptions = {}): AsyncGenerator<Task> {
    const deadline = new Deadline(this.taskId, options);
    // The host's own events show a restart at the latest with the next heartbeat.
    const events = this.#subscribe([
      eventPattern({ host: this.#hostId, kind: 'task', id: this.taskId }),
      eventPattern({ host: this.#hostId, kind: 'host' }),
    ]);
    let mustAsk = true;
    events.onGap(() => {
      mustAsk = true;
    });
    let bootId: string | undefined;
    try {
      await deadline.orAbort(events.ready);
      for (;;) {
        if (mustAsk) {
          mustAsk = false;
          const task = await deadline.orAbort(this.#patiently(deadline, () => this.status()));
          bootId = task.bootId;
          yield task;
          if (isEnded(task)) return;
        }
        const event = await deadline.orAbort(events.next(Math.min(silenceMs, deadline.leftMs())));
        deadline.check();
        if (event === undefined || event.bootId !== bootId) {
          mustAsk = true;
        } else if (event.kind === 'task') {
          const task = event.data as Task;
          yield task;
          if (isEnded(task)) return;
        }
      }
    } finally {
      await events.close();
    }
  }

  /** Asks again while the host is away for a short time, as after a restart of the broker. */
  async #patiently(deadline: Deadline, ask: () => Promise<unknown>): Promise<Task> {
    const giveUpMs = performance.now() + unreachableMs;
    for (;;) {
      try {
        return (await ask()) as Task;
      } catch (error) {
        const passing = error instanceof HostUnreachable || error instanceof CallTimeout;
        if (!passing || performance.now() >= giveUpMs) throw error;
        deadline.check();
        await sleep(retryMs);
      }
    }
  }
}

function isEnded(task: Task): boolean {
  return task.finishedAt !== undefined;
}

/** The end of somebody's patience: a time-out, a signal, or neither. */
class Deadline {
  readonly #taskId: string;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #atMs: number;

  constructor(taskId: string, { timeout = Number.POSITIVE_INFINITY, signal }: WaitOptions) {
    this.#taskId = taskId;
    this.#timeoutMs = timeout;
    this.#signal = signal;
    this.#atMs = performance.now() + timeout;
  }

  leftMs(): number {
    return Math.max(0, this.#atMs - performance.now());
  }

  check(): void {
    this.#signal?.throwIfAborted();
    if (performance.now() >= this.#atMs) throw new CallTimeout(this.#taskId, this.#timeoutMs);
  }

  /** The work's outcome, or the signal's reason if that comes first. */
  async orAbort<T>(work: Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return work;
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort);
    try {
      return await Promise.race([work, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
      work.catch(() => {});
    }
  }
}
