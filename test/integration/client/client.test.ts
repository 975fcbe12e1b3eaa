/** The client library against real hosts, on a way to the broker that breaks. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type PrivateBroker, startPrivateBroker } from '../../../rabbitmq/private-broker.ts';
import {
  BrokerRefused,
  CallTimeout,
  type Client,
  ConnectionClosed,
  connect,
  HostbusError,
  type HostEvent,
  HostUnreachable,
  OutcomeUnknown,
} from '../../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../../lib/daemon.ts';
import { startTcpProxy, type TcpProxy } from '../../lib/tcp-proxy.ts';
import { until } from '../../lib/until.ts';

let broker: PrivateBroker;
let daemon: TestDaemon;
let proxy: TcpProxy;
/** Straight to the broker. */
let direct: Client;
/** Through the proxy. */
let client: Client;

before(async () => {
  broker = await startPrivateBroker();
  proxy = await startTcpProxy(broker.url);
  daemon = await startDaemon({ hostId: 'h1', brokerUrl: broker.url, testVerbs: true });
  direct = await connect(broker.url);
  client = await connect(proxy.url);
});

after(async () => {
  await client.close();
  await direct.close();
  await proxy[Symbol.asyncDispose]();
  await daemon.kill();
  await broker.stop();
});

const running = (taskId: string) =>
  until(`${taskId} runs`, async () => {
    const { tasks } = await direct.host('h1').call('listTasks', { states: ['running'] });
    return tasks.some((task) => task.taskId === taskId);
  });

test('a host that is not there is told at once', async () => {
  await assert.rejects(client.host('nobody').call('ping', {}, { timeout: 600_000 }), HostUnreachable);
});

test('an error of the host arrives with its code, name and data', async () => {
  await assert.rejects(client.host('h1').task('nothing').status(), (error) => {
    assert.ok(error instanceof HostbusError);
    assert.equal(error.code, -32002);
    assert.equal(error.name, 'TaskNotFound');
    assert.equal(error.data.taskId, 'nothing');
    return true;
  });
});

test('two calls with one ID do not get each other’s answers', async () => {
  const h1 = client.host('h1');
  const first = h1.callUntyped('work', { ms: 60_000 }, { taskId: 'shared' });
  await running('shared');
  await assert.rejects(h1.callUntyped('work', { ms: 1 }, { taskId: 'shared' }), { name: 'TaskIdInUse' });
  await h1.task('shared').cancel();
  await assert.rejects(first, { name: 'Cancelled', code: -32008 });
});

test('a call that is not answered in time fails, and its task goes on', async () => {
  const h1 = client.host('h1');
  await assert.rejects(h1.callUntyped('work', { ms: 60_000 }, { taskId: 'slow', timeout: 200 }), CallTimeout);
  assert.equal((await h1.task('slow').status()).state, 'running');
  await h1.task('slow').cancel();
});

test('a signal ends the waiting, not the task', async () => {
  const h1 = client.host('h1');
  const call = h1.callUntyped('work', { ms: 60_000 }, { taskId: 'left', signal: AbortSignal.timeout(200) });
  await assert.rejects(call, { name: 'TimeoutError' });
  assert.equal((await h1.task('left').status()).state, 'running');
  await h1.task('left').cancel();
});

test('the outcome of a call whose answer was lost is found out, and the call is not sent again', async () => {
  const call = client.host('h1').callUntyped('work', { ms: 700 }, { taskId: 'lost-answer', timeout: 60_000 });
  await running('lost-answer');
  proxy.cut();
  await direct.host('h1').task('lost-answer').wait();
  proxy.mend();
  assert.deepEqual(await call, { worked: 700 });
  const { tasks } = await direct.host('h1').call('listTasks', { methods: ['work'] });
  assert.equal(tasks.filter((task) => task.taskId === 'lost-answer').length, 1);
});

test('the failure of a call whose answer was lost is found out', async () => {
  const params = { ms: 500, fail: 'NoSpace' };
  const call = client.host('h1').callUntyped('work', params, { taskId: 'lost-failure', timeout: 60_000 });
  await running('lost-failure');
  proxy.cut();
  await direct.host('h1').task('lost-failure').wait();
  proxy.mend();
  await assert.rejects(call, { name: 'NoSpace', code: 1008 });
});

test('a call that never arrived is not taken for an earlier one with the same ID', async () => {
  const h1 = client.host('h1');
  await h1.callUntyped('work', { ms: 1 }, { taskId: 'used-again' });
  proxy.swallow();
  const call = h1.callUntyped('work', { ms: 2 }, { taskId: 'used-again', timeout: 60_000 });
  const outcome = assert.rejects(call, OutcomeUnknown);
  await direct.host('h1').call('ping', {});
  proxy.cut();
  proxy.mend();
  await outcome;
});

test('a call that only reads is sent again after the connection was lost', async () => {
  const work = direct.host('h1').callUntyped('work', { ms: 1500 }, { taskId: 'awaited' });
  await running('awaited');
  const wait = client
    .host('h1')
    .call('waitTask', { taskId: 'awaited', timeout: 60_000 }, { timeout: 60_000 });
  await client.host('h1').call('ping', {});
  proxy.cut();
  proxy.mend();
  assert.equal((await wait).state, 'succeeded');
  await work;
});

test('a call made while the broker is away is sent when it is back', async () => {
  proxy.cut();
  const h1 = client.host('h1');
  await until('the client has noticed', () =>
    h1.notify('ping', {}).then(
      () => false,
      (error: unknown) => error instanceof ConnectionClosed,
    ),
  );
  const call = h1.callUntyped('work', { ms: 1 }, { timeout: 60_000 });
  proxy.mend();
  assert.deepEqual(await call, { worked: 1 });
});

test('a subscription lives on after the connection was lost, and tells of the gap', async () => {
  const events = client.events({ host: 'h1', kind: 'task' });
  await events.ready;
  let gaps = 0;
  events.onGap(() => {
    gaps += 1;
  });
  const seen: HostEvent[] = [];
  const reading = (async () => {
    for await (const event of events) seen.push(event);
  })();
  proxy.cut();
  proxy.mend();
  await until('the gap is told', () => gaps === 1);
  await direct.host('h1').callUntyped('work', { ms: 1 }, { taskId: 'after-gap' });
  await until('its event comes', () =>
    seen.some((event) => event.id === 'after-gap' && event.event === 'succeeded'),
  );
  await events.close();
  await reading;
});

test('following a task sees its end although the connection was lost meanwhile', async () => {
  const h1 = client.host('h1');
  const work = { ms: 3000, answerAfter: 0, steps: 30 };
  await h1.callUntyped('work', work, { taskId: 'followed' });
  const states: string[] = [];
  for await (const task of h1.task('followed').follow({ timeout: 60_000 })) {
    states.push(task.state);
    if (states.length === 2) {
      proxy.cut();
      proxy.mend();
    }
  }
  assert.equal(states.at(-1), 'succeeded');
  assert.ok(states.length >= 3);
});

test('a subscriber does not believe events that did not come through the exchange of events', async () => {
  const events = direct.events({ host: 'h1', kind: 'task' });
  await events.ready;
  const queues = await broker.ctl('list_queues', 'name', '--quiet', '--no-table-headers');
  const forged = {
    specversion: '1.0',
    type: 'hostbus.task.succeeded',
    source: '/hosts/h1',
    subject: 'forged',
    bootid: 'x',
    sequence: '1',
    data: {},
  };
  const { connect: connectAmqp } = await import('amqplib');
  const connection = await connectAmqp(broker.url);
  const channel = await connection.createConfirmChannel();
  for (const queue of queues.split('\n').filter((name) => name.startsWith('amq.gen-'))) {
    channel.sendToQueue(queue.trim(), Buffer.from(JSON.stringify(forged)));
  }
  channel.publish(
    'hostbus.events',
    'h1.task.succeeded.x',
    Buffer.from('{"source":"/hosts/h2","type":"hostbus.task.x"}'),
  );
  await channel.waitForConfirms();
  await connection.close();
  await direct.host('h1').callUntyped('work', { ms: 1 }, { taskId: 'genuine' });
  for await (const event of events) {
    assert.equal(event.id, 'genuine');
    if (event.event === 'succeeded') break;
  }
});

test('when the host was restarted meanwhile, the outcome of a lost call is unknown', async () => {
  const other = await startDaemon({ hostId: 'h2', brokerUrl: broker.url, testVerbs: true });
  const call = client.host('h2').callUntyped('work', { ms: 60_000 }, { taskId: 'gone', timeout: 60_000 });
  await until(
    'it runs',
    async () =>
      (await direct
        .host('h2')
        .task('gone')
        .status()
        .catch(() => undefined)) !== undefined,
  );
  await other.kill();
  const again = await startDaemon({ hostId: 'h2', brokerUrl: broker.url, testVerbs: true });
  await assert.rejects(call, OutcomeUnknown);
  await assert.rejects(client.host('h2').task('gone').wait(), { name: 'TaskNotFound' });
  await again.kill();
});

test('following a task of a host that was restarted says that it is forgotten', async () => {
  const options = {
    hostId: 'h3',
    brokerUrl: broker.url,
    testVerbs: true,
    env: { HOSTBUS_EVENTS_HEARTBEAT: '0.2' },
  };
  const other = await startDaemon(options);
  const h3 = client.host('h3');
  await h3.callUntyped('work', { ms: 60_000, answerAfter: 0 }, { taskId: 'cut-short' });
  let restarted: TestDaemon | undefined;
  await assert.rejects(
    async () => {
      for await (const task of h3.task('cut-short').follow({ timeout: 60_000 })) {
        if (restarted !== undefined) assert.fail(`still ${task.state}`);
        await other.kill();
        restarted = await startDaemon(options);
      }
    },
    { name: 'TaskNotFound' },
  );
  await restarted?.kill();
});

test('a host whose queue is full is Overloaded, not silent', async (t) => {
  const env = { HOSTBUS_BROKER_QUEUE_MAX_LENGTH: '5', HOSTBUS_BROKER_PREFETCH: '1' };
  const other = await startDaemon({ hostId: 'h4', brokerUrl: broker.url, testVerbs: true, env });
  t.after(() => other.kill());
  other.process.kill('SIGSTOP');
  const refusals: unknown[] = [];
  const calls = Array.from({ length: 20 }, () => direct.host('h4').callUntyped('echo', { text: 'x' }));
  for (const call of calls) call.catch((error: unknown) => refusals.push(error));
  await until('the rest is refused', () => refusals.length === 14);
  assert.ok(refusals.every((error) => error instanceof HostbusError && error.name === 'Overloaded'));
  other.process.kill('SIGCONT');
  const settled = await Promise.allSettled(calls);
  assert.equal(settled.filter((outcome) => outcome.status === 'fulfilled').length, 6);
});

test('who may not send requests is told so, at the call', async () => {
  await broker.ctl('add_user', 'looker', 'secret');
  await broker.ctl('set_permissions', 'looker', '^amq\\.gen.*', '^amq\\.gen.*', '.*');
  const looker = await connect(broker.urlFor('looker', 'secret'));
  await assert.rejects(looker.host('h1').call('ping', {}), BrokerRefused);
  await looker.close();
});

test('wrong credentials are refused at once, and a broker that is not there after the time given', async () => {
  await assert.rejects(connect(broker.urlFor('nobody', 'wrong')), BrokerRefused);
  await assert.rejects(connect('amqp://127.0.0.1:1', { connectTimeout: 300 }), ConnectionClosed);
});

test('closing the client fails what waits', async () => {
  const closing = await connect(broker.url);
  const call = closing.host('h1').callUntyped('work', { ms: 60_000 }, { taskId: 'abandoned' });
  const outcome = assert.rejects(call, ConnectionClosed);
  await running('abandoned');
  await closing.close();
  await outcome;
  await direct.host('h1').task('abandoned').cancel();
});
