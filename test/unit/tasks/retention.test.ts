/** How long the task table keeps what has ended. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { TaskTable } from '../../../src/tasks/task-table.ts';

test('Records go when their time is over, oldest end first, and waiting ends with the task.', async () => {
  const ended: string[] = [];
  const table = new TaskTable({
    hostId: 'h1',
    bootId: 'boot',
    log: pino({ level: 'silent' }),
    max: 10,
    retentionMs: 30,
    retainedMax: 10,
    lanes: { read: 1, change: 1, copy: 1 },
    emit: ({ id: which, event }) => void (event === 'succeeded' && ended.push(which)),
  });
  const quick = { method: 'm', query: false, cancellable: false, lane: 'wait' } as const;
  const task = table.accept({ ...quick, taskId: 'brief', run: () => 1 });
  const begunMs = performance.now();
  await table.whenEnded(task, 1000);
  assert.deepEqual(ended, ['brief'], 'it was told before those who wait wake up');
  while (table.find('brief') !== undefined && performance.now() - begunMs < 5000) await turn();
  assert.equal(table.find('brief'), undefined);
  assert.ok(performance.now() - begunMs >= 29);
  assert.deepEqual(table.list({ limit: 10, after: 0 }), { tasks: [] });
});
