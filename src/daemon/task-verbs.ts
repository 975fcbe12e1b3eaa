/** The verbs that ask about tasks. */
import { HostbusError } from '../../schemas/errors.ts';
import * as task from '../../schemas/task.ts';
import { type ServedVerb, serve } from '../rpc/rpc-server.ts';
import type { LiveTask } from '../tasks/live-task.ts';
import type { TaskTable } from '../tasks/task-table.ts';

const defaultWaitMs = 30_000;
const defaultPage = 100;

/** @param tasks - asked for late: the table is made after the verbs */
export function taskVerbs(tasks: () => TaskTable): ServedVerb[] {
  const find = (taskId: string, asking: string): LiveTask => {
    const found = tasks().find(taskId, asking);
    if (found === undefined) throw tasks().notFound(taskId);
    return found;
  };
  return [
    serve(task.getTaskStatus, ({ taskId }, self) => find(taskId, self.taskId).toJSON()),

    serve(task.listTasks, ({ states, methods, limit = defaultPage, cursor }) => {
      const after = cursor === undefined ? 0 : parseCursor(cursor);
      const { tasks: page, nextAfter } = tasks().list({ states, methods, limit, after });
      return nextAfter === undefined ? { tasks: page } : { tasks: page, nextCursor: String(nextAfter) };
    }),

    serve(task.waitTask, async ({ taskId, timeout = defaultWaitMs }, self) => {
      const found = find(taskId, self.taskId);
      await tasks().whenEnded(found, timeout, self.signal);
      self.signal.throwIfAborted();
      return found.toJSON();
    }),

    serve(task.cancelTask, ({ taskId }, self) => ({
      taskId,
      state: tasks().cancel(taskId, self.taskId).state,
    })),
  ];
}

function parseCursor(cursor: string): number {
  const after = /^\d{1,15}$/.test(cursor) ? Number(cursor) : Number.NaN;
  if (Number.isSafeInteger(after)) return after;
  const errors = [{ path: '/cursor', message: 'is not a cursor that this verb gave' }];
  throw new HostbusError(
    'InvalidParams',
    'Wrong parameters for listTasks: /cursor is not a cursor that this verb gave',
    {
      errors,
    },
  );
}
