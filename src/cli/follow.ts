/** Watching a task to its end: a bar on a terminal, lines elsewhere, JSON lines with --json. */
import { HostbusError } from '../../schemas/errors.ts';
import type { Task } from '../../schemas/task.ts';
import { OutcomeUnknown } from '../client/errors.ts';
import type { Host } from '../client/types.ts';
import { formatBytes, formatSeconds } from '../lib/units.ts';
import type { Context } from './context.ts';
import { TaskCancelled, TaskFailed } from './errors.ts';
import { ProgressLine, type Sight } from './progress-line.ts';

export interface FollowOptions {
  /** Milliseconds from now until CallTimeout; undefined: no limit. */
  timeoutMs: number | undefined;
  /** The host is known to have taken the task on: that it no longer knows it means that it was restarted. */
  accepted: boolean;
}

/**
 * Shows a task until it has ended.
 * @returns the task as it ended, whatever way
 * @throws OutcomeUnknown when the host forgot a task that it had taken on
 */
export async function followTask(
  context: Context,
  host: Host,
  taskId: string,
  options: FollowOptions,
): Promise<Task> {
  const view = new ProgressLine(context);
  let last: Task | undefined;
  try {
    const changes = host.task(taskId).follow({
      signal: context.signal,
      ...(options.timeoutMs !== undefined && { timeout: options.timeoutMs }),
    });
    for await (const task of changes) {
      last = task;
      if (context.options.json) context.json(task);
      else if (!hasEnded(task)) view.show(sightOf(task));
    }
  } catch (error) {
    view.clear();
    const forgotten = error instanceof HostbusError && error.name === 'TaskNotFound';
    if (forgotten && (options.accepted || last))
      throw new OutcomeUnknown(host.hostId, taskId, { cause: error });
    throw error;
  }
  view.clear();
  if (context.signal.aborted) throw context.signal.reason;
  if (!last || !hasEnded(last)) throw new OutcomeUnknown(host.hostId, taskId);
  sayEnd(context, last);
  return last;
}

export function hasEnded(task: Task): boolean {
  return task.state !== 'queued' && task.state !== 'running';
}

/** @throws TaskFailed, TaskCancelled */
export function throwUnlessSucceeded(task: Task): void {
  if (task.state === 'failed') throw new TaskFailed(task);
  if (task.state === 'cancelled') throw new TaskCancelled(task);
}

function sightOf(task: Task): Sight {
  const what = task.cancelling ? 'cancelling' : (task.phase ?? task.state);
  return { name: task.taskId, what, progress: task.progress };
}

function sayEnd(context: Context, task: Task): void {
  if (task.state !== 'succeeded') return; // the error says it
  const seconds = (Date.parse(task.finishedAt ?? '') - Date.parse(task.startedAt ?? task.createdAt)) / 1000;
  const { progress } = task;
  const facts = [`in ${seconds < 60 ? `${Math.round(seconds * 10) / 10} s` : formatSeconds(seconds)}`];
  if (progress?.unit === 'bytes' && progress.total > 0) {
    facts.unshift(formatBytes(progress.total));
    if (seconds > 0) facts.push(`${formatBytes(progress.total / seconds)}/s`);
  }
  context.note(`${task.taskId}: ${task.method} succeeded, ${facts.join(', ')}`);
}
