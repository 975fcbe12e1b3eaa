/** `hostbus doctor` on hosts on which one thing is wrong, really. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import amqp from 'amqplib';
import { makeDefinitions } from '../../rabbitmq/definitions.ts';
import { hashPassword } from '../../rabbitmq/password-hash.ts';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { connect } from '../../src/client/client.ts';
import { examine } from '../../src/doctor/doctor.ts';
import type { Finding, Status } from '../../src/doctor/finding.ts';
import { examineSandbox } from '../../src/doctor/host.ts';
import { makeAuthority } from '../lib/certificates.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { withMirrors } from '../lib/mirror.ts';
import { until } from '../lib/until.ts';

const program = fileURLToPath(new URL('../../src/bin/hostbus.ts', import.meta.url));
const asRoot = process.getuid?.() === 0 ? {} : { skip: 'only root may do this' };
const made = makeDefinitions({ hosts: ['h1', 'h2'], engines: ['engine'] });

/** Broker users who may do less than a daemon needs; the last may not even come in. */
const poor: Record<
  string,
  { configure: string; write: string; read: string; events?: string; missing?: RegExp }
> = {
  p1: { configure: '^$', write: '.*', read: '.*', missing: /may not: declare queue hostbus\.rpc\.h1$/ },
  p2: {
    configure: '.*',
    write: '^hostbus\\.rpc\\.h1$',
    read: '.*',
    missing: /send answers; send events of h1$/,
  },
  p3: {
    configure: '.*',
    write: '^(amq\\.default|hostbus\\.events)$',
    read: '.*',
    missing: /may not: bind hostbus\.rpc\.h1 to hostbus\.rpc$/,
  },
  p4: {
    configure: '.*',
    write: '.*',
    read: '^hostbus\\.rpc$',
    missing: /may not: read queue hostbus\.rpc\.h1$/,
  },
  p5: {
    configure: '.*',
    write: '.*',
    read: '.*',
    events: '^h2\\.',
    missing: /may not: send events of h1$/,
  },
  p6: { configure: '', write: '', read: '' },
};

function definitions(): Record<string, unknown> {
  const { users, permissions, topic_permissions, ...others } = made.definitions;
  const names = Object.entries(poor);
  return {
    ...others,
    users: [...users, ...names.map(([name]) => ({ ...users[0], name, password_hash: hashPassword('pass') }))],
    permissions: [
      ...permissions,
      ...names.flatMap(([user, { configure, write, read, missing }]) =>
        missing ? [{ user, vhost: '/', configure, write, read }] : [],
      ),
    ],
    topic_permissions: [
      ...topic_permissions,
      ...names.flatMap(([user, { events }]) =>
        events ? [{ user, vhost: '/', exchange: 'hostbus.events', write: events, read: '^$' }] : [],
      ),
    ],
  };
}

let dir: string;
let root: string;
let broker: PrivateBroker;
let h1: TestDaemon;
let url: string;
let engineUrl: string;

const urlOf = (user: string) => broker.urlFor(user, made.passwords[user] ?? '');
const env = (more: Record<string, string> = {}) => ({
  HOSTBUS_HOST_ID: 'h1',
  HOSTBUS_BROKER_URL: url,
  HOSTBUS_STORAGE_ROOTS: root,
  HOSTBUS_EVENTS_HEARTBEAT: '0.5',
  ...more,
});

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hostbus-doctor-'));
  await chmod(dir, 0o755);
  root = join(dir, 'images');
  await mkdir(root);
  const ca = await makeAuthority(dir, 'ca');
  const server = await ca.issue('server', {
    subject: 'localhost',
    usage: 'serverAuth',
    alternativeNames: 'DNS:localhost,IP:127.0.0.1',
  });
  broker = await startPrivateBroker({
    definitions: definitions(),
    tls: { caFile: ca.caFile, ...server },
  });
  [url, engineUrl] = [urlOf('hostbus-h1'), urlOf('engine')];
  h1 = await startDaemon({
    hostId: 'h1',
    brokerUrl: url,
    env: {
      HOSTBUS_STORAGE_ROOTS: root,
      HOSTBUS_EVENTS_HEARTBEAT: '0.5',
      HOSTBUS_ACCESS_USERS: 'engine=admin',
    },
  });
});

after(async () => {
  await h1?.stop();
  await broker?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** What the doctor finds, in this process. */
async function find(
  more: Record<string, string> = {},
  { configFile }: { configFile?: string } = {},
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const examination = examine({
    configFile,
    env: configFile === undefined ? env(more) : more,
    user: undefined,
    withCaller: undefined,
    hangs: () => undefined,
  });
  for await (const finding of examination) findings.push(finding);
  return findings;
}

/** The one finding of that kind, which must say both what is wrong and, unless all is well, what to do. */
function the(findings: readonly Finding[], check: string, status: Status, message: RegExp): Finding {
  const found = findings.find((one) => one.check === check && message.test(one.message));
  assert.ok(found, `${check} ${message}: ${JSON.stringify(findings, undefined, 1)}`);
  assert.equal(found.status, status, found.message);
  if (status === 'failed' || status === 'warning') assert.ok((found.remedy ?? []).length > 0, found.message);
  return found;
}

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** The program itself. */
function run(
  words: readonly string[],
  more: Record<string, string> = {},
  before: string[] = [],
): Promise<Outcome> {
  const [file = '', ...args] = [...before, process.execPath, program, 'doctor', ...words];
  const options = { env: { PATH: process.env.PATH, ...env(more) }, timeout: 60_000 };
  return new Promise((resolve) => {
    execFile(file, args, options, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
  });
}

test('A host where all is well: the daemon is pinged as the caller, and notices nothing of the other checks', async () => {
  await using client = await connect(engineUrl);
  const before = await client.host('h1').call('getHostStats', {});
  const events = client.events({});
  await events.ready;
  const { code, stdout, stderr } = await run(['--json'], { HOSTBUS_URL: engineUrl });
  assert.equal(code, 0, stdout + stderr);
  assert.equal(stderr, '');
  const { status, findings } = JSON.parse(stdout) as { status: string; findings: Finding[] };
  assert.equal(status, 'ok');
  the(findings, 'configuration', 'ok', /the environment: host ID h1/);
  the(findings, 'programs', 'ok', /qemu-img version \d/);
  the(findings, 'root', 'ok', /images: .+ free, (no )?reflinks/);
  the(findings, 'broker', 'ok', /hostbus-h1:\*\*\*@.*: logged in as hostbus-h1$/);
  the(findings, 'permissions', 'ok', /user hostbus-h1 may do all/);
  the(findings, 'daemon', 'ok', /h1 answers after \d+ ms, boot /);
  assert.doesNotMatch(stdout, new RegExp(made.passwords['hostbus-h1'] ?? '-'));
  const after = await client.host('h1').call('getHostStats', {});
  assert.equal(after.broker.reconnects, before.broker.reconnects);
  assert.equal(after.tasks.refused, before.tasks.refused);
  await events.close();
  for await (const event of events) assert.equal(event.event, 'heartbeat');
});

test('Whoever may not send requests learns that a daemon serves the host ID', async () => {
  const findings = await find();
  the(findings, 'daemon', 'ok', /one serves h1/);
  the(findings, 'daemon', 'skipped', /may not send requests/);
});

test('Clocks of other hosts are looked at', async () => {
  const h2 = await startDaemon({
    hostId: 'h2',
    brokerUrl: urlOf('hostbus-h2'),
    env: { HOSTBUS_EVENTS_HEARTBEAT: '0.2' },
  });
  try {
    const { stdout } = await run([], { HOSTBUS_URL: engineUrl });
    assert.match(stdout, /^ok +clock +agrees with 1 other host$/m);
  } finally {
    await h2.stop();
  }
});

test('Without a daemon nothing is left on the broker, and the host ID stays free', async () => {
  const findings = await find({ HOSTBUS_HOST_ID: 'h2', HOSTBUS_BROKER_URL: urlOf('hostbus-h2') });
  the(findings, 'permissions', 'ok', /hostbus-h2 may do all/);
  the(findings, 'daemon', 'failed', /none serves h2/);
  const connection = await amqp.connect(broker.url);
  const channel = await connection.createChannel();
  channel.on('error', () => undefined);
  await assert.rejects(channel.checkQueue('hostbus.rpc.h2'), /NOT_FOUND/);
  await connection.close();
});

test("A queue of the host's name that is no daemon's is told", async () => {
  const connection = await amqp.connect(broker.url);
  const channel = await connection.createChannel();
  await channel.assertQueue('hostbus.rpc.h2', { durable: false });
  const findings = await find({ HOSTBUS_HOST_ID: 'h2', HOSTBUS_BROKER_URL: urlOf('hostbus-h2') });
  the(findings, 'daemon', 'failed', /hostbus\.rpc\.h2 is there, but is no daemon's/);
  await channel.deleteQueue('hostbus.rpc.h2');
  await connection.close();
});

test('Ways to the broker that do not lead there are told apart', async () => {
  const broken = async (brokerUrl: string, message: RegExp, remedy: RegExp) => {
    const findings = await find({ HOSTBUS_BROKER_URL: brokerUrl });
    const found = the(findings, 'broker', 'failed', message);
    assert.match(found.remedy?.join('\n') ?? '', remedy);
    assert.doesNotMatch(JSON.stringify(findings), /s3cret/);
    the(findings, 'daemon', 'skipped', /no broker/);
  };
  const deaf = createServer((socket) =>
    socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'),
  );
  deaf.listen(0, '127.0.0.1');
  await until('it listens', () => deaf.listening);
  const { port } = deaf.address() as { port: number };
  await broken(`amqp://h1:s3cret@127.0.0.1:${port}`, /./, /Is it RabbitMQ that listens there/);
  deaf.close();
  await until('it no longer listens', () => !deaf.listening);
  await broken(`amqp://h1:s3cret@127.0.0.1:${port}`, /nothing listens on port \d+ of 127/, /rabbitmq-server/);
  await broken('amqp://h1:s3cret@no-such-broker.invalid', /does not resolve/, /getent hosts/);
  await broken(
    broker.urlFor('hostbus-h1', 's3cret'),
    /refuses user and password/,
    /change_password hostbus-h1/,
  );
  await broken(`${url}/nothing`, /virtual host/, /add_vhost nothing/);
  const plainPort = broker.port;
  await broken(
    `amqps://h1:s3cret@127.0.0.1:${plainPort}`,
    /does not speak TLS/,
    /amqps:\/\/ is for the TLS port/,
  );
  const secure = (broker.tlsUrl ?? '').replace(/\/\/.*@/, url.slice('amqp:'.length).replace(/@.*/, '@'));
  await broken(secure, /certificate/, /broker\.tls\.ca/);
  const trusted = await find({ HOSTBUS_BROKER_URL: secure, HOSTBUS_BROKER_TLS_CA: join(dir, 'ca.crt') });
  the(trusted, 'broker', 'ok', /logged in as hostbus-h1, with TLS/);
  const missing = await find({ HOSTBUS_BROKER_URL: secure, HOSTBUS_BROKER_TLS_CA: join(dir, 'none.crt') });
  the(missing, 'broker', 'failed', /none\.crt/);
});

test('Of several brokers each is tried', async () => {
  const findings = await find({ HOSTBUS_BROKER_URL: `amqp://no-such-broker.invalid,${url}` });
  the(findings, 'broker', 'failed', /does not resolve/);
  the(findings, 'broker', 'ok', /logged in/);
  the(findings, 'permissions', 'ok', /./);
});

test('Each missing permission is named, and the commands that are told give what a host gets', async () => {
  let told: Finding | undefined;
  for (const [user, { missing }] of Object.entries(poor)) {
    const findings = await find({ HOSTBUS_BROKER_URL: broker.urlFor(user, 'pass') });
    if (missing === undefined)
      the(findings, 'broker', 'failed', /virtual host is not there, or the user may not use it/);
    else told = the(findings, 'permissions', 'failed', missing);
  }
  // what these permissions are good for is held by permissions.test.ts
  const [permission] = made.definitions.permissions;
  const topics = made.definitions.topic_permissions.filter(({ user: of }) => of === permission?.user);
  assert.ok(permission && topics.length > 0 && told);
  const user = /user (\S+) may not/.exec(told.message)?.[1];
  assert.deepEqual(told.remedy?.slice(0, -1), [
    `On the broker: rabbitmqctl set_permissions -p '/' '${user}' '${permission.configure}' '${permission.write}' '${permission.read}'`,
    ...topics.map(
      ({ exchange, write, read }) =>
        `rabbitmqctl set_topic_permissions -p '/' '${user}' ${exchange} '${write}' '${read}'`,
    ),
  ]);
});

test('A configuration that is refused, or that everybody can read, is told', async () => {
  const file = join(dir, 'etc', 'hostbusd.toml');
  await mkdir(join(dir, 'etc'), { recursive: true });
  await writeFile(file, 'host_id = "H1"\n[storage]\nroot = "/srv"\n');
  const wrong = the(
    await find({}, { configFile: file }),
    'configuration',
    'failed',
    /host_id: .*storage\.root: /,
  );
  assert.match(wrong.remedy?.join() ?? '', /--print-config/);
  the(await find({}, { configFile: join(dir, 'none.toml') }), 'configuration', 'failed', /cannot be read/);
  await writeFile(file, `host_id = "h1"\n[broker]\nurl = "${url}"\n`);
  await chmod(file, 0o644);
  the(await find({}, { configFile: file }), 'configuration', 'warning', /holds a secret, and every user/);
  await chmod(file, 0o640);
  const good = await find({}, { configFile: file });
  assert.ok(!good.some(({ check, status }) => check === 'configuration' && status !== 'ok'));
  // what the unit's environment file sets counts, over the file
  await writeFile(join(dir, 'etc', 'hostbusd.env'), 'HOSTBUS_STORAGE_ROOTS=/nonexistent\n');
  the(await find({}, { configFile: file }), 'root', 'failed', /nonexistent: does not exist/);
});

test('Storage roots and domains that cannot be used are told', async () => {
  await writeFile(join(dir, 'file'), '');
  const findings = await find({
    HOSTBUS_STORAGE_ROOTS: `${root}:${dir}/file:${dir}/none`,
    HOSTBUS_STORAGE_DOMAINS: JSON.stringify([{ id: '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11', path: root }]),
  });
  the(findings, 'root', 'ok', /images/);
  the(findings, 'root', 'failed', /file: is no directory/);
  the(findings, 'root', 'failed', /none: does not exist/);
  the(findings, 'domain', 'failed', /6f3a1a5e.* does not exist/);
  the(await find({ HOSTBUS_STORAGE_ROOTS: '' }), 'root', 'warning', /serves no storage/);
});

test('Roots that are read-only, and roots that the daemon’s user may not write, fail', asRoot, async () => {
  const readOnly = `mount --bind '${root}' '${root}' && mount -o remount,ro,bind '${root}' && exec "$0" "$@"`;
  const refused = await run([], {}, ['unshare', '-m', 'sh', '-c', readOnly]);
  assert.equal(refused.code, 8, refused.stderr);
  assert.match(refused.stdout, /^failed +root +\S+images: is read-only\n +→ /m);
  assert.match(refused.stderr, /^hostbus: This host is not in order: 1 check failed$/m);
  const stranger = await run(['--user', 'nobody']);
  assert.equal(stranger.code, 8, stranger.stderr);
  assert.match(stranger.stdout, /^ok +user +nobody/m);
  assert.match(stranger.stdout, /^failed +root +\S+images: user 65534, group \d+ may not write it/m);
});

test('Programs that are not in PATH are told', async () => {
  const { code, stdout } = await run([], { PATH: '/nonexistent' });
  assert.equal(code, 8);
  assert.match(
    stdout,
    /^failed +programs +qemu-img is not in PATH \(\/nonexistent\).*\n +→ apt install qemu-utils$/m,
  );
  assert.match(stdout, /^skipped +programs +gluster is not in PATH/m);
});

test('A root whose file system hangs is told in time, and does not hold up the end', async (t) => {
  await withMirrors(t, 1, async (_, [mirror]) => {
    mirror?.hang();
    const more = { HOSTBUS_STORAGE_ROOTS: mirror?.path ?? '', HOSTBUS_STORAGE_PROBE_TIMEOUT: '0.5' };
    const { code, stdout } = await run([], more);
    assert.equal(code, 8, stdout);
    assert.match(stdout, /^failed +root .*has not answered within 0\.5 s\n +→ .*umount -f/m);
    assert.match(stdout, /^ok +daemon/m);
  });
});

test("Roots outside the unit's ReadWritePaths fail", () => {
  const roots = ['/srv/hostbus', '/srv/hostbus/a', '/srv/hostbus-b', '/rhev'];
  const [found, ...others] = examineSandbox(['-/srv/hostbus'], roots);
  assert.match(found?.message ?? '', /only read \/srv\/hostbus-b, \/rhev$/);
  assert.deepEqual(others, []);
  assert.deepEqual(examineSandbox(['/'], roots), []);
  assert.deepEqual(examineSandbox(undefined, roots), []);
});
