/** Events: keys, shape, sequence, order, rate. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { Compile } from 'typebox/compile';
import { CloudEvent } from '../../../schemas/events.ts';
import { HostInfo, HostStats } from '../../../schemas/host.ts';
import { Task } from '../../../schemas/task.ts';
import { until } from '../../lib/until.ts';
import { useBus } from './bus.ts';
import type { EventTap } from './raw-client.ts';

const isCloudEvent = Compile(CloudEvent);
const isTask = Compile(Task);
const isHostStats = Compile(HostStats);
const isHostInfo = Compile(HostInfo);

describe('events', () => {
  const bus = useBus({ HOSTBUS_EVENTS_HEARTBEAT: '200ms' });

  const run = (method: string, params: object, id: string) => bus.client.rpc('h1', method, params, id);
  const ended = (tap: EventTap, id: string) =>
    until(`the end of ${id}`, () =>
      tap.namesOf(id).some((name) => ['succeeded', 'failed', 'cancelled'].includes(name)),
    );

  test('A task tells of its start and its end in CloudEvents whose data is the Task.', async () => {
    const tap = await bus.client.tap('h1.task.*.told');
    await run('work', { ms: 0 }, 'told');
    await ended(tap, 'told');
    const { bootId } = await bus.client.result<{ bootId: string }>('h1', 'ping');
    assert.deepEqual(tap.namesOf('told'), ['started', 'succeeded']);
    for (const { body, contentType, key } of tap.seen) {
      assert.equal(contentType, 'application/cloudevents+json');
      assert.ok(isCloudEvent.Check(body), JSON.stringify(isCloudEvent.Errors(body)));
      assert.ok(isTask.Check(body.data));
      assert.equal(key, `h1.${body.type.replace('hostbus.', '')}.told`);
      assert.equal(body.source, '/hosts/h1');
      assert.equal(body.bootid, bootId);
      assert.equal(body.id, `${bootId}-${Number(body.sequence)}`);
      assert.match(body.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
    const [first, last] = tap.seen;
    assert.deepEqual([first?.body.data.state, last?.body.data.state], ['running', 'succeeded']);
    assert.deepEqual(last?.body.data.result, { worked: 0 });
    assert.equal(last.body.data.answered, true);
  });

  for (const [how, params, expected] of [
    ['fails', { ms: 0, fail: 'NoSpace' }, ['started', 'failed']],
    ['answers early', { ms: 30, answerAfter: 0 }, ['started', 'answered', 'succeeded']],
    [
      'fails after an early answer',
      { ms: 30, answerAfter: 0, fail: 'NoSpace' },
      ['started', 'answered', 'failed'],
    ],
  ] as const) {
    test(`A task that ${how} tells ${expected.join(', ')}.`, async () => {
      const tap = await bus.client.tap('h1.task.#');
      await run('work', params, `it ${how}`);
      await ended(tap, `it ${how}`);
      assert.deepEqual(tap.namesOf(`it ${how}`), expected);
    });
  }

  test('A cancelled task tells so; one that was cancelled in the queue never tells of a start.', async () => {
    const host = 'lane';
    await bus.startHost(host, { HOSTBUS_TASKS_LANES_COPY: '1' });
    const tap = await bus.client.tap(`${host}.task.#`);
    for (const id of ['c1', 'c2']) bus.client.start(host, 'laneWork', { ms: 60_000 }, id);
    for (const taskId of ['c2', 'c1']) await bus.client.result(host, 'cancelTask', { taskId });
    await ended(tap, 'c1');
    assert.deepEqual(tap.namesOf('c1'), ['started', 'cancelled']);
    assert.deepEqual(tap.namesOf('c2'), ['cancelled']);
  });

  test('Queries cause no event, and the sequence of one boot has no gap.', async () => {
    const tap = await bus.client.tap('h1.#');
    for (let i = 0; i < 20; i += 1) {
      await bus.client.result('h1', 'ping', {}, `silent-${i}`);
      await bus.client.result('h1', 'cancelTask', { taskId: 'none' }).catch(() => {});
      await run('sum', [1, 2, 3], `loud-${i}`);
    }
    await ended(tap, 'loud-19');
    assert.ok(tap.seen.every(({ body }) => !body.subject.startsWith('silent')));
    const sequence = tap.seen.map(({ body }) => Number(body.sequence));
    assert.ok(sequence.length >= 40);
    assert.deepEqual(
      sequence,
      sequence.map((_, i) => (sequence[0] ?? 0) + i),
    );
  });

  for (const [id, word] of [
    ['plain', 'plain'],
    ['a.b*c#d%e f', 'a%2Eb%2Ac%23d%25e%20f'],
    ['tab\u00a0nbsp', 'tab%C2%A0nbsp'],
    ['ünï/ö:~', 'ünï/ö:~'],
    ['x'.repeat(128), 'x'.repeat(128)],
    ['.'.repeat(53), '%2E'.repeat(53)],
    ['.'.repeat(54), hash('.'.repeat(54))],
    ['🧪'.repeat(40), '🧪'.repeat(40)],
    ['🧪'.repeat(41), hash('🧪'.repeat(41))],
    ['🧪'.repeat(128), hash('🧪'.repeat(128))],
  ] as const) {
    test(`The task ID ${id.slice(0, 16)} (${[...id].length} characters) is one word of the routing key.`, async () => {
      const tap = await bus.client.tap(`h1.task.succeeded.${word}`);
      await run('work', { ms: 0 }, id);
      const { key, body } = await until('the event', () => tap.seen[0]);
      assert.equal(key, `h1.task.succeeded.${word}`);
      assert.equal(key.split('.').length, 4);
      assert.equal(body.subject, id, 'the body has it whole');
    });
  }

  test('Progress comes at most twice a second, and the last one before the end is there.', async () => {
    const tap = await bus.client.tap('h1.task.*.progressive');
    await run('work', { ms: 1300, steps: 130 }, 'progressive');
    await ended(tap, 'progressive');
    const names = tap.namesOf('progressive');
    assert.deepEqual([names[0], names.at(-1)], ['started', 'succeeded']);
    const progress = tap.seen.filter(({ body }) => body.type.endsWith('.progress')).map(({ body }) => body);
    const times = progress.slice(0, -1).map(({ time }) => Date.parse(time));
    for (const [i, at] of times.slice(1).entries()) {
      assert.ok(at - (times[i] ?? 0) >= 495, `two within ${at - (times[i] ?? 0)} ms`);
    }
    assert.ok(progress.length >= 3 && progress.length <= 5, `${progress.length} progress events`);
    assert.deepEqual(progress.at(-1)?.data.progress, { done: 130, total: 130, unit: 'steps' });
    const done = progress.map(({ data }) => (data.progress as { done: number }).done);
    assert.deepEqual(
      done,
      done.toSorted((a, b) => a - b),
    );
  });

  test('What an event tells can be read back when it comes.', async () => {
    const tap = await bus.client.tap('h1.task.*.back');
    bus.client.start('h1', 'work', { ms: 20, answerAfter: 5 }, 'back');
    const order = ['queued', 'running', 'succeeded'];
    let looked = 0;
    await until('its end', async () => {
      const event = tap.seen[looked];
      if (event === undefined) return false;
      looked += 1;
      const now = await bus.client.result<Task>('h1', 'getTaskStatus', { taskId: 'back' });
      assert.ok(order.indexOf(now.state) >= order.indexOf(String(event.body.data.state)));
      assert.ok(now.answered || event.body.data.answered === false);
      return event.body.type.endsWith('succeeded');
    });
  });

  test('Tasks that follow each other under one ID never mix their events, in a batch neither.', async () => {
    const tap = await bus.client.tap('h1.task.*.relay');
    for (let i = 0; i < 50; i += 1) await bus.client.result('h1', 'subtract', [1, 1], 'relay');
    await until('the last', () => tap.seen.length >= 100);
    assert.deepEqual(tap.namesOf('relay'), Array.from({ length: 50 }, () => ['started', 'succeeded']).flat());

    const batch = bus.client.send('h1', [
      { jsonrpc: '2.0', method: 'work', params: { ms: 0 }, id: 'relay' },
      { jsonrpc: '2.0', method: 'work', params: { ms: 60_000 }, id: 'holds-the-batch' },
    ]);
    await until('its end', () => tap.seen.length >= 102);
    bus.client.start('h1', 'work', { ms: 60_000 }, 'relay');
    await until('the next start', () => tap.seen.length >= 103);
    await bus.client.result('h1', 'cancelTask', { taskId: 'holds-the-batch' });
    await bus.client.answer(batch);
    await bus.client.result('h1', 'cancelTask', { taskId: 'relay' });
    await until('its end', () => tap.namesOf('relay').at(-1) === 'cancelled');
    assert.deepEqual(tap.namesOf('relay').slice(100), ['started', 'succeeded', 'started', 'cancelled']);
  });

  test('A host tells of its start, its heartbeats and its stop.', async () => {
    const tap = await bus.client.tap('living.host.*.living');
    const host = await bus.startHost('living', { HOSTBUS_EVENTS_HEARTBEAT: '100ms' });
    const info = await bus.client.result<{ bootId: string }>('living', 'getHostInfo');
    await until(
      'three heartbeats',
      () => tap.namesOf('living').filter((name) => name === 'heartbeat').length >= 3,
    );
    assert.equal(await host.stop(), 0);
    await until('stopping', () => tap.namesOf('living').at(-1) === 'stopping');
    const [first] = tap.seen;
    assert.equal(first?.body.type, 'hostbus.host.started');
    assert.equal(Number(first.body.sequence), 1);
    assert.equal(first.body.bootid, info.bootId);
    assert.ok(isHostInfo.Check(first.body.data));
    for (const { body } of tap.seen.slice(1)) assert.ok(isHostStats.Check(body.data), body.type);
  });
});

function hash(id: string): string {
  return `~${createHash('sha256').update(id, 'utf8').digest('base64url')}`;
}
