/** The broker goes away and comes back, is killed, stops reading, loses the host's queue: tasks go on, events come in order. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type PrivateBroker, startPrivateBroker } from '../../../rabbitmq/private-broker.ts';
import type { Task } from '../../../schemas/task.ts';
import { startDaemon, type TestDaemon } from '../../lib/daemon.ts';
import { monitoringUrl, scrape } from '../../lib/prometheus.ts';
import { until } from '../../lib/until.ts';
import { RawClient, type RpcResponse } from './raw-client.ts';

const durable = { durable: true };

describe('an outage of the broker', () => {
  let broker: PrivateBroker;
  let client: RawClient;
  const daemons: TestDaemon[] = [];

  const startHost = async (hostId: string, env: Record<string, string> = {}, wait = true) => {
    const daemon = await startDaemon({ hostId, brokerUrl: broker.url, env, wait, testVerbs: true });
    daemons.push(daemon);
    return daemon;
  };
  /** Answers come to a queue that outlives the broker; so do the events. */
  const reconnect = async () => {
    await client?.close();
    client = await RawClient.connect(broker.url, 'answers', durable);
    await client.channel.assertExchange('hostbus.rpc', 'direct', durable);
    await client.channel.assertExchange('hostbus.events', 'topic', durable);
    await client.channel.assertQueue('watched', durable);
    await client.channel.bindQueue('watched', 'hostbus.events', '#');
  };
  const serves = (hostId: string) =>
    until(`${hostId} serves`, async () => {
      const queues = await client.connection.createConfirmChannel();
      let returned = false;
      queues.on('return', () => {
        returned = true;
      });
      queues.publish('hostbus.rpc', hostId, Buffer.from('{"jsonrpc":"2.0","method":"ping","id":"look"}'), {
        mandatory: true,
      });
      await queues.waitForConfirms();
      await queues.close();
      return !returned;
    });
  const watched = async (hostId: string) => {
    const bodies: { bootid: string; sequence: number; type: string; source: string; time: string }[] = [];
    for (;;) {
      const message = await client.channel.get('watched', { noAck: true });
      if (message === false) break;
      bodies.push(JSON.parse(message.content.toString()) as (typeof bodies)[number]);
    }
    return bodies
      .filter(({ source }) => source === `/hosts/${hostId}`)
      .map((body) => ({ ...body, sequence: Number(body.sequence) }));
  };
  const status = (hostId: string, taskId: string) => client.result<Task>(hostId, 'getTaskStatus', { taskId });
  const lines = (daemon: TestDaemon, text: string) =>
    daemon.log.filter(({ msg }) => msg.includes(text)).length;

  before(async () => {
    broker = await startPrivateBroker();
    await reconnect();
  });
  after(async () => {
    await client?.close();
    await Promise.all(daemons.map((daemon) => daemon.kill()));
    await broker?.stop();
  });

  test('A daemon that starts without a broker keeps trying; tasks, answers and events outlast the next outage.', async () => {
    await client.close();
    await broker.halt();
    const daemon = await startHost('early', { HOSTBUS_EVENTS_HEARTBEAT: '1h' }, false);
    const small = await startHost('small', { HOSTBUS_EVENTS_BUFFER_MAX: '10' }, false);
    await until('it has tried twice', () => lines(daemon, 'no session with the broker') >= 2);
    await broker.restart();
    await reconnect();
    await Promise.all([serves('early'), serves('small')]);
    const { bootId } = await client.result<{ bootId: string }>('early', 'ping');

    client.start('early', 'work', { ms: 3_600_000 }, 'outlasts');
    const sent = client.start('early', 'work', { ms: 2500 }, 'answers-late');
    for (let i = 0; i < 5; i += 1) client.start('early', 'work', { ms: 2500 }, `late-${i}`);
    for (let i = 0; i < 30; i += 1) {
      client.send('small', { jsonrpc: '2.0', method: 'work', params: { ms: 2500 }, id: `many-${i}` });
    }
    await until(
      'they run',
      async () =>
        (await client.result<{ tasks: { running: number } }>('small', 'getHostStats')).tasks.running === 30,
    );
    // Events are transient, so the watching queue loses what it holds when the broker stops: it has to be empty then.
    const early = await watched('early');
    assert.equal(early[0]?.type, 'hostbus.host.started', 'kept since before the broker was there');
    assert.equal(early.length, 8, 'and the starts of seven tasks');
    await client.close();
    await broker.halt();
    assert.equal(lines(daemon, 'task ended'), 0, 'the broker is away before the tasks end');
    await until(
      'all have ended',
      () => lines(small, 'task ended') === 30 && lines(daemon, 'task ended') === 6,
    );
    await broker.restart();
    await reconnect();
    await Promise.all([serves('early'), serves('small')]);

    const outlasting = await status('early', 'outlasts');
    assert.deepEqual([outlasting.state, outlasting.bootId], ['running', bootId]);
    const answer = await client.answer(sent);
    assert.deepEqual((JSON.parse(answer.content.toString()) as RpcResponse).result, { worked: 2500 });
    assert.equal(answer.properties.headers?.['hostbus-boot'], bootId);
    const stats = await client.result<{ broker: { reconnects: number }; events: { dropped: number } }>(
      'small',
      'getHostStats',
    );
    assert.equal(stats.broker.reconnects, 1);
    assert.ok(stats.events.dropped >= 20, `${stats.events.dropped} dropped`);

    await until('the late ends', async () => early.push(...(await watched('early'))) >= 14);
    assert.deepEqual(
      [...new Set(early.map((event) => event.sequence))],
      Array.from({ length: 14 }, (_, i) => i + 1),
      'in order, without a gap',
    );
    assert.deepEqual([...new Set(early.map(({ bootid }) => bootid))], [bootId]);
  });

  test('What was dropped beyond the buffer shows as a gap, and the rest is in order.', async () => {
    await client.channel.purgeQueue('watched');
    await client.result('small', 'work', { ms: 0 }, 'fresh');
    const [first] = await until('an event', async () => {
      const events = await watched('small');
      return events.length > 0 && events;
    });
    // started, 30 starts and 30 ends came before; dropped ones have kept their numbers.
    assert.ok((first?.sequence ?? 0) >= 62);
  });

  test('A broker that is killed costs no task, its host comes back by itself, and tells no heartbeats of the outage.', async () => {
    const beating = await startHost('beating', { HOSTBUS_EVENTS_HEARTBEAT: '100ms' });
    const at = (text: string) => String(beating.log.findLast(({ msg }) => msg === text)?.time);
    await client.close();
    await broker.kill();
    await until('it has tried in vain', () => lines(beating, 'no session with the broker') >= 3);
    await broker.restart();
    await reconnect();
    await serves('early');
    assert.equal((await status('early', 'outlasts')).state, 'running');

    const lost = at('lost the broker');
    const connected = await until('it is back', () => {
      const time = at('connected to the broker');
      return time > lost && time;
    });
    const times: string[] = [];
    await until('the next heartbeats', async () => {
      times.push(...(await watched('beating')).map(({ time }) => time));
      return times.filter((time) => time > connected).length >= 2;
    });
    const stale = times.filter((time) => time > lost && time < connected);
    assert.deepEqual(stale, []);
    await beating.kill();
  });

  test('While the broker takes no messages tasks go on; then answers and events come, with no reconnect.', async () => {
    const host = await startHost('blocked', {
      HOSTBUS_EVENTS_HEARTBEAT: '100ms',
      HOSTBUS_MONITORING_LISTEN: '0',
    });
    const url = await monitoringUrl(host);
    const sent = client.start('blocked', 'work', { ms: 500 }, 'in-the-dark');
    assert.equal((await status('blocked', 'in-the-dark')).state, 'running');
    await broker.ctl('set_vm_memory_high_watermark', '0.0000001');
    await until('it is blocked', () => lines(host, 'the broker has blocked publishing') > 0);
    await until('the task ends', () => lines(host, 'task ended') > 0);
    const samples = await scrape(url);
    assert.equal(samples.get('hostbus_broker_blocked'), 1);
    assert.ok((samples.get('hostbus_events_buffered') ?? 0) > 0, 'events wait');
    assert.match(await (await fetch(`${url}/readyz`)).text(), /^not ready: the broker has blocked/);
    await broker.ctl('set_vm_memory_high_watermark', 'absolute', '1GB');
    await until('it is free', () => lines(host, 'the broker takes messages again') > 0);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    await client.answer(sent);
    assert.equal((await status('blocked', 'in-the-dark')).state, 'succeeded');
    const stats = await client.result<{ broker: { reconnects: number } }>('blocked', 'getHostStats');
    assert.equal(stats.broker.reconnects, 0);
    const sequence = (await watched('blocked')).map((event) => event.sequence);
    assert.ok(sequence.length > 5);
    assert.deepEqual(
      sequence,
      sequence.map((_, i) => (sequence[0] ?? 0) + i),
    );
    await host.kill();
  });

  test('A host whose queue was deleted under it, or whose connection was closed, serves again.', async () => {
    const { bootId } = await client.result<{ bootId: string }>('early', 'ping');
    const queue = `rabbit_misc:r(<<"/">>, queue, <<"hostbus.rpc.early">>)`;
    await broker.ctl(
      'eval',
      `{ok, Q} = rabbit_amqqueue:lookup(${queue}), rabbit_amqqueue:delete(Q, false, false, <<"management">>).`,
    );
    await serves('early');
    assert.equal((await client.result('early', 'ping')).bootId, bootId);
    await broker.ctl('close_all_connections', 'maintenance');
    await reconnect();
    await serves('early');
    const task = await status('early', 'outlasts');
    assert.deepEqual([task.state, task.bootId], ['running', bootId]);
  });
});
