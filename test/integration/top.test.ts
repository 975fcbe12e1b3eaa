/** `hostbus top` on real pseudo-terminals, with a real broker and real daemons. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import amqp from 'amqplib';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { textWidth } from '../../src/cli/text.ts';
import { type Client, connect } from '../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { type Size, startOnTerminal, type Terminal } from '../lib/terminal.ts';
import { until } from '../lib/until.ts';

const program = fileURLToPath(new URL('../../src/bin/hostbus.ts', import.meta.url));
const enter = '\x1b[?1049h';
const leave = '\x1b[?25h\x1b[?1049l';

let broker: PrivateBroker;
let daemons: TestDaemon[];
let client: Client;
let env: NodeJS.ProcessEnv;

before(async () => {
  broker = await startPrivateBroker();
  env = { PATH: process.env.PATH, HOSTBUS_URL: broker.url };
  daemons = await Promise.all(
    ['h1', 'h2'].map((hostId) =>
      startDaemon({
        hostId,
        brokerUrl: broker.url,
        testVerbs: true,
        env: { HOSTBUS_EVENTS_HEARTBEAT: '0.5' },
      }),
    ),
  );
  client = await connect(broker.url);
});

after(async () => {
  await client?.close();
  await Promise.all((daemons ?? []).map((daemon) => daemon.stop()));
  await broker?.stop();
});

async function onTerminal(
  words: readonly string[],
  size: Size,
  use: (terminal: Terminal) => Promise<void>,
): Promise<void> {
  const terminal = await startOnTerminal([process.execPath, program, 'top', ...words], size, env);
  try {
    await use(terminal);
  } finally {
    terminal.kill();
  }
}

/** Sends an event in the name of h2, of an object with this ID, past the daemon and its checks. */
async function forge(id: string): Promise<void> {
  const connection = await amqp.connect(broker.url);
  const channel = await connection.createConfirmChannel();
  const body = {
    ...{ type: 'hostbus.image.broken', source: '/hosts/h2', subject: id, bootid: 'none', sequence: '1' },
    ...{ time: new Date().toISOString(), data: {} },
  };
  channel.publish('hostbus.events', 'h2.image.broken.x', Buffer.from(JSON.stringify(body)));
  await channel.waitForConfirms();
  await connection.close();
}

const shows = (terminal: Terminal, pattern: RegExp) =>
  until(`a picture with ${pattern}`, () => pattern.test(terminal.picture().join('\n')), 20_000).catch(
    (error: Error) => assert.fail(`${error.message}\n${terminal.picture().join('\n')}`),
  );

function fits(terminal: Terminal, { rows, columns }: Size): void {
  const lines = terminal.picture();
  assert.ok(lines.length <= rows, `${lines.length} lines in ${rows} rows`);
  for (const line of lines) assert.ok(textWidth(line) < columns, `${line} in ${columns} columns`);
}

async function restored(terminal: Terminal, code: number): Promise<void> {
  const end = await terminal.ended;
  assert.deepEqual(end, { code, settingsRestored: true }, terminal.output().slice(-500));
  const output = terminal.output();
  assert.ok(output.indexOf(enter) > 0 && output.lastIndexOf(leave) > output.lastIndexOf(enter));
}

/** A task that goes on until it is cancelled. */
async function working(hostId: string, taskId: string) {
  await client.host(hostId).callUntyped('work', { ms: 100_000, steps: 100, answerAfter: 0 }, { taskId });
  return { cancel: () => client.host(hostId).task(taskId).cancel() };
}

test('All hosts, their tasks with progress, and events; q ends it, and the terminal is as before', async () => {
  const early = await working('h1', 'early');
  const size = { rows: 24, columns: 80 };
  await onTerminal(['--all'], size, async (terminal) => {
    await shows(terminal, /^h1 .*\nh2 /m);
    // it was running before anybody looked: the host was asked
    await shows(
      terminal,
      /^h1 early work +\[#*-+\] +\d+ % {2}\d+ of 100 steps {2}\S+ steps\/s {2}\S+( s)? left$/m,
    );
    const late = await working('h2', 'late');
    await shows(terminal, /^h2 late work /m);
    await shows(terminal, /^LAST EVENTS\n\S+ h2 task (answered|started) late/m);
    await forge('odd\x1b[31m\u202e');
    await shows(terminal, /h2 image broken odd␛\[31m\\u\{202e\}/);
    assert.doesNotMatch(terminal.output(), /\u202e|odd\x1b/);
    fits(terminal, size);
    await late.cancel();
    await until('it is gone', () => !/^h2 late/m.test(terminal.picture().join('\n')));
    await shows(terminal, /h2 task cancelled late/);
    terminal.press('s');
    await shows(terminal, /s sort: load/);
    terminal.press('\x1b[B');
    await shows(terminal, /^… 1 above: of 2 hosts$/m);
    terminal.press('k');
    await until('back at the top', () => !/above/.test(terminal.picture().join('\n')));
    terminal.press('q');
    await restored(terminal, 0);
  });
  await early.cancel();
});

test('It fits the terminal, however small, and follows its size', async () => {
  const task = await working('h1', 'small');
  await onTerminal(['h1'], { rows: 6, columns: 30 }, async (terminal) => {
    await shows(terminal, /^h1/m);
    fits(terminal, { rows: 6, columns: 30 });
    for (const size of [
      { rows: 1, columns: 10 },
      { rows: 2, columns: 2 },
      { rows: 3, columns: 200 },
      { rows: 40, columns: 20 },
    ]) {
      const length = terminal.output().length;
      terminal.resize(size);
      await until('it is drawn again', () => terminal.output().slice(length).split('\x1b[J').length > 3);
      fits(terminal, size);
    }
    terminal.resize({ rows: 24, columns: 80 });
    await shows(terminal, /^h1 small work /m);
    terminal.press('q');
    await restored(terminal, 0);
  });
  await task.cancel();
});

test('Ctrl-C, SIGINT and SIGTERM leave the terminal as it was', async () => {
  const endings: [end: (terminal: Terminal) => unknown, code: number][] = [
    [(terminal) => terminal.press('\x03'), 130],
    [({ pid }) => process.kill(pid, 'SIGINT'), 130],
    [({ pid }) => process.kill(pid, 'SIGTERM'), 143],
  ];
  await Promise.all(
    endings.map(([end, code]) =>
      onTerminal(['h1'], { rows: 24, columns: 80 }, async (terminal) => {
        await shows(terminal, /^h1/m);
        end(terminal);
        await restored(terminal, code);
      }),
    ),
  );
});

test('While the broker is away it says so, and goes on when it is back; one that stays away ends it', async () => {
  await onTerminal(['--all'], { rows: 24, columns: 100 }, async (patient) => {
    await onTerminal(['h1', '--timeout', '1'], { rows: 24, columns: 80 }, async (hasty) => {
      await shows(patient, /^h2/m);
      await shows(hasty, /^h1/m);
      await broker.kill();
      await shows(patient, /^The broker is away since/m);
      await restored(hasty, 5);
      assert.match(hasty.output(), /hostbus:.* The broker has been away for/);
      await broker.restart();
      await shows(patient, /^hostbus top {3}2 hosts {3}/m);
      const isBack = () =>
        client
          .host('h2')
          .call('ping', {})
          .then(
            () => true,
            () => false,
          );
      await until('h2 is back, too', isBack);
      const task = await working('h2', 'afterwards');
      await shows(patient, /^h2 afterwards/m);
      await task.cancel();
      patient.press('q');
      await restored(patient, 0);
    });
  });
});

function once(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [program, 'top', ...words],
      { env, timeout: 60_000 },
      (error, stdout, stderr) =>
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr }),
    );
  });
}

test('Where there is no terminal it prints what there is, and ends', async () => {
  const task = await working('h1', 'listed');
  const [plain, json, all, missing, neither] = await Promise.all([
    once('h1'),
    once('h1', '--json'),
    once('--all', '--once', '--wait', '1.5', '--json'),
    once('h9'),
    once(),
  ]);
  assert.equal(plain.code, 0, plain.stderr);
  assert.match(
    plain.stdout,
    /^HOST .*\nh1 .*\n\nHOST .*\nh1 +listed +work +running( +\d+ % of 100 steps)?$/m,
  );
  assert.doesNotMatch(plain.stdout, /\x1b/);
  const document = JSON.parse(json.stdout) as { hosts: { hostId: string }[]; tasks: { taskId: string }[] };
  assert.deepEqual(
    document.hosts.map(({ hostId }) => hostId),
    ['h1'],
  );
  assert.deepEqual(
    document.tasks.map(({ taskId }) => taskId),
    ['listed'],
  );
  const everybody = JSON.parse(all.stdout) as typeof document;
  assert.deepEqual(
    everybody.hosts.map(({ hostId }) => hostId),
    ['h1', 'h2'],
  );
  assert.deepEqual(
    everybody.tasks.map(({ taskId }) => taskId),
    ['listed'],
  );
  assert.equal(missing.code, 3);
  assert.equal(neither.code, 2);
  assert.match(neither.stderr, /either HOST or --all is needed/);
  await task.cancel();
});
