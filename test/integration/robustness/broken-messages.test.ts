/** Whatever comes in, the daemon goes on serving, keeps its memory, and answers what can be answered. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { until } from '../../lib/until.ts';
import { useBus } from '../protocol/bus.ts';
import type { RpcResponse } from '../protocol/raw-client.ts';
import { type BrokenMessage, brokenMessage, type Random, seeded } from './broken-messages.ts';

const limitBytes = 16_384;
const windowSize = 500;
/** Of the garbage collector's own doing; a leak of a hundred messages' bodies in each thousand would be more. */
const rssMarginBytes = 16 * 2 ** 20;

describe('broken messages', () => {
  const bus = useBus({
    HOSTBUS_RPC_MAX_REQUEST_BYTES: String(limitBytes),
    HOSTBUS_EVENTS_HEARTBEAT: '1h',
  });

  const stats = () =>
    bus.client.result<{ rss: number; broker: { reconnects: number }; tasks: { running: number } }>(
      'h1',
      'getHostStats',
    );

  /** Sends `count` broken messages, and holds each to what has to become of it. */
  async function send(random: Random, count: number): Promise<Map<string, number>> {
    const { client } = bus;
    const sorts = new Map<string, number>();
    for (let done = 0; done < count; done += windowSize) {
      const sent = new Map<string, BrokenMessage>();
      for (let i = 0; i < Math.min(windowSize, count - done); i += 1) {
        const message = brokenMessage(random, limitBytes);
        sorts.set(message.sort, (sorts.get(message.sort) ?? 0) + 1);
        sent.set(client.send('h1', message.body, message.properties), message);
      }
      await client.result('h1', 'ping'); // all that came before it is answered by now, or in a moment
      const expected = [...sent.values()].filter(({ answerable }) => answerable).length;
      const answered = () =>
        client.answers.filter((a) => sent.has(String(a.properties.correlationId))).length;
      await until('every answer', () => answered() >= expected, 5000).catch(() => {
        const missing = [...sent].find(([id, m]) => m.answerable && !client.hasAnswer(id))?.[1];
        assert.fail(`not answered: ${missing?.sort}: ${missing?.body.toString().slice(0, 300)}`);
      });
      for (const { content, properties } of client.answers) {
        const message = sent.get(String(properties.correlationId));
        if (message === undefined) continue;
        const what = `${message.sort}: ${message.body.toString().slice(0, 300)}: ${content}`;
        assert.ok(message.answerable, `answered though it is a notification: ${what}`);
        assert.ok(sent.delete(String(properties.correlationId)), `answered twice: ${what}`);
        checkAnswer(JSON.parse(content.toString()), what);
      }
      client.answers.length = 0;
    }
    return sorts;
  }

  test('10,000 broken messages of every sort leave the daemon serving, its memory where it was, each answerable one answered once.', async (t) => {
    const seed = Number(process.env.HOSTBUS_TEST_SEED ?? 20_260_101);
    t.diagnostic(`seed ${seed} (HOSTBUS_TEST_SEED sets another)`);
    const random = seeded(seed);
    await send(random, 10_000); // code is compiled, heaps have grown
    const before = await stats();
    const sorts = await send(random, 10_000);
    const after = await stats();
    t.diagnostic(JSON.stringify(Object.fromEntries(sorts)));
    t.diagnostic(`RSS before ${mib(before.rss)} MiB, after ${mib(after.rss)} MiB`);
    assert.equal(sorts.size, 11, 'every sort was there');
    assert.ok(after.rss - before.rss < rssMarginBytes, `RSS grew by ${mib(after.rss - before.rss)} MiB`);
    assert.equal(after.broker.reconnects, 0);
    assert.equal(after.tasks.running, 0);
    assert.equal(bus.daemon.process.exitCode, null);
    assert.deepEqual(await bus.client.result('h1', 'subtract', [42, 23]), 19);
  });

  test('What was in them has changed no object for others.', async () => {
    const answer = await bus.client.rpc('h1', 'getHostInfo', {}, 'clean');
    assert.deepEqual(Object.keys(answer).sort(), ['id', 'jsonrpc', 'result']);
    assert.equal((await bus.client.error('h1', 'subtract', {})).code, -32602);
  });
});

function checkAnswer(answer: unknown, what: string): void {
  for (const one of (Array.isArray(answer) ? answer : [answer]) as RpcResponse[]) {
    assert.equal(one.jsonrpc, '2.0', what);
    assert.ok(Object.hasOwn(one, 'id'), what);
    assert.equal(Object.hasOwn(one, 'result'), one.error === undefined, what);
    if (one.error === undefined) continue;
    assert.ok(Number.isInteger(one.error.code) && one.error.code !== -32603, what);
    assert.equal(typeof one.error.data.name, 'string', what);
    assert.doesNotMatch(JSON.stringify(one.error), /\/src\/|node_modules|\n {4}at /, what);
  }
}

function mib(sizeBytes: number): number {
  return Math.round(sizeBytes / 2 ** 20);
}
