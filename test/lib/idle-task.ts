/** What an implementation sees of a task, for tests that call one themselves; whatever it tells is dropped. */
import { pino } from 'pino';
import type { TaskContext } from '../../src/tasks/task-context.ts';

export function idleTask<Result>(): TaskContext<Result> {
  return {
    taskId: 'test',
    user: undefined,
    flowId: undefined,
    signal: new AbortController().signal,
    log: pino({ level: 'silent' }),
    answer() {},
    progress() {},
    phase() {},
  };
}
