/** Limits: how many tasks may be under way, what waits for what, and what is forgotten when. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Task } from '../../../schemas/task.ts';
import { until } from '../../lib/until.ts';
import { useBus } from './bus.ts';
import type { RpcResponse } from './raw-client.ts';

describe('admission', () => {
  const bus = useBus({
    HOSTBUS_TASKS_MAX: '3',
    HOSTBUS_TASKS_LANES_COPY: '1',
    HOSTBUS_TASKS_RETAINED_MAX: '2',
    HOSTBUS_TASKS_RETENTION: '1h',
  });
  const call = <T>(method: string, params?: object) => bus.client.result<T>('h1', method, params);
  const counts = async () =>
    (await call<{ tasks: Record<'queued' | 'running' | 'retained' | 'refused', number> }>('getHostStats'))
      .tasks;
  const endAll = async (ids: string[]) => {
    for (const taskId of ids) await call('cancelTask', { taskId });
    await until('all have ended', async () => {
      const { queued, running } = await counts();
      return queued + running === 0;
    });
  };

  test('Queued and running tasks count against the limit; one more is refused at once, also as a notification.', async () => {
    const ids = ['a', 'b', 'c'];
    for (const id of ids) bus.client.start('h1', 'laneWork', { ms: 60_000 }, id);
    const { queued, running, refused } = await counts();
    assert.deepEqual({ queued, running }, { queued: 2, running: 1 });
    const error = await bus.client.error('h1', 'work', { ms: 0 }, 'd');
    assert.deepEqual([error.code, error.data.limit], [-32003, 3]);
    bus.client.send('h1', { jsonrpc: '2.0', method: 'work', params: { ms: 0 } });
    assert.equal((await counts()).refused, refused + 2);
    assert.equal((await bus.client.error('h1', 'getTaskStatus', { taskId: 'd' })).code, -32002);
    await endAll(ids.reverse());
    await bus.client.result('h1', 'work', { ms: 0 }, 'd');
  });

  test('Queries and cancelTask are answered while the host is full and its lanes stand still.', async () => {
    const ids = ['e', 'f', 'g'];
    for (const id of ids) bus.client.start('h1', 'laneWork', { ms: 60_000 }, id);
    assert.equal((await call<Task>('getTaskStatus', { taskId: 'g' })).state, 'queued');
    assert.equal((await call<Task>('waitTask', { taskId: 'e', timeout: 1 })).state, 'running');
    for (const method of ['ping', 'getHostInfo', 'getHostStats', 'listTasks', 'rpc.discover'])
      await call(method);
    await endAll(ids.reverse());
  });

  test('As many waitTask as may wait keep nobody from asking, cancelling or working.', async () => {
    bus.client.start('h1', 'laneWork', { ms: 60_000 }, 'long');
    const waits = ['w1', 'w2', 'w3'].map((id) => bus.client.start('h1', 'waitTask', { taskId: 'long' }, id));
    await until(
      'they wait',
      async () => (await bus.client.rpc('h1', 'ping', {}, 'w3')).error?.code === -32001,
    );
    assert.equal((await call<Task>('getTaskStatus', { taskId: 'long' })).state, 'running');
    await bus.client.result('h1', 'work', { ms: 0 }, 'beside');
    await call('cancelTask', { taskId: 'long' });
    for (const sent of waits) {
      const { result } = JSON.parse((await bus.client.answer(sent)).content.toString()) as RpcResponse;
      assert.equal((result as Task).state, 'cancelled');
    }
  });

  test('A full lane does not hold up another lane, and its tasks run in the order of their coming.', async () => {
    for (const id of ['l1', 'l2']) bus.client.start('h1', 'laneWork', { ms: 40 }, id);
    await bus.client.result('h1', 'work', { ms: 0 }, 'other-lane');
    const l1 = await call<Task>('waitTask', { taskId: 'l1' });
    const l2 = await call<Task>('waitTask', { taskId: 'l2' });
    assert.ok((l2.startedAt ?? '') >= (l1.finishedAt ?? 'never'));
  });

  test('Of ended tasks the oldest is forgotten when there are more than may stay.', async () => {
    for (const id of ['r1', 'r2', 'r3']) await bus.client.result('h1', 'work', { ms: 0 }, id);
    assert.equal((await bus.client.error('h1', 'getTaskStatus', { taskId: 'r1' })).code, -32002);
    for (const taskId of ['r2', 'r3']) await call('getTaskStatus', { taskId });
    assert.equal((await counts()).retained, 2);
  });

  test('The record of an ended task goes when its time is over, and no sooner; a running task stays.', async () => {
    await bus.startHost('short', { HOSTBUS_TASKS_RETENTION: '1s' });
    const { client } = bus;
    client.start('short', 'work', { ms: 60_000 }, 'stays');
    await client.result('short', 'work', { ms: 0 }, 'goes');
    const endedAtMs = performance.now();
    await until(
      'it is forgotten',
      async () => {
        const { error } = await client.rpc('short', 'getTaskStatus', { taskId: 'goes' });
        if (error === undefined) return false;
        assert.equal(error.code, -32002);
        return true;
      },
      3000,
    );
    const tookMs = performance.now() - endedAtMs;
    assert.ok(tookMs > 900, `it was forgotten after ${tookMs} ms`);
    const { tasks } = await client.result<{ tasks: Task[] }>('short', 'listTasks');
    assert.deepEqual(
      tasks.map(({ taskId }) => taskId),
      ['stays'],
    );
  });
});
