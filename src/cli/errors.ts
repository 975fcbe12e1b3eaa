/** Failures that only the command line knows; those of the bus are in `client/errors.ts`. */
import type { Operation } from '../../schemas/gluster-operations.ts';
import type { Task } from '../../schemas/task.ts';

/** The command line is wrong. `hints` are lines of their own: what exactly, and the way out. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly hints: readonly string[];
  constructor(message: string, hints: readonly string[] = []) {
    super(message);
    this.hints = hints;
  }
}

/** The user pressed Ctrl-C, or somebody ended the program. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly signal: 'SIGINT' | 'SIGTERM';
  constructor(signal: 'SIGINT' | 'SIGTERM' = 'SIGINT') {
    super('Interrupted');
    this.signal = signal;
  }
}

/** A task that was followed, or waited for, failed. Its record says why. */
export class TaskFailed extends Error {
  override readonly name = 'TaskFailed';
  readonly task: Task;
  constructor(task: Task) {
    super(
      `Task ${task.taskId} (${task.method}) failed: ${task.error?.message ?? 'the host does not say why'}`,
    );
    this.task = task;
  }
}

/** A task that was followed, or waited for, was cancelled. */
export class TaskCancelled extends Error {
  override readonly name = 'TaskCancelled';
  readonly task: Task;
  constructor(task: Task) {
    super(`Task ${task.taskId} (${task.method}) was cancelled`);
    this.task = task;
  }
}

/** A check came to its end, and found something. */
export class ImageDefective extends Error {
  override readonly name = 'ImageDefective';
  constructor(image: string, errorCount: number) {
    super(`Image ${image} is not in order: ${errorCount === 1 ? '1 error' : `${errorCount} errors`}`);
  }
}

/** The doctor came to its end, and found something. */
export class HostDefective extends Error {
  override readonly name = 'HostDefective';
  constructor(failedCount: number) {
    super(`This host is not in order: ${failedCount === 1 ? '1 check' : `${failedCount} checks`} failed`);
  }
}

/** An operation of Gluster that was followed failed, was stopped, or is stale. `hints`: the way out. */
export class OperationFailed extends Error {
  override readonly name = 'OperationFailed';
  readonly operation: Operation;
  readonly hints: readonly string[];
  constructor(operation: Operation, hints: readonly string[]) {
    const { kind, volume, status, stale } = operation;
    super(
      stale === true
        ? `The ${kind} of ${volume} is stale: Gluster says that it runs, but nothing moves any more`
        : `The ${kind} of ${volume} ${status === 'stopped' ? 'was stopped' : 'failed'}`,
    );
    this.operation = operation;
    this.hints = hints;
  }
}
