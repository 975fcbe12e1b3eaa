/** What callers see of a host's request queue: absent hosts, full queues, requests that expire, a host ID that is taken. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import amqp, { type ConfirmChannel, type Message } from 'amqplib';
import { startDaemon, type TestDaemon } from '../../lib/daemon.ts';
import { until } from '../../lib/until.ts';
import { useBus } from './bus.ts';

describe('the request queue', () => {
  const bus = useBus();
  const second: { daemon?: TestDaemon; startedAtMs?: number } = {};
  after(() => second.daemon?.kill());

  async function confirmChannel(): Promise<ConfirmChannel> {
    return bus.client.connection.createConfirmChannel();
  }

  const pingBody = (id: string) => Buffer.from(JSON.stringify({ jsonrpc: '2.0', method: 'ping', id }));

  test('A second daemon with the same host ID waits, says so, and ends with 69; the first goes on.', async () => {
    const { broker, client } = bus;
    await bus.startHost('taken', { HOSTBUS_BROKER_HEARTBEAT: '1' });
    const daemon = await startDaemon({
      hostId: 'taken',
      brokerUrl: broker.url,
      env: { HOSTBUS_BROKER_HEARTBEAT: '1' },
      wait: false,
    });
    second.daemon = daemon;
    await until('it says that it waits', () =>
      daemon.log.some(({ msg }) => msg.includes('another connection holds this host ID')),
    );
    const { code } = await daemon.exited;
    assert.equal(code, 69);
    assert.match(daemon.stderr(), /taken.*another daemon|another daemon.*taken/);
    assert.match(daemon.stderr(), /host_id/, 'it says the way out');
    await client.result('taken', 'ping');
  });

  test('A request to a host that is not there comes back at once.', async () => {
    const channel = await confirmChannel();
    const returned: Message[] = [];
    channel.on('return', (message: Message) => returned.push(message));
    channel.publish('hostbus.rpc', 'nobody', pingBody('x'), { mandatory: true, correlationId: 'back' });
    await channel.waitForConfirms();
    assert.equal(returned[0]?.properties.correlationId, 'back');
    await channel.close();
  });

  test('A host that was killed is unroutable, with no wait for a heartbeat.', async () => {
    const host = await bus.startHost('mortal');
    await host.kill();
    const channel = await confirmChannel();
    let returns = 0;
    channel.on('return', () => {
      returns += 1;
    });
    await until(
      'a return',
      async () => {
        channel.publish('hostbus.rpc', 'mortal', pingBody('x'), { mandatory: true });
        await channel.waitForConfirms();
        return returns > 0;
      },
      2000,
    );
    await channel.close();
  });

  test('A request that does not come through hostbus.rpc is refused.', async () => {
    const { client } = bus;
    client.channel.sendToQueue(
      'hostbus.rpc.h1',
      Buffer.from('{"jsonrpc":"2.0","method":"work","params":{"ms":0},"id":"smuggled"}'),
      { replyTo: client.replyQueue, correlationId: 'smuggled' },
    );
    const { content } = await client.answer('smuggled');
    assert.equal((JSON.parse(content.toString()) as { error: { code: number } }).error.code, -32600);
    assert.equal((await client.error('h1', 'getTaskStatus', { taskId: 'smuggled' })).code, -32002);
  });

  test('The exchanges are durable and of the fixed types, and the queue is exclusive and bound with the host ID.', async () => {
    const channel = await bus.client.connection.createChannel();
    await channel.assertExchange('hostbus.rpc', 'direct', { durable: true });
    await channel.assertExchange('hostbus.events', 'topic', { durable: true });
    let refusal: Error | undefined;
    channel.on('error', (error: Error) => {
      refusal = error;
    });
    await assert.rejects(channel.checkQueue('hostbus.rpc.h1'), /RESOURCE_LOCKED|405/);
    await until('the refusal', () => refusal);
  });

  test('A flooded host answers a publisher confirm with nack, and serves on.', async () => {
    const host = await bus.startHost('flooded', {
      HOSTBUS_BROKER_QUEUE_MAX_LENGTH: '5',
      HOSTBUS_BROKER_PREFETCH: '1',
    });
    host.process.kill('SIGSTOP');
    const channel = await confirmChannel();
    const outcomes: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      channel.publish('hostbus.rpc', 'flooded', pingBody(`f${i}`), {}, (error: unknown) =>
        outcomes.push(error ? 'nack' : 'ack'),
      );
    }
    await until('20 confirms', () => outcomes.length === 20);
    host.process.kill('SIGCONT');
    assert.deepEqual([...new Set(outcomes)].sort(), ['ack', 'nack']);
    assert.ok(outcomes.filter((outcome) => outcome === 'ack').length <= 7, outcomes.join());
    await until('it takes requests again', async () => {
      const outcome = new Promise((resolve) =>
        channel.publish('hostbus.rpc', 'flooded', pingBody('after'), {}, resolve),
      );
      return !(await outcome);
    });
    // The queue may still be full, and a ping one of those that are not taken.
    const pings: string[] = [];
    await until('it answers', () => {
      pings.push(bus.client.send('flooded', { jsonrpc: '2.0', method: 'ping', id: `after-${pings.length}` }));
      return pings.some((correlationId) => bus.client.hasAnswer(correlationId));
    });
    await channel.close();
  });

  test('A request that waited longer than its expiration does not run.', async () => {
    const { client } = bus;
    const host = await bus.startHost('slow', { HOSTBUS_BROKER_PREFETCH: '1' });
    host.process.kill('SIGSTOP');
    // The first fills the prefetch window; the others wait in the broker.
    client.start('slow', 'work', { ms: 0 }, 'first');
    client.start('slow', 'work', { ms: 0 }, 'expires', { expiration: '50' });
    // A queue that hands what has expired to our own tells when more time than that has passed on the broker.
    const { queue } = await client.channel.assertQueue('', {
      exclusive: true,
      deadLetterExchange: '',
      deadLetterRoutingKey: client.replyQueue,
    });
    client.channel.sendToQueue(queue, Buffer.from('{}'), { expiration: '200', correlationId: 'time' });
    await client.answer('time');
    const last = client.start('slow', 'work', { ms: 0 }, 'last');
    host.process.kill('SIGCONT');
    await client.answer(last);
    const { tasks } = await client.result<{ tasks: { taskId: string }[] }>('slow', 'listTasks');
    assert.deepEqual(
      tasks.map(({ taskId }) => taskId),
      ['first', 'last'],
    );
  });

  test('Two connections that use one correlation ID each get their own answer.', async () => {
    const { broker, client } = bus;
    const connection = await amqp.connect(broker.url);
    const channel = await connection.createChannel();
    const answers: string[] = [];
    await channel.consume(
      'amq.rabbitmq.reply-to',
      (message) => void (message && answers.push(message.content.toString())),
      { noAck: true },
    );
    channel.publish('hostbus.rpc', 'h1', pingBody('theirs'), {
      replyTo: 'amq.rabbitmq.reply-to',
      correlationId: 'same',
    });
    const mine = client.start('h1', 'ping', {}, 'ours', { correlationId: 'same' });
    assert.match((await client.answer(mine)).content.toString(), /"id":"ours"/);
    assert.match(await until('their answer', () => answers[0]), /"id":"theirs"/);
    await connection.close();
  });
});
