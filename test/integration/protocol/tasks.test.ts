/** Tasks as callers see them: shape, states, waiting, cancelling, listing, IDs. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Compile } from 'typebox/compile';
import { Task } from '../../../schemas/task.ts';
import { until } from '../../lib/until.ts';
import { useBus } from './bus.ts';
import { RawClient } from './raw-client.ts';

const taskShape = Compile(Task);
const rfc3339Ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

describe('tasks', () => {
  const bus = useBus({ HOSTBUS_TASKS_LANES_COPY: '1' });

  const status = (taskId: string) => bus.client.result<Task>('h1', 'getTaskStatus', { taskId });
  const wait = (taskId: string, timeout?: number) =>
    bus.client.result<Task>('h1', 'waitTask', timeout === undefined ? { taskId } : { taskId, timeout });
  const cancel = (taskId: string) =>
    bus.client.result<{ taskId: string; state: string }>('h1', 'cancelTask', { taskId });
  const start = (method: string, params: object, id: string) => bus.client.start('h1', method, params, id);

  test('A task has the shape of the contract in each of its states.', async () => {
    start('laneWork', { ms: 60_000, answerAfter: 0, steps: 60_000 }, 'shape-running');
    start('laneWork', { ms: 0 }, 'shape-queued');
    start('work', { ms: 1, fail: 'NoSpace' }, 'shape-failed');
    start('work', { ms: 1 }, 'shape-succeeded');
    start('work', { ms: 60_000 }, 'shape-cancelled');
    await cancel('shape-cancelled');
    const running = await until('progress', async () => {
      const task = await status('shape-running');
      return task.progress !== undefined && task.answered && task;
    });
    const tasks: Record<string, Task> = {
      running,
      queued: await status('shape-queued'),
      failed: await wait('shape-failed'),
      succeeded: await wait('shape-succeeded'),
      cancelled: await wait('shape-cancelled'),
    };
    const { hostId, bootId } = await bus.client.result<{ hostId: string; bootId: string }>('h1', 'ping');
    for (const [state, task] of Object.entries(tasks)) {
      assert.ok(taskShape.Check(task), `${state}: ${JSON.stringify(taskShape.Errors(task))}`);
      assert.equal(task.state, state);
      assert.deepEqual([task.hostId, task.bootId], [hostId, bootId]);
      for (const time of [task.createdAt, task.startedAt, task.finishedAt]) {
        if (time !== undefined) assert.match(time, rfc3339Ms);
      }
      assert.equal(task.startedAt === undefined, state === 'queued');
      assert.equal(task.finishedAt === undefined, state === 'running' || state === 'queued');
      assert.equal(task.error !== undefined, state === 'failed' || state === 'cancelled');
      assert.equal(task.result !== undefined, state === 'succeeded');
    }
    assert.deepEqual(running.progress?.unit, 'steps');
    assert.equal(tasks.failed?.error?.data.name, 'NoSpace');
    assert.deepEqual(tasks.succeeded?.result, { worked: 1 });
    assert.deepEqual([tasks.cancelled?.error?.code, tasks.cancelled?.cancelling], [-32008, true]);
    await cancel('shape-running');
    await wait('shape-queued');
  });

  test('A task is answered as such only after its answer was sent.', async () => {
    const sent = start('work', { ms: 60_000, answerAfter: 1 }, 'early');
    await bus.client.answer(sent);
    const task = await until('answered', async () => {
      const now = await status('early');
      return now.answered && now;
    });
    assert.equal(task.state, 'running');
    assert.equal(task.result, undefined, 'the result is there once it has ended');
    await cancel('early');
    assert.equal((await wait('early')).state, 'cancelled');
  });

  test('An ID is refused while it is in use, whoever asks, and free again after the end.', async () => {
    const other = await RawClient.connect(bus.broker.url);
    start('work', { ms: 60_000 }, 'once');
    await status('once');
    for (const client of [bus.client, other]) {
      for (const method of ['work', 'ping', 'getTaskStatus']) {
        const params = { work: { ms: 0 }, ping: {}, getTaskStatus: { taskId: 'x' } }[method];
        const error = await client.error('h1', method, params, 'once');
        assert.equal(error.code, -32001);
        const holder = error.data.task as Task;
        assert.ok(taskShape.Check(holder));
        assert.deepEqual([holder.taskId, holder.method, holder.state], ['once', 'work', 'running']);
      }
    }
    await cancel('once');
    await wait('once');
    await other.result('h1', 'work', { ms: 0 }, 'once');
    const task = await wait('once');
    assert.equal(task.state, 'succeeded', 'the new task has replaced the record');
    const { tasks } = await bus.client.result<{ tasks: Task[] }>('h1', 'listTasks', { limit: 1000 });
    assert.equal(tasks.filter(({ taskId }) => taskId === 'once').length, 1);
    await other.close();
  });

  test('An ID can be used again as soon as its answer has come, a hundred times in a row.', async () => {
    for (let i = 0; i < 100; i += 1) {
      assert.deepEqual(await bus.client.result('h1', 'subtract', [i, 1], 'again'), i - 1);
    }
  });

  test('An ID stays in use after an early answer, until the end.', async () => {
    await bus.client.answer(start('work', { ms: 60_000, answerAfter: 0 }, 'held'));
    assert.equal((await bus.client.error('h1', 'ping', {}, 'held')).code, -32001);
    await cancel('held');
    await wait('held');
    await bus.client.result('h1', 'ping', {}, 'held');
  });

  test('Queries leave no record, and their IDs are unknown afterwards.', async () => {
    await bus.client.result('h1', 'ping', {}, 'a-query');
    const error = await bus.client.error('h1', 'getTaskStatus', { taskId: 'a-query' });
    assert.equal(error.code, -32002);
    assert.equal(error.data.taskId, 'a-query');
    assert.equal(error.data.bootId, (await bus.client.result('h1', 'ping')).bootId);
  });

  test('waitTask answers at the timeout with the task as it is, at once for 0, and at the end.', async () => {
    start('work', { ms: 60_000 }, 'waited');
    assert.equal((await wait('waited', 0)).state, 'running');
    const before = performance.now();
    assert.equal((await wait('waited', 60)).state, 'running');
    assert.ok(performance.now() - before >= 55, 'it waited');
    const waiting = start('waitTask', { taskId: 'waited' }, 'the-wait');
    await cancel('waited');
    const answer = JSON.parse((await bus.client.answer(waiting)).content.toString()) as { result: Task };
    assert.equal(answer.result.state, 'cancelled');
    assert.equal((await wait('waited', 600_000)).state, 'cancelled', 'ended already: at once');
    for (const timeout of [600_001, -1, 1.5]) {
      assert.equal((await bus.client.error('h1', 'waitTask', { taskId: 'waited', timeout })).code, -32602);
    }
    assert.equal((await bus.client.error('h1', 'waitTask', { taskId: 'never' })).code, -32002);
  });

  test('A waitTask can be cancelled, and holds its own ID as any task.', async () => {
    start('work', { ms: 60_000 }, 'target');
    const sent = start('waitTask', { taskId: 'target' }, 'waiter');
    assert.equal((await status('waiter')).method, 'waitTask');
    await cancel('waiter');
    const answer = JSON.parse((await bus.client.answer(sent)).content.toString()) as {
      error: { code: number };
    };
    assert.equal(answer.error.code, -32008);
    await cancel('target');
    await wait('target');
  });

  test('cancelTask: a queued task ends at once, a running one when its work stops, an ended one is told.', async () => {
    start('laneWork', { ms: 60_000 }, 'lane-1');
    const queued = start('laneWork', { ms: 60_000 }, 'lane-2');
    assert.equal((await status('lane-2')).state, 'queued');
    assert.deepEqual(await cancel('lane-2'), { taskId: 'lane-2', state: 'cancelled' });
    const answer = JSON.parse((await bus.client.answer(queued)).content.toString()) as {
      error: { code: number; data: { name: string } };
    };
    assert.deepEqual([answer.error.code, answer.error.data.name], [-32008, 'Cancelled']);
    const { state, taskId } = await cancel('lane-1');
    assert.deepEqual([taskId, state], ['lane-1', 'running']);
    assert.equal((await wait('lane-1')).state, 'cancelled');
    const ended = await bus.client.error('h1', 'cancelTask', { taskId: 'lane-1' });
    assert.equal(ended.code, -32004);
    assert.ok(taskShape.Check(ended.data.task));
  });

  test('A verb that cannot be stopped says so while it runs, and can be cancelled while it is queued.', async () => {
    const ending = start('stubborn', { ms: 300 }, 'stubborn-1');
    const error = await bus.client.error('h1', 'cancelTask', { taskId: 'stubborn-1' });
    assert.deepEqual([error.code, error.data.method], [-32007, 'stubborn']);
    await bus.client.answer(ending);
    assert.equal((await wait('stubborn-1')).state, 'succeeded');
  });

  test('listTasks filters by state and method, pages without loss or repetition, oldest first.', async () => {
    const ids = Array.from({ length: 25 }, (_, i) => `page-${i}`);
    for (const id of ids) await bus.client.result('h1', 'sum', [1, 2, 3], id);
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page: { tasks: Task[]; nextCursor?: string } = await bus.client.result('h1', 'listTasks', {
        methods: ['sum'],
        limit: 7,
        ...(cursor === undefined ? {} : { cursor }),
      });
      assert.ok(page.tasks.length > 0 && page.tasks.length <= 7);
      seen.push(...page.tasks.map(({ taskId }) => taskId));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    assert.deepEqual(seen, ids);
    start('work', { ms: 60_000 }, 'listed');
    const list = (params: object) => bus.client.result<{ tasks: Task[] }>('h1', 'listTasks', params);
    const running = await list({ states: ['running', 'queued'] });
    assert.deepEqual(
      running.tasks.map(({ taskId }) => taskId),
      ['listed'],
    );
    assert.deepEqual((await list({ states: ['failed'], methods: ['sum'] })).tasks, []);
    await cancel('listed');
    for (const params of [{ cursor: 'nonsense' }, { limit: 0 }, { limit: 1001 }, { states: ['done'] }]) {
      assert.equal((await bus.client.error('h1', 'listTasks', params)).code, -32602);
    }
  });

  test('A failure of the task that comes after its answer is in its record.', async () => {
    await bus.client.result('h1', 'work', { ms: 1, answerAfter: 0, fail: 'NoSpace' }, 'late');
    const task = await wait('late');
    assert.deepEqual([task.state, task.answered, task.error?.code], ['failed', true, 1008]);
  });
});
