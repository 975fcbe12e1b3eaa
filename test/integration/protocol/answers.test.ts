/** Where answers go, and what they carry beside their body. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ConsumeMessage } from 'amqplib';
import { until } from '../../lib/until.ts';
import { useBus } from './bus.ts';
import { RawClient, type RpcResponse } from './raw-client.ts';

describe('answers', () => {
  const bus = useBus();

  /** Sends a ping whose answer is to come to `queue` by way of `replyTo`. */
  async function pingVia(replyTo: string, queue: string): Promise<ConsumeMessage> {
    const { channel } = bus.client;
    const seen: ConsumeMessage[] = [];
    const { consumerTag } = await channel.consume(queue, (message) => void (message && seen.push(message)), {
      noAck: true,
    });
    bus.client.start('h1', 'ping', {}, `to ${replyTo}`, { replyTo, correlationId: 'mine' });
    const message = await until(`an answer through ${replyTo}`, () => seen[0]);
    await channel.cancel(consumerTag);
    return message;
  }

  function idOf(message: ConsumeMessage): unknown {
    return (JSON.parse(message.content.toString()) as RpcResponse).id;
  }

  async function ownQueue(name = ''): Promise<string> {
    return (await bus.client.channel.assertQueue(name, { exclusive: true })).queue;
  }

  for (const [replyTo, queue] of [
    ['answers-1', 'answers-1'],
    ['/queue/answers-2', 'answers-2'],
    ['/queue/answers%2F3 %C3%A9', 'answers/3 é'],
    ['/reply-queue/answers-4', 'answers-4'],
  ] as const) {
    test(`An answer goes to ${replyTo}.`, async () => {
      const message = await pingVia(replyTo, await ownQueue(queue));
      assert.equal(idOf(message), `to ${replyTo}`);
    });
  }

  for (const [replyTo, exchange, key] of [
    ['/topic/answers.of.mine', 'amq.topic', 'answers.of.*'],
    ['/exchange/amq.topic/answers.too', 'amq.topic', 'answers.too'],
    ['/exchange/amq.direct/straight', 'amq.direct', 'straight'],
  ] as const) {
    test(`An answer goes to ${replyTo}.`, async () => {
      const queue = await ownQueue();
      await bus.client.channel.bindQueue(queue, exchange, key);
      const message = await pingVia(replyTo, queue);
      assert.equal(message.fields.exchange, exchange);
      assert.equal(idOf(message), `to ${replyTo}`);
    });
  }

  test("An answer comes through the broker's direct reply-to.", async () => {
    const channel = await bus.client.connection.createChannel();
    const seen: ConsumeMessage[] = [];
    await channel.consume('amq.rabbitmq.reply-to', (message) => void (message && seen.push(message)), {
      noAck: true,
    });
    const body = Buffer.from('{"jsonrpc":"2.0","method":"ping","id":"direct"}');
    channel.publish('hostbus.rpc', 'h1', body, { replyTo: 'amq.rabbitmq.reply-to', correlationId: 'c1' });
    const message = await until('a direct answer', () => seen[0]);
    assert.equal(message.properties.correlationId, 'c1');
    assert.equal(idOf(message), 'direct');
    await channel.close();
  });

  test('An answer echoes the correlation ID, names host and boot, is JSON and transient.', async () => {
    const { client } = bus;
    const correlationId = client.start('h1', 'getHostInfo', {}, 'props', { correlationId: 'ünï-42' });
    const { properties, content } = await client.answer(correlationId);
    const { result } = JSON.parse(content.toString()) as { result: { bootId: string; hostId: string } };
    assert.equal(properties.correlationId, 'ünï-42');
    assert.equal(properties.contentType, 'application/json');
    assert.equal(properties.headers?.['hostbus-host'], 'h1');
    assert.equal(properties.headers?.['hostbus-boot'], result.bootId);
    assert.notEqual(properties.deliveryMode, 2, 'not persistent');
  });

  test('A request without a correlation ID is answered without one.', async () => {
    const seen = await RawClient.connect(bus.broker.url);
    const body = Buffer.from('{"jsonrpc":"2.0","method":"ping","id":"plain"}');
    seen.channel.publish('hostbus.rpc', 'h1', body, { replyTo: seen.replyQueue });
    const message = await until('an answer', () => seen.answers[0]);
    assert.equal(message.properties.correlationId, undefined);
    await seen.close();
  });

  test('A request without a place for the answer runs, and counts as not answered.', async () => {
    const { client } = bus;
    const body = Buffer.from('{"jsonrpc":"2.0","method":"work","params":{"ms":1},"id":"silent"}');
    client.channel.publish('hostbus.rpc', 'h1', body);
    const task = await until('the task has ended', async () => {
      const { result } = await client.rpc('h1', 'waitTask', { taskId: 'silent' });
      return result as { state: string; answered: boolean } | undefined;
    });
    assert.equal(task.state, 'succeeded');
    assert.equal(task.answered, false);
  });

  test('A host that answers in vain goes on: the queue has gone.', async () => {
    const { client } = bus;
    client.start('h1', 'ping', {}, 'lost', { replyTo: 'no-such-queue' });
    client.start('h1', 'ping', {}, 'lost-2', { replyTo: '/exchange/amq.direct/nobody' });
    await client.result('h1', 'ping');
  });

  for (const replyTo of [
    '/exchange/hostbus.rpc/h1',
    '/exchange/hostbus.events/h1.task.succeeded.x',
    '/exchange/amq.fanout/x',
    '/exchange/amq.headers/x',
    '/exchange/amq.match/x',
    '/exchange//hostbus.rpc.h1',
    '/exchange/amq.topic',
    '/exchange/mine/x',
    '/exchange/%68ostbus.rpc/h1',
    '/queue/hostbus.rpc.h2',
    '/queue/hostbus%2Erpc.h2',
    '/reply-queue/hostbus.rpc.h1',
    'hostbus.rpc.h1',
    '/amq/queue/x',
    '/temp-queue/x',
    '/dsub/x',
    '/queue/',
    '/queue/%zz',
    '/',
  ]) {
    test(`A request that wants its answer at ${replyTo} is refused: it does not run, and the log says why.`, async () => {
      const { client, daemon } = bus;
      const taskId = `refused ${replyTo}`;
      client.start('h1', 'work', { ms: 0 }, taskId, { replyTo });
      const error = await client.error('h1', 'getTaskStatus', { taskId });
      assert.equal(error.data.name, 'TaskNotFound');
      await until('a line in the log', () =>
        daemon.log.some((line) => line.replyTo === replyTo && typeof line.reason === 'string'),
      );
    });
  }

  for (const replyTo of [
    'amq.rabbitmq.reply-to.garbage',
    '/queue/amq.rabbitmq.reply-to',
    '/queue/amq.rabbitmq.reply-to.%00',
    '/topic/..#.*',
    `/exchange/amq.direct/${'k'.repeat(230)}`,
    'x'.repeat(255),
  ]) {
    test(`A destination such as ${replyTo.slice(0, 50)} costs the host neither its connection nor its boot.`, async () => {
      const { client } = bus;
      client.start('h1', 'ping', {}, 'garbage', { replyTo });
      const stats = await client.result<{ broker: { reconnects: number } }>('h1', 'getHostStats');
      assert.equal(stats.broker.reconnects, 0);
    });
  }

  // RabbitMQ 3.10 ends the whole connection of whoever publishes to a direct reply-to that it cannot decode.
  test('A forged direct reply-to, at which the broker fails, costs the host neither its connection nor a request.', async () => {
    const { client } = bus;
    await bus.startHost('h-forged');
    // The second one is well-formed, of a broker node that does not exist.
    const node = 'g1h2AA9yZXBseUAxMjM0NTY3ODkAAAKyAAAAAGsAhTE=';
    for (const forged of ['AAAA.BBBB', `${node}.bMuY6lcG4XwWFF9LcTi+tQ==`]) {
      client.start('h-forged', 'ping', {}, 'forged', { replyTo: `amq.rabbitmq.reply-to.${forged}` });
      const { content } = await client.answer(client.start('h-forged', 'getHostStats', {}, 'stats'), 3000);
      const { result } = JSON.parse(content.toString()) as { result: { broker: { reconnects: number } } };
      assert.equal(result.broker.reconnects, 0);
    }
  });
});
