/** Watching a task to its end: a bar on a terminal, lines elsewhere, JSON lines with --json. */
import { HostbusError } from '../../schemas/errors.ts';
import type { Task } from '../../schemas/task.ts';
import { OutcomeUnknown } from '../client/errors.ts';
import type { Host } from '../client/types.ts';
import type { Context } from './context.ts';
import { TaskCancelled, TaskFailed } from './errors.ts';
import { widthOf } from './io.ts';
import { percentOf, RateMeter, renderProgressBar, renderProgressText } from './progress-bar.ts';
import { printable } from './text.ts';
import { formatBytes, formatSeconds } from './units.ts';

/** Between two lines where there is no terminal. */
const lineIntervalMs = 5000;

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
      else view.show(task);
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

/** The one line that changes (terminal), or lines now and then (anything else). */
class ProgressLine {
  readonly #context: Context;
  readonly #meter = new RateMeter();
  #shown = false;
  #lastLineMs = Number.NEGATIVE_INFINITY;
  #lastWhat = '';

  constructor(context: Context) {
    this.#context = context;
  }

  show(task: Task): void {
    if (this.#context.options.quiet || hasEnded(task)) return;
    const { progress } = task;
    const nowMs = performance.now();
    if (progress) this.#meter.add(nowMs, progress.done);
    const what = task.cancelling ? 'cancelling' : (task.phase ?? task.state);
    const label = `${task.taskId} ${what}`;
    const view = progress && { label, ...progress, rate: this.#meter.perSecond };
    const width = widthOf(this.#context.io.stderr);
    if (width !== undefined) {
      // one column stays free: a full line makes some terminals wrap
      const text = view ? renderProgressBar(view, width - 1) : printable(label).slice(0, width - 1);
      this.#context.io.stderr.write(`\r\x1b[K${text}`);
      this.#shown = true;
      return;
    }
    const complete = progress !== undefined && percentOf(progress.done, progress.total) === 100;
    if (what === this.#lastWhat && nowMs - this.#lastLineMs < lineIntervalMs && !complete) return;
    [this.#lastLineMs, this.#lastWhat] = [nowMs, what];
    this.#context.note(view ? renderProgressText(view) : label);
  }

  /** Leaves the line free for what comes next. */
  clear(): void {
    if (this.#shown) this.#context.io.stderr.write('\r\x1b[K');
    this.#shown = false;
  }
}
