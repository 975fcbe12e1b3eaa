/** The program `hostbus` as people run it: real processes, a real broker, real daemons, real disk images. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { commands } from '../../src/cli/command-list.ts';
import type { Example } from '../../src/cli/command-spec.ts';
import { connect } from '../../src/client/client.ts';
import { makeAuthority } from '../lib/certificates.ts';
import { programEnvironment, startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';

const program = fileURLToPath(new URL('../../src/bin/hostbus.ts', import.meta.url));
const domainId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
const source = `${domainId}/0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01`;
const target = `${domainId}/0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a02`;
const imported = `${domainId}/0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a03`;
const interrupted = `${domainId}/0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a04`;

let dir: string;
let root: string;
let broker: PrivateBroker;
let h1: TestDaemon;
let env: NodeJS.ProcessEnv;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hostbus-cli-'));
  root = join(dir, 'srv', 'images');
  await mkdir(root, { recursive: true });
  const shim = join(dir, 'hostbus');
  await writeFile(shim, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(shim, 0o755);
  await promisify(execFile)('qemu-img', [
    'create',
    '-q',
    '-f',
    'qcow2',
    join(root, 'debian-12.qcow2'),
    '64M',
  ]);
  broker = await startPrivateBroker();
  env = { ...programEnvironment(), PATH: `${dir}:${process.env.PATH}`, HOSTBUS_URL: broker.url, HOME: dir };
  await writeFile(
    join(dir, 'hostbusd.toml'),
    `host_id = "h1"\nbroker.url = "${broker.url}"\nstorage.roots = ["${root}"]\nevents.heartbeat = 0.5\n`,
  );
  h1 = await startH1();
  await succeed('domain', 'create', 'h1', domainId, root);
  await writeFile(join(root, 'source.raw'), randomBytes(64 * 1024 ** 2));
  await succeed('image', 'import', 'h1', source, join(root, 'source.raw'), '--format', 'raw', '--follow');
});

after(async () => {
  await h1?.stop();
  await broker?.stop();
  await rm(dir, { recursive: true, force: true });
});

function startH1(): Promise<TestDaemon> {
  return startDaemon({
    hostId: 'h1',
    brokerUrl: broker.url,
    testVerbs: true,
    env: { HOSTBUS_STORAGE_ROOTS: root, HOSTBUS_EVENTS_HEARTBEAT: '0.5' },
  });
}

interface Running {
  readonly child: ChildProcess;
  stdout: string;
  stderr: string;
  readonly ended: Promise<Outcome>;
}

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(file: string, words: readonly string[], more: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(file, words, { env: { ...env, ...more }, cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const running: Running = { child, stdout: '', stderr: '', ended: promise };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    running.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    running.stderr += text;
  });
  const tooLong = setTimeout(() => child.kill('SIGKILL'), 60_000);
  child.on('error', reject);
  child.on('close', (code) => {
    clearTimeout(tooLong);
    resolve({ code, stdout: running.stdout, stderr: running.stderr });
  });
  return running;
}

function hostbus(...words: string[]): Promise<Outcome> {
  return start(process.execPath, [program, ...words]).ended;
}

async function succeed(...words: string[]): Promise<string> {
  const outcome = await hostbus(...words);
  assert.equal(outcome.code, 0, `hostbus ${words.join(' ')}: ${outcome.stderr}`);
  return outcome.stdout;
}

async function json(...words: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await succeed(...words, '--json')) as Record<string, unknown>;
}

const refOf = (image: string) => ({ domainId, imageId: image.slice(domainId.length + 1) });

/** An image whose making was cut short: a conversion is cancelled as soon as it has begun. */
async function interruptedImage(): Promise<void> {
  await using client = await connect(broker.url);
  const host = client.host('h1');
  const target = refOf(interrupted);
  await until('a conversion is interrupted', async () => {
    const { taskId } = await host.call('convertImage', { source: refOf(source), target, format: 'qcow2' });
    // It may have ended already.
    await host
      .task(taskId)
      .cancel()
      .catch(() => undefined);
    await host.task(taskId).wait();
    if ((await host.call('getImageStatus', target)).status === 'interrupted') return true;
    await host.call('deleteImage', target);
    return false;
  });
}

/** Makes what an example takes for granted. */
async function prepare(line: string): Promise<void> {
  if (line.includes('copy-42')) await hostbus('task', 'wait', 'h1', 'copy-42', '--quiet');
  if (/image copy|importImage/.test(line)) {
    for (const made of [target, imported]) await hostbus('image', 'delete', 'h1', made);
  }
  if (/image continue/.test(line)) await interruptedImage();
  if (/image delete/.test(line)) await hostbus('image', 'create', 'h1', target, '1M');
  if (/domain connect/.test(line)) await hostbus('domain', 'disconnect', 'h1', domainId);
  if (/domain (disconnect|status)/.test(line)) await hostbus('domain', 'connect', 'h1', domainId, root);
  if (/task (status|wait|cancel)/.test(line)) {
    await succeed(
      'call',
      'h1',
      'work',
      `ms=${line.includes('cancel') ? 60_000 : 300}`,
      'answerAfter=0',
      '--id',
      'copy-42',
    );
  }
}

async function runExample({ line, endless = false }: Example): Promise<Outcome> {
  const sourced = line.startsWith('source') ? ' && complete -p hostbus' : '';
  const here = line.replaceAll('/srv/images', root).replaceAll('/etc/hostbus', dir) + sourced;
  await prepare(line);
  if (!endless) return start('bash', ['-c', here]).ended;
  const running = start('bash', ['-c', `exec ${here}`]);
  const ended = running.ended.then(() => true);
  await until(`output of ${here}`, async () => {
    // something happens to see, again and again, for whoever has subscribed by then
    await hostbus('call', 'h1', 'work', 'ms=0', 'fail=NoSpace', '--id', 'copy-42');
    return running.stdout !== '' || (await Promise.race([ended, Promise.resolve(false)]));
  });
  running.child.kill('SIGINT');
  return running.ended;
}

// those of Gluster need Gluster: test/gluster/operations.test.ts
for (const { path, examples } of commands.filter((command) => command.path[0] !== 'gluster')) {
  test(`Every example of hostbus ${path.join(' ')} --help works`, async () => {
    const check = async (example: Example) => {
      const outcome = await runExample(example);
      const wanted = example.endless === true ? 130 : 0;
      assert.equal(outcome.code, wanted, `${example.line}\n${outcome.stdout}${outcome.stderr}`);
    };
    // those that only listen need not wait for each other
    if (path[0] === 'hosts') await Promise.all(examples.map(check));
    else for (const example of examples) await check(example);
    if (path[1] === 'disconnect') await succeed('domain', 'connect', 'h1', domainId, root);
  });
}

test('The example that hostbus verbs shows for each verb fits the verb', async () => {
  const { verbs } = (await json('verbs', 'h1')) as { verbs: { name: string; query: boolean }[] };
  assert.ok(verbs.length > 20);
  const asked = verbs.filter(({ name, query }) => query && name !== 'waitTask').values();
  const check = async () => {
    // Each takes the next one that is left.
    for (const { name } of asked) {
      const shown = await succeed('verbs', 'h1', name);
      const line = /^Example +(.*)$/m.exec(shown)?.[1] ?? '';
      const { code, stderr } = await start('bash', ['-c', line]).ended;
      // the objects that it names may be missing; the line itself must not be wrong
      assert.ok(code === 0 || code === 1, `${line}: ${code} ${stderr}`);
      assert.doesNotMatch(stderr, /do not fit|InvalidParams/);
    }
  };
  await Promise.all([check(), check(), check()]);
});

test('A host that is not there, a refused call, a failed task and a time-out have different exit statuses', async () => {
  assert.equal((await hostbus('call', 'h9', 'ping')).code, 3);
  assert.equal((await hostbus('call', 'h1', 'getTaskStatus', 'taskId=never')).code, 1);
  assert.equal((await hostbus('call', 'h1', 'work', 'ms=0', 'fail=NoSpace')).code, 1);
  const late = await hostbus('call', 'h1', 'work', 'ms=60000', '--timeout', '0.3', '--id', 'late');
  assert.equal(late.code, 4);
  assert.match(late.stderr, /hostbus task status h1 late/);
  assert.equal((await hostbus('task', 'wait', 'h1', 'late', '--timeout', '0.3')).code, 4);
  assert.match(await succeed('task', 'cancel', 'h1', 'late'), /asked to stop/);
  assert.equal((await hostbus('task', 'wait', 'h1', 'late')).code, 7);
});

test('A broker that is away and one that refuses have the exit status 5, and no password is shown', async () => {
  const closed = createServer().listen(0, '127.0.0.1');
  await until('a free port', () => closed.listening);
  const address = closed.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  await promisify(closed.close.bind(closed))();
  for (const url of [`amqp://me:s3cret@127.0.0.1:${port}`, broker.urlFor('me', 's3cret')]) {
    const { code, stderr, stdout } = await start(
      process.execPath,
      [program, 'call', 'h1', 'ping', '--timeout', '1'],
      { HOSTBUS_URL: url },
    ).ended;
    assert.equal(code, 5, stderr);
    assert.match(stderr, /HOSTBUS_URL/);
    assert.doesNotMatch(stdout + stderr, /s3cret/);
  }
});

test('A second call with an ID in use is refused, and shows who has it', async () => {
  await succeed('call', 'h1', 'work', 'ms=60000', 'answerAfter=0', '--id', 'mine');
  const second = await hostbus('call', 'h1', 'work', 'ms=0', '--id', 'mine');
  assert.equal(second.code, 1);
  assert.match(second.stderr, /mine is running: work/);
  await succeed('task', 'cancel', 'h1', 'mine');
  assert.equal((await hostbus('task', 'wait', 'h1', 'mine')).code, 7);
  await succeed('call', 'h1', 'work', 'ms=0', '--id', 'mine');
});

test('Following tells progress and ends with the result', async () => {
  const outcome = await hostbus('call', 'h1', 'work', 'ms=1500', 'steps=3', '--follow', '--id', 'followed');
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.match(outcome.stderr, /followed running: \d+ %, \d of 3 steps/);
  assert.equal(outcome.stdout, 'worked  1500\n');
  const lines = (
    await succeed('call', 'h1', 'work', 'ms=1500', 'steps=3', 'answerAfter=0', '--follow', '--json')
  ).trim();
  const states = lines.split('\n').map((line) => (JSON.parse(line) as { state: string }).state);
  assert.ok(states.length >= 2, lines);
  assert.equal(states.at(-1), 'succeeded');
});

test('A check that finds a difference lists it, and has the exit status 8', async () => {
  const changed = (await json(
    'image',
    'import',
    'h1',
    `${domainId}/new`,
    join(root, 'source.raw'),
    '--format',
    'raw',
  )) as {
    image: { imageId: string; volumeId: string };
    taskId: string;
  };
  await succeed('task', 'wait', 'h1', changed.taskId);
  const { imageId, volumeId } = changed.image;
  const file = await open(join(root, domainId, 'images', imageId, volumeId), 'r+');
  await file.write(Buffer.from('changed'), 0, 7, 1024 ** 2);
  await file.close();
  const image = `${domainId}/${imageId}`;
  assert.match(await succeed('image', 'check', 'h1', image), /^result +whole$/m);
  const { code, stdout, stderr } = await hostbus(
    'image',
    'check',
    'h1',
    image,
    '--compare-with',
    source,
    '--follow',
  );
  assert.equal(code, 8, stderr);
  assert.match(stdout, /^error 1 +compared with image .* differs at offset 1048576$/m);
  assert.match(stderr, /is not in order: 1 error/);
});

test('On a terminal progress is a bar in one line', async () => {
  const line = 'hostbus image copy h1 SOURCE TARGET --id bar --follow'
    .replace('SOURCE', source)
    .replace('TARGET', `${domainId}/new`);
  const slow = 'hostbus call h1 work ms=1500 steps=5 answerAfter=0 --id slow --follow';
  const copy = await start('script', ['-qec', line, '/dev/null']).ended;
  assert.equal(copy.code, 0, copy.stdout);
  assert.match(copy.stdout, /bar: copyImage succeeded, 64 MiB/);
  const work = await start('script', ['-qec', slow, '/dev/null']).ended;
  assert.equal(work.code, 0, work.stdout);
  assert.match(work.stdout, /\r\u001b\[Kslow running {2}\[#+-+\] +\d+ % {2}\d of 5 steps/);
});

test('Ctrl-C while following leaves the task running, and says how to cancel it', async () => {
  const running = start(process.execPath, [
    program,
    ...['call', 'h1', 'work', 'ms=60000', 'answerAfter=0', '--follow', '--id', 'long'],
  ]);
  await until('the task shows up', () => running.stderr.includes('long running'));
  running.child.kill('SIGINT');
  const { code, stderr } = await running.ended;
  assert.equal(code, 130);
  assert.match(stderr, /Task long goes on at h1.*hostbus task cancel h1 long/);
  assert.equal((await json('task', 'status', 'h1', 'long')).state, 'running');
  await succeed('task', 'cancel', 'h1', 'long');
  assert.equal((await hostbus('task', 'wait', 'h1', 'long', '--quiet')).code, 7);
});

test('Whoever stops reading causes no failure', async () => {
  const piped = await start('bash', ['-c', 'hostbus events --json | head -1; echo "$PIPESTATUS"']).ended;
  const [event, status] = piped.stdout.trim().split('\n');
  assert.equal((JSON.parse(event ?? '') as { hostId: string }).hostId, 'h1');
  assert.equal(status, '0', piped.stderr);
});

test('TLS with certificates is taken from the environment and from options', async () => {
  const ca = await makeAuthority(dir, 'ca');
  const server = await ca.issue('server', {
    subject: 'localhost',
    usage: 'serverAuth',
    alternativeNames: 'DNS:localhost',
  });
  await ca.issue('client', { subject: 'client', usage: 'clientAuth' });
  await using secure = await startPrivateBroker({
    tls: { caFile: ca.caFile, ...server, requireClientCertificate: true },
  });
  const call = (words: string[], more: NodeJS.ProcessEnv) =>
    start(process.execPath, [program, 'call', 'h1', 'ping', '--timeout', '3', ...words], {
      HOSTBUS_URL: secure.tlsUrl,
      ...more,
    }).ended;
  const certificate = { HOSTBUS_TLS_CERT: 'client.crt', HOSTBUS_TLS_KEY: 'client.key' };
  const [fromEnv, fromOptions, untrusted, missing] = await Promise.all([
    call([], { HOSTBUS_TLS_CA: 'ca.crt', ...certificate }),
    call(['--ca', 'ca.crt', '--cert', 'client.crt', '--key', 'client.key'], {}),
    call([], certificate),
    call(['--ca', 'nothing.crt'], certificate),
  ]);
  // connected: there is just no host on this broker
  assert.deepEqual([fromEnv.code, fromOptions.code], [3, 3], fromEnv.stderr + fromOptions.stderr);
  assert.equal(untrusted.code, 5, untrusted.stderr);
  assert.match(untrusted.stderr, /certificate/);
  assert.equal(missing.code, 2);
  assert.match(missing.stderr, /--ca: .*nothing\.crt/);
});

test('Verbs, parameters and their types come from the host itself', async () => {
  assert.equal((await json('call', 'h1', 'subtract', 'minuend=42', 'subtrahend=23')) as unknown, 19);
  assert.match(await succeed('verbs', 'h1', 'subtract'), /minuend +number/);
  const wrong = await hostbus('call', 'h1', 'subtract', 'minuend=x', 'subtrahnd=1');
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /did you mean subtrahend\?/);
});

test('A notification runs', async () => {
  await succeed('call', 'h1', 'work', 'ms=0', 'steps=7', '--notify');
  await until('its record', async () => {
    const { tasks } = (await json('task', 'list', 'h1', '--method', 'work')) as {
      tasks: { progress?: { total: number } }[];
    };
    return tasks.some(({ progress }) => progress?.total === 7);
  });
});

test('A host that was restarted while its task was followed leaves the outcome unknown', async () => {
  const running = start(process.execPath, [
    program,
    ...['call', 'h1', 'work', 'ms=60000', 'answerAfter=0', '--follow', '--id', 'lost'],
  ]);
  await until('the task shows up', () => running.stderr.includes('lost running'));
  await h1.kill();
  h1 = await startH1();
  const { code, stderr } = await running.ended;
  assert.equal(code, 6, stderr);
  assert.match(stderr, /may or may not have run/);
});
