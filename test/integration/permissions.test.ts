import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import amqp from 'amqplib';
import { makeDefinitions } from '../../rabbitmq/definitions.ts';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';

const REPLY_TO = 'amq.rabbitmq.reply-to';
const SCRIPT = join(import.meta.dirname, '../../rabbitmq/make-definitions.ts');

const made = makeDefinitions({
  hosts: ['h1', 'h2'],
  engines: ['engine', 'other-engine'],
  subscribers: ['dashboard'],
  admins: ['operator'],
});
let broker: PrivateBroker;

before(async () => {
  broker = await startPrivateBroker({ definitions: made.definitions });
});
after(() => broker?.stop());

type Channel = amqp.ConfirmChannel;

/** Runs `use` as that user and closes the connection. */
async function as<Result>(user: string, use: (channel: Channel) => Promise<Result>): Promise<Result> {
  const connection = await amqp.connect(broker.urlFor(user, made.passwords[user] ?? ''));
  connection.on('error', () => {});
  try {
    const channel = await connection.createConfirmChannel();
    // What the broker says arrives as an error of the operation or of `refusal`.
    channel.on('error', () => {});
    return await use(channel);
  } finally {
    await connection.close();
  }
}

/** The channel's error code with which the broker answers; fails if it lets the user do it. */
async function refusalOf(user: string, attempt: (channel: Channel) => Promise<unknown>): Promise<number> {
  return as(user, async (channel) => {
    const refused = once(channel, 'error').then(([error]: { code?: number }[]) => error?.code ?? 0);
    const done = attempt(channel).then(
      () => 0,
      // Rejected: the channel's error event tells why.
      () => refused,
    );
    const code = await Promise.race([refused, done]);
    assert.notEqual(code, 0, `${user} was let do it`);
    return code;
  });
}

async function publish(
  channel: Channel,
  exchange: string,
  key: string,
  options?: amqp.Options.Publish,
): Promise<void> {
  channel.publish(exchange, key, Buffer.from('{}'), options);
  await channel.waitForConfirms();
}

async function nextMessage(channel: Channel, queue: string): Promise<() => Promise<amqp.ConsumeMessage>> {
  const { promise, resolve, reject } = Promise.withResolvers<amqp.ConsumeMessage>();
  promise.catch(() => {});
  await channel.consume(
    queue,
    (message) => (message ? resolve(message) : reject(new Error('consumer cancelled'))),
    { noAck: true },
  );
  return () => promise;
}

/** What the daemon does on a connection of host `h1` or `h2`. */
async function becomeHost(channel: Channel, hostId: string): Promise<string> {
  await channel.checkExchange('hostbus.rpc');
  await channel.checkExchange('hostbus.events');
  const { queue } = await channel.assertQueue(`hostbus.rpc.${hostId}`, {
    exclusive: true,
    durable: false,
    arguments: { 'x-max-length': 1_000, 'x-overflow': 'reject-publish' },
  });
  await channel.bindQueue(queue, 'hostbus.rpc', hostId);
  return queue;
}

describe('each role can do its job', () => {
  test('a host gets a request, an engine its answer through direct reply-to', async () => {
    await as('hostbus-h1', async (host) => {
      const request = await nextMessage(host, await becomeHost(host, 'h1'));
      await as('engine', async (engine) => {
        const answer = await nextMessage(engine, REPLY_TO);
        await publish(engine, 'hostbus.rpc', 'h1', { mandatory: true, replyTo: REPLY_TO, userId: 'engine' });
        const { properties, fields } = await request();
        assert.equal(fields.exchange, 'hostbus.rpc');
        assert.equal(properties.userId, 'engine');
        await publish(host, '', String(properties.replyTo));
        assert.equal((await answer()).content.toString(), '{}');
      });
    });
  });

  for (const queueName of ['hostbus.reply.engine.1', '']) {
    test(`an engine gets answers in a queue of its own named "${queueName}"`, async () => {
      await as('engine', async (engine) => {
        const { queue } = await engine.assertQueue(queueName, { exclusive: true });
        const answer = await nextMessage(engine, queue);
        await as('hostbus-h1', (host) => publish(host, '', queue));
        await answer();
      });
    });
  }

  for (const user of ['engine', 'dashboard']) {
    for (const queueName of [`hostbus.events.${user}.screen`, '']) {
      test(`${user} gets a host's events in a queue of its own named "${queueName}"`, async () => {
        await as(user, async (watcher) => {
          const { queue } = await watcher.assertQueue(queueName, { exclusive: true });
          await watcher.bindQueue(queue, 'hostbus.events', '*.task.#');
          const event = await nextMessage(watcher, queue);
          await as('hostbus-h1', (host) => publish(host, 'hostbus.events', 'h1.task.started.t1'));
          assert.equal((await event()).fields.routingKey, 'h1.task.started.t1');
        });
      });
    }
  }

  test('a host sends answers to amq.topic and amq.direct', async () => {
    await as('hostbus-h1', async (host) => {
      await publish(host, 'amq.topic', 'any.key');
      await publish(host, 'amq.direct', 'any.key');
    });
  });

  test('a request to a host that is not there comes back at once', async () => {
    await as('engine', async (engine) => {
      const returned = once(engine, 'return');
      await publish(engine, 'hostbus.rpc', 'h2', { mandatory: true });
      await returned;
    });
  });

  test('an operator may do anything', async () => {
    await as('operator', async (channel) => {
      await channel.assertExchange('hostbus.rpc', 'direct', { durable: true });
      await publish(channel, 'hostbus.events', 'h1.host.started.h1');
    });
    assert.match(await broker.ctl('list_users', '--silent'), /^operator\t\[administrator\]$/m);
  });

  test('an event queue that nobody reads is bounded by the policy', async () => {
    await as('dashboard', async (channel) => {
      await channel.assertQueue('hostbus.events.dashboard.long', { exclusive: true });
      const listed = await broker.ctl('list_queues', '--silent', 'name', 'policy');
      assert.match(listed, /^hostbus\.events\.dashboard\.long\thostbus-events$/m);
    });
  });
});

describe('a host is refused', () => {
  const attempts: Record<string, (channel: Channel) => Promise<unknown>> = {
    'declaring the queue of another host': (c) => c.assertQueue('hostbus.rpc.h2', { exclusive: true }),
    'declaring a queue of any other name': (c) => c.assertQueue('anything'),
    'declaring a queue that the broker names': (c) => c.assertQueue('', { exclusive: true }),
    'declaring hostbus.rpc, even as it is': (c) =>
      c.assertExchange('hostbus.rpc', 'direct', { durable: true }),
    'declaring hostbus.events, even as it is': (c) =>
      c.assertExchange('hostbus.events', 'topic', { durable: true }),
    'deleting hostbus.rpc': (c) => c.deleteExchange('hostbus.rpc'),
    'sending a request': (c) => publish(c, 'hostbus.rpc', 'h2'),
    'publishing events of another host': (c) => publish(c, 'hostbus.events', 'h2.task.started.t1'),
    'publishing events of a host whose ID only starts like its own': (c) =>
      publish(c, 'hostbus.events', 'h10.task.started.t1'),
    'publishing events without a host': (c) => publish(c, 'hostbus.events', 'task.started.h1.t1'),
    'publishing to amq.fanout': (c) => publish(c, 'amq.fanout', ''),
    'watching events': async (c) => {
      await c.assertQueue('hostbus.rpc.h1', { exclusive: true });
      await c.bindQueue('hostbus.rpc.h1', 'hostbus.events', '#');
    },
    'reading what goes through amq.topic': async (c) => {
      await c.assertQueue('hostbus.rpc.h1', { exclusive: true });
      await c.bindQueue('hostbus.rpc.h1', 'amq.topic', '#');
    },
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    test(what, async () => assert.equal(await refusalOf('hostbus-h1', attempt), 403));
  }

  test('reading or deleting the queue of another host', async () => {
    await as('hostbus-h2', async (h2) => {
      await becomeHost(h2, 'h2');
      const locked = [403, 405]; // 405: exclusive to another connection, which the broker checks first
      for (const attempt of [
        (c: Channel) => c.consume('hostbus.rpc.h2', () => {}),
        (c: Channel) => c.get('hostbus.rpc.h2'),
        (c: Channel) => c.deleteQueue('hostbus.rpc.h2'),
        (c: Channel) => c.bindQueue('hostbus.rpc.h2', 'hostbus.rpc', 'h1'),
      ]) {
        assert.ok(locked.includes(await refusalOf('hostbus-h1', attempt)));
      }
    });
  });
});

describe('an engine is refused', () => {
  const attempts: Record<string, (channel: Channel) => Promise<unknown>> = {
    'publishing events': (c) => publish(c, 'hostbus.events', 'h1.task.started.t1'),
    'sending to a queue past hostbus.rpc': (c) => publish(c, '', 'hostbus.rpc.h1'),
    'publishing to amq.topic': (c) => publish(c, 'amq.topic', 'key'),
    'declaring the queue of a host': (c) => c.assertQueue('hostbus.rpc.h1', { exclusive: true }),
    'declaring a queue under the name of another engine': (c) =>
      c.assertQueue('hostbus.reply.other-engine.1', { exclusive: true }),
    'declaring hostbus.rpc': (c) => c.assertExchange('hostbus.rpc', 'direct', { durable: true }),
    'deleting hostbus.events': (c) => c.deleteExchange('hostbus.events'),
    'listening to requests': async (c) => {
      const { queue } = await c.assertQueue('', { exclusive: true });
      await c.bindQueue(queue, 'hostbus.rpc', 'h1');
    },
    'listening to amq.topic, unless asked for with topicReplies': async (c) => {
      const { queue } = await c.assertQueue('', { exclusive: true });
      await c.bindQueue(queue, 'amq.topic', '#');
    },
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    test(what, async () => assert.equal(await refusalOf('engine', attempt), 403));
  }

  test('sending requests under the name of another', async () => {
    const attempt = (c: Channel) => publish(c, 'hostbus.rpc', 'h1', { userId: 'operator' });
    assert.equal(await refusalOf('engine', attempt), 406);
  });
});

describe('a subscriber is refused', () => {
  const attempts: Record<string, (channel: Channel) => Promise<unknown>> = {
    'sending a request': (c) => publish(c, 'hostbus.rpc', 'h1'),
    'publishing events': (c) => publish(c, 'hostbus.events', 'h1.task.started.t1'),
    'sending to a queue': (c) => publish(c, '', 'hostbus.rpc.h1'),
    'declaring a queue for answers': (c) => c.assertQueue('hostbus.reply.dashboard.1', { exclusive: true }),
    'listening to requests': async (c) => {
      const { queue } = await c.assertQueue('', { exclusive: true });
      await c.bindQueue(queue, 'hostbus.rpc', 'h1');
    },
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    test(what, async () => assert.equal(await refusalOf('dashboard', attempt), 403));
  }
});

describe('the broker cannot refuse, as docs/broker.md tells', () => {
  test('a host sending past hostbus.rpc, which the receiver sees in fields.exchange', async () => {
    await as('hostbus-h2', async (h2) => {
      const message = await nextMessage(h2, await becomeHost(h2, 'h2'));
      await as('hostbus-h1', (h1) => publish(h1, '', 'hostbus.rpc.h2'));
      assert.equal((await message()).fields.exchange, '');
    });
  });

  test('a host binding its own queue with the key of another host', async () => {
    await as('hostbus-h1', async (h1) => {
      await h1.bindQueue(await becomeHost(h1, 'h1'), 'hostbus.rpc', 'h2');
    });
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

describe('make-definitions', () => {
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8', stdio: 'pipe' });

  test('writes files that only their owner may read, and keeps passwords that are there', () => {
    const dir = mkdtempSync(join(tmpdir(), 'definitions-'));
    try {
      const read = (name: string): unknown => JSON.parse(readFileSync(join(dir, name), 'utf8'));
      run('--host', 'h1', '--engine', 'engine', '--out', dir);
      const first = read('passwords.json');
      assert.ok(first !== null && typeof first === 'object');
      run('--host', 'h1', '--host', 'h2', '--engine', 'engine', '--out', dir);
      const second = read('passwords.json');
      assert.ok(second !== null && typeof second === 'object');
      assert.deepEqual(Object.keys(second), ['hostbus-h1', 'hostbus-h2', 'engine']);
      assert.deepEqual({ ...second, ...first }, second);
      for (const name of ['passwords.json', 'definitions.json']) {
        assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600);
      }
      const clear = Object.values(second).map(String);
      assert.ok(clear.every((password) => password.length >= 32));
      const definitions = readFileSync(join(dir, 'definitions.json'), 'utf8');
      assert.ok(clear.every((password) => !definitions.includes(password)));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('names what is wrong with its arguments', () => {
    assert.throws(() => run(), /give at least one --host/);
    assert.throws(() => run('--host', 'Up'), /host ID "Up": expected/);
    assert.throws(() => run('--host', 'h1', '--engine', 'a.*'), /user name "a\.\*": expected/);
    assert.throws(() => run('--host', 'h1', '--engine', 'hostbus-h1'), /given twice/);
    assert.match(run('--help'), /Example: node rabbitmq\/make-definitions\.ts/);
  });

  test('made the definitions.json of the repository', () => {
    const committed = readFileSync(join(import.meta.dirname, '../../rabbitmq/definitions.json'), 'utf8');
    const fresh = run(
      '--host',
      'h1',
      '--engine',
      'engine',
      '--subscriber',
      'dashboard',
      '--without-passwords',
    );
    assert.deepEqual(JSON.parse(committed), JSON.parse(fresh));
  });
});
