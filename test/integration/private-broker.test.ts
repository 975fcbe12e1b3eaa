import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import amqp from 'amqplib';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { identify, isAlive } from '../../rabbitmq/process-identity.ts';
import { makeAuthority } from '../lib/certificates.ts';

const LAUNCHER_MODULE = join(import.meta.dirname, '../../rabbitmq/private-broker.ts');

/** A program that starts a broker, says where it is, and waits to be killed. */
const LAUNCHER = `
  const { startPrivateBroker } = await import(${JSON.stringify(LAUNCHER_MODULE)});
  const broker = await startPrivateBroker();
  console.log(JSON.stringify({ pid: broker.pid, dir: broker.dir, port: broker.port, url: broker.url }));
  setInterval(() => {}, 1_000);
`;

/** Living processes that name the directory in their environment or arguments: the node, its helpers, its guard. */
function processesOf(dir: string): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return false;
    return ['environ', 'cmdline'].some((file) => {
      try {
        return readFileSync(`/proc/${name}/${file}`, 'utf8').includes(dir);
      } catch {
        return false;
      }
    });
  });
}

async function eventually(what: string, condition: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `not within ${timeoutMs} ms: ${what}`);
    await delay(20);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

async function isListening(port: number): Promise<boolean> {
  const socket = connectTcp(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Runs LAUNCHER until its broker serves; the caller kills it. */
async function launchElsewhere(ids: { uid?: number; gid?: number } = {}) {
  const launcher = spawn(process.execPath, ['--input-type=module', '-e', LAUNCHER], {
    ...ids,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  launcher.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  for await (const line of createInterface({ input: launcher.stdout })) {
    const broker: { pid: number; dir: string; port: number; url: string } = JSON.parse(line);
    return { launcher, broker };
  }
  throw new Error(`the launcher ended: ${stderr}`);
}

/** As /proc/net/tcp has them: the bytes of IPv4 addresses, last first. */
function listeningAddresses(broker: PrivateBroker): (string | undefined)[] {
  const inodes = socketInodesOf(broker.pid ?? 0);
  return ['tcp', 'tcp6'].flatMap((family) =>
    readFileSync(`/proc/net/${family}`, 'utf8')
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields[3] === '0A' && inodes.has(fields[9] ?? ''))
      .map((fields) => fields[1]?.split(':')[0]),
  );
}

describe('a private broker', () => {
  let broker: PrivateBroker;

  before(async () => {
    broker = await startPrivateBroker({
      definitions: {
        users: [
          { name: 'extra', password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha256', tags: '' },
        ],
        exchanges: [
          {
            name: 'from-definitions',
            vhost: '/',
            type: 'topic',
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: {},
          },
        ],
      },
      config: 'max_message_size = 1048576',
    });
  });
  after(() => broker?.stop());

  test('serves messages under the URL that it gives', async () => {
    const connection = await amqp.connect(broker.url);
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    channel.sendToQueue(queue, Buffer.from('hello'));
    await eventuallyGets(channel, queue, 'hello');
    await connection.close();
  });

  test('listens on loopback only, with its AMQP and its distribution port', () => {
    assert.deepEqual(listeningAddresses(broker), ['0100007F', '0100007F']);
  });

  test('listens for clients on the address that it is given', async () => {
    await using elsewhere = await startPrivateBroker({ address: '127.0.0.2' });
    assert.deepEqual(listeningAddresses(elsewhere).sort(), ['0100007F', '0200007F']);
    assert.equal(new URL(elsewhere.url).hostname, '127.0.0.2');
    const connection = await amqp.connect(elsewhere.url);
    await connection.close();
  });

  test('loads definitions and extra configuration', async () => {
    const connection = await amqp.connect(broker.url);
    const channel = await connection.createChannel();
    await channel.checkExchange('from-definitions');
    await connection.close();
    assert.match(await broker.ctl('list_users'), /^extra\t/m);
    assert.match(await broker.ctl('eval', 'application:get_env(rabbit, max_message_size).'), /1048576/);
  });

  test('starts no epmd, not even when its epmd monitor asks for one', async () => {
    // On a port of its own: where the machine has an epmd already, no second one would start.
    const port = await freePort();
    await broker.ctl('eval', `os:putenv("ERL_EPMD_PORT", "${port}"), rabbit_nodes_common:ensure_epmd().`);
    const programs = processesOf(broker.dir).map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim());
    assert.ok(programs.includes('beam.smp'));
    assert.ok(!programs.includes('epmd'), programs.join(' '));
  });

  test('reports what rabbitmqctl says when a command fails', async () => {
    await assert.rejects(broker.ctl('delete_user', 'nobody-of-that-name'), /does not exist/);
  });

  test('keeps durable things, its port and changed permissions over a restart', async () => {
    const { port, url, pid } = broker;
    await publishDurably(url, 'kept', 'over a restart');
    await broker.ctl('delete_user', 'extra');
    await broker.restart();
    assert.equal(broker.port, port);
    assert.equal(broker.url, url);
    assert.notEqual(broker.pid, pid);
    assert.equal(await readOne(url, 'kept'), 'over a restart');
    // Definitions are not loaded a second time.
    assert.doesNotMatch(await broker.ctl('list_users'), /^extra\t/m);
  });

  test('is down after kill, and back with confirmed messages after restart', async () => {
    await publishDurably(broker.url, 'killed', 'confirmed');
    const node = identify(broker.pid ?? 0);
    await broker.kill();
    assert.ok(node && !isAlive(node));
    assert.equal(broker.pid, undefined);
    assert.equal(await isListening(broker.port), false);
    await broker.restart();
    assert.equal(await readOne(broker.url, 'killed'), 'confirmed');
  });

  test('says nothing while paused, and goes on when resumed', async () => {
    broker.pause();
    try {
      await assert.rejects(amqp.connect(broker.url, { timeout: 300 }), /ETIMEDOUT/);
    } finally {
      broker.resume();
    }
    await (await amqp.connect(broker.url)).close();
  });

  test('leaves no process, no file and no listener behind', async () => {
    const { dir, port } = broker;
    assert.ok(processesOf(dir).length >= 2, 'the test sees the node and its guard');
    await broker.stop();
    assert.deepEqual(processesOf(dir), []);
    assert.equal(existsSync(dir), false);
    assert.equal(await isListening(port), false);
    await broker.stop();
    await assert.rejects(broker.restart(), /stopped for good/);
  });
});

test('a start with a broken configuration fails with the words of RabbitMQ and leaves nothing', async () => {
  const parentDir = mkdtempSync(join(tmpdir(), 'broken-broker-'));
  try {
    await assert.rejects(startPrivateBroker({ parentDir, config: 'no_such_key = 1' }), /no_such_key/);
    assert.deepEqual(readdirSync(parentDir), []);
    assert.deepEqual(processesOf(parentDir), []);
  } finally {
    rmSync(parentDir, { recursive: true });
  }
});

test('a broker whose launcher is killed with SIGKILL is gone soon after, with its files', async () => {
  const { launcher, broker } = await launchElsewhere();
  assert.equal(await isListening(broker.port), true);
  launcher.kill('SIGKILL');
  await eventually('no process is left', () => processesOf(broker.dir).length === 0);
  await eventually('the directory is removed', () => !existsSync(broker.dir));
  assert.equal(await isListening(broker.port), false);
});

test('an ordinary user can start one', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('the other tests show it: this is no root');
  const nobody = { uid: 65_534, gid: 65_534 };
  const readable = spawnSync(
    process.execPath,
    ['-e', `fs.readFileSync(${JSON.stringify(LAUNCHER_MODULE)})`],
    {
      ...nobody,
      cwd: '/',
    },
  );
  if (readable.status !== 0) return t.skip('this checkout is where ordinary users cannot read it');
  const { launcher, broker } = await launchElsewhere(nobody);
  try {
    assert.match(readFileSync(`/proc/${broker.pid}/status`, 'utf8'), /^Uid:\t65534\t/m);
    await (await amqp.connect(broker.url)).close();
  } finally {
    launcher.kill('SIGKILL');
  }
  await eventually('no process is left', () => processesOf(broker.dir).length === 0);
  await eventually('the directory is removed', () => !existsSync(broker.dir));
});

/** What the launcher sets itself is left out: listeners, where the files are, what to load. */
function shippedConfig(): string {
  const text = readFileSync(join(import.meta.dirname, '../../rabbitmq/rabbitmq.conf'), 'utf8');
  return text
    .split('\n')
    .filter((line) => !/^(listeners|definitions)\.|^ssl_options\.\w+file/.test(line))
    .join('\n');
}

test('with the rabbitmq.conf for production only clients with a certificate get in over TLS', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'broker-tls-'));
  try {
    const ca = await makeAuthority(dir, 'ca');
    const server = await ca.issue('server', {
      subject: 'localhost',
      usage: 'serverAuth',
      alternativeNames: 'DNS:localhost',
    });
    await ca.issue('client', { subject: 'hostbus-h1', usage: 'clientAuth' });
    const pem = (name: string) => readFileSync(join(dir, name));
    await using broker = await startPrivateBroker({
      tls: { caFile: ca.caFile, ...server, requireClientCertificate: true },
      config: shippedConfig(),
    });
    const url = broker.tlsUrl ?? '';
    assert.match(url, /^amqps:/);
    const withCertificate = { ca: [pem('ca.crt')], cert: pem('client.crt'), key: pem('client.key') };
    await (await amqp.connect(url, withCertificate)).close();
    await assert.rejects(amqp.connect(url, { ca: [pem('ca.crt')] }));
    await assert.rejects(
      amqp.connect(url, { cert: pem('client.crt'), key: pem('client.key') }),
      /certificate/,
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

async function publishDurably(url: string, queue: string, body: string): Promise<void> {
  const connection = await amqp.connect(url);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue(queue, { durable: true });
  channel.sendToQueue(queue, Buffer.from(body), { persistent: true });
  await channel.waitForConfirms();
  await connection.close();
}

async function readOne(url: string, queue: string): Promise<string | undefined> {
  const connection = await amqp.connect(url);
  const channel = await connection.createChannel();
  const message = await channel.get(queue, { noAck: true });
  await connection.close();
  return message === false ? undefined : message.content.toString();
}

async function eventuallyGets(channel: amqp.Channel, queue: string, body: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  await channel.consume(queue, (message) => resolve(message?.content.toString()), { noAck: true });
  assert.equal(await promise, body);
}

function socketInodesOf(pid: number): Set<string> {
  const links = execFileSync('find', [`/proc/${pid}/fd`, '-type', 'l', '-printf', '%l\\n'], {
    encoding: 'utf8',
  });
  return new Set([...links.matchAll(/socket:\[(\d+)\]/g)].map(([, inode]) => inode ?? ''));
}
