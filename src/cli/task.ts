/** `hostbus task …`: looking at tasks, waiting for them, asking them to stop. */
import type { Task } from '../../schemas/task.ts';
import { formatQuantity, formatSeconds } from '../lib/units.ts';
import { allPages, ask } from './ask.ts';
import type { Context } from './context.ts';
import { followTask, throwUnlessSucceeded } from './follow.ts';
import { taskStates } from './ids.ts';
import { checkTaskId, type Invocation } from './invocation.ts';
import { printValue } from './print-value.ts';
import { percentOf } from './progress-bar.ts';

export async function taskList(context: Context, given: Invocation): Promise<void> {
  const wanted = given.list('state');
  const states = taskStates.filter((state) => wanted.includes(state));
  const methods = [...given.list('method')];
  const limit = given.count('limit');
  const tasks = await context.withClient((client) => {
    const host = client.host(given.word('HOST'));
    return allPages<Task>(limit, async (page) => {
      const filter = {
        ...(states.length > 0 && { states: [...states] }),
        ...(methods.length > 0 && { methods }),
      };
      const answer = await ask(context, host, 'listTasks', { ...filter, ...page });
      return { items: answer.tasks, nextCursor: answer.nextCursor };
    });
  });
  if (context.options.json) {
    context.json({ tasks });
    return;
  }
  context.table(
    [
      { title: 'TASK' },
      { title: 'METHOD' },
      { title: 'STATE' },
      { title: 'PROGRESS', align: 'right' },
      { title: 'AGE', align: 'right' },
      { title: 'SUBJECT' },
    ],
    tasks.map((task) => [
      task.taskId,
      task.method,
      stateOf(task),
      progressOf(task),
      formatSeconds((Date.now() - Date.parse(task.createdAt)) / 1000),
      task.subject ? `${task.subject.kind} ${task.subject.id}` : '',
    ]),
    `${given.word('HOST')} has no such task.`,
  );
}

export async function taskStatus(context: Context, given: Invocation): Promise<void> {
  const { hostId, taskId } = taskOf(given);
  const task = await context.withClient((client) =>
    ask(context, client.host(hostId), 'getTaskStatus', { taskId }),
  );
  print(context, task);
}

/** Shows progress where somebody reads along; the result is the task as it ended. */
export async function taskWait(context: Context, given: Invocation): Promise<void> {
  const { hostId, taskId } = taskOf(given);
  const timeoutMs = context.options.timeoutMs;
  const task = await context.withClient(async (client) => {
    const host = client.host(hostId);
    Object.assign(context.doing, { hostId, taskId });
    const wait = { signal: context.signal, ...(timeoutMs !== undefined && { timeout: timeoutMs }) };
    if (context.options.json || context.options.quiet)
      return await context.untilStopped(host.task(taskId).wait(wait));
    return await followTask(context, host, taskId, { timeoutMs, accepted: false });
  });
  delete context.doing.taskId;
  // with --json the task is the one document, however it ended; the exit status tells
  if (context.options.json || task.state === 'succeeded') print(context, task);
  throwUnlessSucceeded(task);
}

export async function taskCancel(context: Context, given: Invocation): Promise<void> {
  const { hostId, taskId } = taskOf(given);
  context.doing.taskId = taskId;
  const answer = await context.withClient((client) =>
    ask(context, client.host(hostId), 'cancelTask', { taskId }),
  );
  delete context.doing.taskId;
  if (context.options.json) context.json(answer);
  else if (answer.state === 'cancelled') context.line(`Task ${taskId} is cancelled.`);
  else context.line(`Task ${taskId} was asked to stop; it is ${answer.state}.`);
}

function taskOf(given: Invocation): { hostId: string; taskId: string } {
  const taskId = given.word('ID');
  checkTaskId(taskId, 'ID');
  return { hostId: given.word('HOST'), taskId };
}

function print(context: Context, task: Task): void {
  if (context.options.json) {
    context.json(task);
    return;
  }
  const { progress, result, error, subject, ...rest } = task;
  const told: Record<string, unknown> = { ...rest };
  if (subject) told.subject = `${subject.kind} ${subject.id}`;
  if (progress) told.progress = progressOf(task);
  printValue(context, { ...told, ...(error && { error }), ...(result !== undefined && { result }) }, {});
}

export function stateOf(task: Task): string {
  if (task.cancelling && task.state === 'running') return 'cancelling';
  return task.state === 'running' && task.phase !== undefined ? `running (${task.phase})` : task.state;
}

/** `45 % of 4 GiB`. */
export function progressOf({ progress }: Task): string {
  if (!progress) return '';
  const percent = percentOf(progress.done, progress.total);
  if (percent === undefined) return formatQuantity(progress.done, progress.unit);
  return `${percent} % of ${formatQuantity(progress.total, progress.unit)}`;
}
