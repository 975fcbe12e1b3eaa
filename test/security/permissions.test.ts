/** Each role tries what it may and what it must not, with the permissions that make-definitions gives it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import amqp, { type ChannelModel, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { makeDefinitions } from '../../rabbitmq/definitions.ts';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { type Client, connect, type HostEvent } from '../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';
import {
  type Attempt,
  attempts,
  attemptsTable,
  becomeHost,
  cast,
  othersQueues,
  publish,
} from './attempts.ts';

const made = makeDefinitions(cast);
const passwordOf = (user: string) => made.passwords[user] ?? '';
const connections = new Map<string, Promise<ChannelModel>>();
let broker: PrivateBroker;
/** A queue of `other-engine` that the broker named. */
let named = '';

before(async () => {
  broker = await startPrivateBroker({ definitions: made.definitions });
  const otherEngine = await channelOf('other-engine');
  await otherEngine.assertQueue(othersQueues.replies);
  await otherEngine.assertQueue(othersQueues.events);
  named = (await otherEngine.assertQueue('', { exclusive: true })).queue;
  await becomeHost(await channelOf('hostbus-h2'), 'h2');
});
after(async () => {
  for (const connection of connections.values()) await (await connection).close();
  await broker?.stop();
});

/** A channel on the user's one connection. */
async function channelOf(user: string): Promise<ConfirmChannel> {
  let connection = connections.get(user);
  if (connection === undefined) {
    connection = amqp.connect(broker.urlFor(user, passwordOf(user)), { noDelay: true });
    connections.set(user, connection);
  }
  const channel = await (await connection).createConfirmChannel();
  // What the broker says arrives as an error of the operation or of `answerOf`.
  channel.on('error', () => {});
  return channel;
}

async function answerOf(user: string, { run }: Attempt): Promise<string> {
  const channel = await channelOf(user);
  const refused = once(channel, 'error').then(([error]: { code?: number }[]) => String(error?.code));
  // Rejected: the channel's error event tells why.
  const done = run(channel, named).then(
    () => 'done',
    () => refused,
  );
  const answer = await Promise.race([refused, done]);
  if (answer === 'done') await channel.close();
  return answer;
}

async function collect(channel: ConfirmChannel, queue: string): Promise<ConsumeMessage[]> {
  const seen: ConsumeMessage[] = [];
  await channel.consume(queue, (message) => void (message && seen.push(message)), { noAck: true });
  return seen;
}

describe('with the permissions of its role', () => {
  for (const [user, list] of Object.entries(attempts)) {
    for (const attempt of list) {
      test(`${user} ${attempt.what}: ${attempt.answer}`, async () => {
        assert.equal(await answerOf(user, attempt), attempt.answer);
      });
    }
  }

  test('docs/security.md has the table of what is tried here', () => {
    const document = readFileSync(join(import.meta.dirname, '../../docs/security.md'), 'utf8');
    assert.ok(document.includes(attemptsTable()), `put this there:\n${attemptsTable()}`);
  });

  test('an operator may do anything', async () => {
    const channel = await channelOf('operator');
    await channel.assertExchange('hostbus.rpc', 'topic', { durable: true });
    await publish(channel, 'hostbus.events', 'h1.host.started.h1');
    assert.match(await broker.ctl('list_users', '--silent'), /^operator\t\[administrator\]$/m);
  });

  test('a queue that nobody reads is bounded by the policy', async () => {
    const { queue } = await (await channelOf('dashboard')).assertQueue('', { exclusive: true });
    const listed = await broker.ctl('list_queues', '--silent', 'name', 'policy');
    for (const name of [queue, ...[othersQueues.replies, othersQueues.events]]) {
      assert.ok(listed.split('\n').includes(`${name}\thostbus-clients`), listed);
    }
  });
});

describe('each role can do its job', () => {
  let daemon: TestDaemon;
  let engine: Client;
  let dashboard: Client;
  before(async () => {
    // The daemon's queue is exclusive: the attempts' own has to go.
    await (await connections.get('hostbus-h1'))?.close();
    connections.delete('hostbus-h1');
    const brokerUrl = broker.urlFor('hostbus-h1', passwordOf('hostbus-h1'));
    const env = { HOSTBUS_ACCESS_USERS: 'engine=write', HOSTBUS_ACCESS_ANONYMOUS: 'none' };
    daemon = await startDaemon({ hostId: 'h1', brokerUrl, env, testVerbs: true });
    [engine, dashboard] = await Promise.all([
      connect(broker.urlFor('engine', passwordOf('engine'))),
      connect(broker.urlFor('dashboard', passwordOf('dashboard'))),
    ]);
  });
  after(async () => {
    await engine?.close();
    await dashboard?.close();
    await daemon?.kill();
  });

  const raw = async (channel: ConfirmChannel, method: string, options: amqp.Options.Publish) => {
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const answers = await collect(channel, queue);
    const body = JSON.stringify({
      jsonrpc: '2.0',
      method,
      params: method === 'work' ? { ms: 0 } : {},
      id: 1,
    });
    await publish(channel, 'hostbus.rpc', 'h1', { replyTo: queue, ...options }, body);
    const answer = await until('the answer', () => answers[0]);
    return JSON.parse(answer.content.toString()) as { error?: { data: object }; result?: unknown };
  };

  test('a host serves, an engine calls, a subscriber watches', async () => {
    const events = dashboard.events({ kind: 'task' });
    await events.ready;
    assert.deepEqual(await engine.host('h1').callUntyped('work', { ms: 0 }, { taskId: 'job' }), {
      worked: 0,
    });
    const seen: HostEvent[] = [];
    for await (const event of events) if (seen.push(event) === 2) break;
    assert.deepEqual(
      seen.map(({ hostId, event, id }) => [hostId, event, id]),
      [
        ['h1', 'started', 'job'],
        ['h1', 'succeeded', 'job'],
      ],
    );
  });

  test('a request to a host that is not there comes back at once', async () => {
    await assert.rejects(engine.host('h3').call('ping', {}), { name: 'HostUnreachable' });
  });

  test('[access] goes by the name that the broker verified', async () => {
    const named = await raw(await channelOf('engine'), 'work', { userId: 'engine' });
    assert.deepEqual(named.result, { worked: 0 });
    const nameless = await raw(await channelOf('engine'), 'work', {});
    assert.deepEqual(nameless.error?.data, { name: 'NotAllowed', user: null, method: 'work' });
    const unlisted = await raw(await channelOf('other-engine'), 'work', { userId: 'other-engine' });
    assert.deepEqual(unlisted.error?.data, { name: 'NotAllowed', user: 'other-engine', method: 'work' });
    const above = await raw(await channelOf('engine'), 'danger', { userId: 'engine' });
    assert.deepEqual(above.error?.data, { name: 'NotAllowed', user: 'engine', method: 'danger' });
  });

  test('what the broker lets a host do, the receivers refuse: requests past hostbus.rpc', async () => {
    const body = JSON.stringify({ jsonrpc: '2.0', method: 'work', params: { ms: 0 }, id: 'smuggled' });
    await publish(await channelOf('hostbus-h2'), '', 'hostbus.rpc.h1', { userId: 'hostbus-h2' }, body);
    await assert.rejects(engine.host('h1').call('getTaskStatus', { taskId: 'smuggled' }), {
      name: 'TaskNotFound',
    });
  });

  test('what the broker lets a host do, the receivers refuse: events of another host, by every way round', async () => {
    const events = dashboard.events({ kind: 'task' });
    await events.ready;
    const witness = await channelOf('engine');
    const { queue } = await witness.assertQueue('hostbus.events.engine.witness', { exclusive: true });
    await witness.bindQueue(queue, 'hostbus.events', '#');
    const arrived = await collect(witness, queue);
    const forgery = (id: string) =>
      JSON.stringify({
        type: 'hostbus.task.failed',
        source: '/hosts/h1',
        subject: id,
        bootid: 'b',
        sequence: '1',
        data: {},
      });
    const key = 'h1.task.failed.forged';
    const h2 = await channelOf('hostbus-h2');
    await h2.deleteQueue('hostbus.rpc.h2');
    await publish(h2, '', queue, {}, forgery('default-exchange'));
    // A dead letter: the broker checks no key.
    await becomeHost(h2, 'h2', {
      'x-dead-letter-exchange': 'hostbus.events',
      'x-dead-letter-routing-key': key,
    });
    await publish(h2, '', 'hostbus.rpc.h2', { expiration: '0' }, forgery('dead-letter'));
    await until('the dead letter', () => arrived.length === 2);
    await h2.deleteQueue('hostbus.rpc.h2');
    // An exchange of its own name that hands on to hostbus.events: the broker looks at the key of the first only.
    await h2.assertExchange('hostbus.rpc.h2', 'topic', {
      durable: false,
      alternateExchange: 'hostbus.events',
    });
    await publish(h2, 'hostbus.rpc.h2', key, {}, forgery('alternate-exchange'));
    await h2.bindExchange('hostbus.events', 'hostbus.rpc.h2', '#');
    await publish(h2, 'hostbus.rpc.h2', key, {}, forgery('bound-exchange'));
    // A copy that the sender asks for: only the first key is checked, and that is the one that receivers see.
    const copies = { headers: { CC: [key] } };
    await publish(h2, 'hostbus.events', 'h2.task.failed.x', copies, forgery('copy'));
    await until(
      'all forgeries',
      () => arrived.filter(({ content }) => content.includes('/hosts/h1')).length === 5,
    );
    await h2.deleteExchange('hostbus.rpc.h2');
    await engine.host('h1').callUntyped('work', { ms: 0 }, { taskId: 'true' });
    for await (const { id } of events) {
      assert.equal(id, 'true', 'the first event that the client library takes');
      break;
    }
  });
});

describe('nobody gets in', () => {
  const logins: Record<string, [string, string]> = {
    'as guest': ['guest', 'guest'],
    'with a wrong password': ['engine', 'engine'],
    'with an empty password': ['engine', ''],
  };
  for (const [how, [user, password]] of Object.entries(logins)) {
    test(how, async () => {
      await assert.rejects(amqp.connect(broker.urlFor(user, password)), /ACCESS.REFUSED|403/);
    });
  }

  test('by password as a user made without one', async () => {
    const { definitions, passwords } = makeDefinitions({ hosts: ['h3'], withoutPasswords: true });
    assert.deepEqual(passwords, {});
    const file = join(broker.dir, 'more.json');
    await writeFile(file, JSON.stringify(definitions));
    await broker.ctl('import_definitions', file);
    for (const password of ['', 'hostbus-h3']) {
      await assert.rejects(amqp.connect(broker.urlFor('hostbus-h3', password)), /ACCESS.REFUSED|403/);
    }
  });
});
