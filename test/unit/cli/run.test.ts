import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostbusError } from '../../../schemas/errors.ts';
import { BrokerRefused, CallTimeout, ConnectionClosed, OutcomeUnknown } from '../../../src/client/errors.ts';
import { type FakeHost, runFake, taskOf } from './fake-bus.ts';

const domainId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
const imageId = '0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01';
const image = `${domainId}/${imageId}`;
const ping = { hostId: 'h1', bootId: 'boot1', time: '2026-01-01T00:00:00.000Z' };
const h1: FakeHost = { answer: (method) => (method === 'ping' ? ping : undefined) };
const [gib, done] = [1024 ** 3, { done: 1024 ** 3, total: 1024 ** 3, unit: 'bytes' }];

const copying: FakeHost = {
  answer: (_method, _params, { taskId }) => ({ image: {}, taskId }),
  follow: (taskId) => [
    taskOf({ taskId, progress: { done: gib / 2, total: gib, unit: 'bytes' }, phase: 'copying' }),
    taskOf({
      taskId,
      state: 'succeeded',
      finishedAt: '2026-01-01T00:00:02.000Z',
      progress: done,
      result: { fine: true },
    }),
  ],
};

function answering(error: Error): FakeHost {
  return { answer: () => error };
}

test('A result is printed as names and values, or as exact JSON', async () => {
  const forPeople = await runFake(['call', 'h1', 'ping'], { hosts: { h1 } });
  assert.deepEqual(forPeople, {
    code: 0,
    stdout: 'hostId  h1\nbootId  boot1\ntime    2026-01-01T00:00:00.000Z\n',
    stderr: '',
  });
  const forPrograms = await runFake(['call', 'h1', 'ping', '--json'], { hosts: { h1 } });
  assert.deepEqual(forPrograms, { code: 0, stdout: `${JSON.stringify(ping)}\n`, stderr: '' });
});

test('The params are typed by the document of the host, and the task has the ID that was given', async () => {
  let sent: unknown;
  const host: FakeHost = {
    answer: (method, params, options) => {
      sent = { method, params, taskId: options.taskId, timeout: options.timeout };
      return {};
    },
  };
  const words = ['call', 'h1', 'waitTask', 'taskId=7', 'timeout=100', '--id', '42', '--timeout', '1.5'];
  assert.equal((await runFake(words, { hosts: { h1: host } })).code, 0);
  assert.deepEqual(sent, {
    method: 'waitTask',
    params: { taskId: '7', timeout: 100 },
    taskId: '42',
    timeout: 1500,
  });
});

test('Parameters come from standard input where the line says -', async () => {
  let sent: unknown;
  const host: FakeHost = {
    answer: (_method, params) => {
      sent = params;
      return {};
    },
  };
  const words = ['call', 'h1', 'getTaskStatus', '-'];
  await runFake(words, { hosts: { h1: host }, stdin: '{"taskId": "x"}\n' });
  assert.deepEqual(sent, { taskId: 'x' });
  assert.equal((await runFake(words, { hosts: { h1: host }, stdin: 'hello' })).code, 2);
});

test('A notification is sent and not waited for', async () => {
  const sent: unknown[] = [];
  const host: FakeHost = { notified: (...words) => sent.push(words) };
  const outcome = await runFake(['call', 'h1', 'cancelTask', 'taskId=a', '--notify'], {
    hosts: { h1: host },
  });
  assert.equal(outcome.code, 0);
  assert.deepEqual(sent, [['cancelTask', { taskId: 'a' }]]);
  assert.equal((await runFake(['call', 'h1', 'ping', '--notify', '--follow'], { hosts: { h1 } })).code, 2);
});

test('Each sort of failure has its exit status, and says the way out', async () => {
  const call = ['call', 'h1', 'ping'];
  const cases: [Error, number, RegExp][] = [
    [
      new HostbusError('Overloaded', 'Too much to do', { limit: 1, retryAfter: 250 }),
      1,
      /Try again in 250 ms/,
    ],
    [new HostbusError('Cancelled', 'Was cancelled', {}), 7, /Was cancelled/],
    [new CallTimeout('t1', 5), 4, /--timeout/],
    [new OutcomeUnknown('h1', 't1'), 6, /may or may not have run/],
    [new ConnectionClosed('gone'), 5, /RabbitMQ/],
    [new TypeError('a mistake'), 70, /a mistake/],
  ];
  for (const [error, code, wayOut] of cases) {
    const outcome = await runFake(call, { hosts: { h1: answering(error) } });
    assert.equal(outcome.code, code, error.message);
    assert.match(outcome.stderr, wayOut);
    assert.match(outcome.stderr, /^hostbus: /);
    assert.equal(outcome.stdout, '');
  }
  const unreachable = await runFake(['call', 'h9', 'ping'], { hosts: { h1 } });
  assert.equal(unreachable.code, 3);
  assert.match(unreachable.stderr, /h9.*\nWhich hosts are there: hostbus hosts/);
  const refused = await runFake(call, { connectError: new BrokerRefused('ACCESS_REFUSED') });
  assert.equal(refused.code, 5);
  assert.match(refused.stderr, /amqp:\/\/localhost/);
});

test('No failure shows the password of the broker', async () => {
  const env = { HOSTBUS_URL: 'amqp://me:s3cret@broker.example/vhost,amqps://me:s3cret@other' };
  const outcome = await runFake(['call', 'h1', 'ping'], { connectError: new ConnectionClosed('gone'), env });
  assert.match(outcome.stderr, /amqp:\/\/me:\*\*\*@broker\.example\/vhost, amqps:\/\/me:\*\*\*@other/);
  assert.doesNotMatch(outcome.stderr, /s3cret/);
  const wrong = await runFake(['call', 'h1', 'ping'], { env: { HOSTBUS_URL: 'http://me:s3cret@x' } });
  assert.equal(wrong.code, 2);
  assert.doesNotMatch(wrong.stderr, /s3cret/);
});

test('With --json a failure is one JSON document on standard output', async () => {
  const error = new HostbusError('ImageBusy', 'In use', { domainId, holder: { hostId: 'h2' } });
  const outcome = await runFake(['call', 'h1', 'ping', '--json'], { hosts: { h1: answering(error) } });
  assert.deepEqual(JSON.parse(outcome.stdout), {
    error: {
      code: 1006,
      message: 'In use',
      data: { domainId, holder: { hostId: 'h2' }, name: 'ImageBusy' },
      exitCode: 1,
    },
  });
  assert.equal(outcome.stderr, '');
  const usage = await runFake(['imge', '--json']);
  const document = JSON.parse(usage.stdout) as {
    error: { code: unknown; data: { name: string }; exitCode: number };
  };
  assert.deepEqual(
    [document.error.code, document.error.data.name, document.error.exitCode],
    [null, 'UsageError', 2],
  );
});

test('The task that holds an ID is shown to whoever wanted the ID', async () => {
  const task = taskOf({ progress: { done: 45, total: 100, unit: 'steps' } });
  const error = new HostbusError('TaskIdInUse', 'The ID copy-42 is in use', { task });
  const outcome = await runFake(['image', 'delete', 'h1', image, '--id', 'copy-42'], {
    hosts: { h1: answering(error) },
  });
  assert.equal(outcome.code, 1);
  assert.match(outcome.stderr, /copy-42 is running: copyImage, 45 %, since 2026/);
  assert.match(outcome.stderr, /hostbus task wait h1 copy-42/);
});

test('Wrong parameters that only the host knows to be wrong are told one by one', async () => {
  const errors = [{ path: '/taskId', message: 'must not be a palindrome' }];
  const host = answering(new HostbusError('InvalidParams', 'The parameters do not fit', { errors }));
  const outcome = await runFake(['call', 'h1', 'getTaskStatus', 'taskId=anna'], { hosts: { h1: host } });
  assert.equal(outcome.code, 1);
  assert.match(
    outcome.stderr,
    / {2}\/taskId: must not be a palindrome\nWhat it takes: hostbus verbs h1 getTaskStatus/,
  );
});

test('Following shows lines without a terminal, and the result at the end', async () => {
  const outcome = await runFake(
    ['image', 'copy', 'h1', image, `${domainId}/new`, '--id', 'copy-42', '--follow'],
    {
      hosts: { h1: copying },
    },
  );
  assert.equal(outcome.code, 0);
  assert.match(outcome.stderr, /copy-42 copying: 50 %, 512 MiB of 1 GiB\n/);
  assert.match(outcome.stderr, /copy-42: copyImage succeeded, 1 GiB, in 2 s, 512 MiB\/s/);
});

test('A copy flattens when it is told to, and an image tells of how many volumes it is', async () => {
  const seen: unknown[] = [];
  const chain = [imageId, domainId];
  const state = { domainId, imageId, volumeId: domainId, status: 'copying', format: 'qcow2', chain };
  const numbers = { capacity: 1024, allocated: 0, generation: 0, createdAt: '2026-01-01T00:00:00Z' };
  const host = {
    answer: (_method: string, params: unknown) => {
      seen.push(params);
      return { image: { ...state, ...numbers }, taskId: 'copy-42' };
    },
  };
  const words = ['image', 'copy', 'h1', image, image];
  const plain = await runFake(words, { hosts: { h1: host } });
  await runFake([...words, '--flatten'], { hosts: { h1: host } });
  const ref = { domainId, imageId };
  assert.deepEqual(seen, [
    { source: ref, target: ref },
    { source: ref, target: ref, chain: 'flatten' },
  ]);
  assert.match(plain.stdout, /volumes +2\n/);
});

test('Following shows a bar on a terminal, in one line that is cleared at the end', async () => {
  const words = [
    'call',
    'h1',
    'importImage',
    `domainId=${domainId}`,
    `imageId=${imageId}`,
    'path=/a',
    '--follow',
  ];
  const outcome = await runFake(words, { hosts: { h1: copying }, columns: 100 });
  assert.equal(outcome.code, 0);
  assert.match(outcome.stderr, /\r\u001b\[K\w{16} copying {2}\[#+-+\] {2}50 %/);
  assert.match(outcome.stderr, /\r\u001b\[K\u001b\[2m\w{16}: copyImage succeeded/);
  assert.match(outcome.stdout, /fine.*true/);
});

test('Following with --json gives the task as JSON lines, its end last; --quiet gives the result alone', async () => {
  const words = ['image', 'copy', 'h1', image, `${domainId}/new`, '--follow'];
  const outcome = await runFake([...words, '--json'], { hosts: { h1: copying } });
  const states = outcome.stdout
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { state: string }).state);
  assert.deepEqual(states, ['running', 'succeeded']);
  assert.equal(outcome.stderr, '');
  const quiet = await runFake(
    ['call', 'h1', 'deleteImage', `domainId=${domainId}`, `imageId=${imageId}`, '--follow', '--quiet'],
    {
      hosts: { h1: copying },
    },
  );
  assert.deepEqual([quiet.stdout, quiet.stderr], ['fine  true\n', '']);
});

test('A followed task that fails or is cancelled says so, and so does the exit status', async () => {
  const error = { code: 1008, message: 'The file system is full', data: { name: 'NoSpace' } };
  const ends = { failed: 1, cancelled: 7 } as const;
  for (const state of ['failed', 'cancelled'] as const) {
    const host: FakeHost = {
      ...copying,
      follow: () => [taskOf({ state, ...(state === 'failed' && { error }) })],
    };
    const words = ['image', 'copy', 'h1', image, `${domainId}/new`, '--follow'];
    const outcome = await runFake(words, { hosts: { h1: host } });
    assert.equal(outcome.code, ends[state]);
    assert.match(outcome.stderr, state === 'failed' ? /failed: The file system is full/ : /was cancelled/);
    const json = await runFake([...words, '--json'], { hosts: { h1: host } });
    assert.equal(json.code, ends[state]);
    assert.equal(json.stdout.trim().split('\n').length, 1, 'the task itself, and nothing after it');
  }
});

test('A host that forgot the task that it had taken on leaves the outcome unknown', async () => {
  const forgotten = new HostbusError('TaskNotFound', 'No such task', { taskId: 'copy-42', bootId: 'boot2' });
  const host: FakeHost = { ...copying, follow: () => [taskOf({}), forgotten] };
  const outcome = await runFake(['image', 'copy', 'h1', image, `${domainId}/new`, '--follow'], {
    hosts: { h1: host },
  });
  assert.equal(outcome.code, 6);
  const never = await runFake(['task', 'wait', 'h1', 'x'], { hosts: { h1: { follow: () => [forgotten] } } });
  assert.equal(never.code, 1);
  assert.match(never.stderr, /hostbus task list h1/);
});

test('Ctrl-C while following says that the task goes on, and how to cancel it', async () => {
  const host: FakeHost = {
    ...copying,
    follow: async function* (taskId) {
      yield taskOf({ taskId, phase: 'copying' });
    },
  };
  const words = ['image', 'copy', 'h1', image, `${domainId}/new`, '--id', 'copy 42', '--follow'];
  const outcome = await runFake(words, { hosts: { h1: host }, interruptAt: /copying/ });
  assert.equal(outcome.code, 130);
  assert.match(outcome.stderr, /Task copy 42 goes on at h1\..*hostbus task cancel h1 'copy 42'/);
});

test('Ctrl-C while waiting for an answer ends at once', async () => {
  const host: FakeHost = { answer: () => new Promise(() => undefined) };
  const words = [
    'call',
    'h1',
    'deleteImage',
    `domainId=${domainId}`,
    `imageId=${imageId}`,
    '--follow',
    '--id',
    'd1',
  ];
  const outcome = await runFake(words, {
    hosts: { h1: { ...host, follow: () => [taskOf({ taskId: 'd1' })] } },
    interruptAt: /running/,
  });
  assert.equal(outcome.code, 130);
  assert.match(outcome.stderr, /Task d1 goes on at h1/);
});

test('A verb that answers late is watched while its answer is awaited', async () => {
  const late = Promise.withResolvers<object>();
  const host: FakeHost = {
    answer: () => late.promise,
    follow: async function* (taskId) {
      yield taskOf({ taskId, answered: false, progress: { done: 1, total: 4, unit: 'steps' } });
      late.resolve({});
      yield taskOf({ taskId, state: 'succeeded', result: { late: true } });
    },
  };
  const words = ['call', 'h1', 'deleteImage', `domainId=${domainId}`, `imageId=${imageId}`, '--follow'];
  const outcome = await runFake(words, { hosts: { h1: host } });
  assert.equal(outcome.code, 0);
  assert.match(outcome.stderr, /25 %, 1 of 4 steps/);
  assert.equal(outcome.stdout, 'late  true\n');
});

test('Colours are for terminals, and for those who want them', async () => {
  const [hosts, columns] = [{ h1 }, 80];
  const coloured = /\u001b\[3/;
  assert.match((await runFake(['call', 'h1', 'ping'], { hosts, columns })).stdout, coloured);
  assert.doesNotMatch((await runFake(['call', 'h1', 'ping'], { hosts })).stdout, coloured);
  assert.doesNotMatch(
    (await runFake(['call', 'h1', 'ping', '--no-color'], { hosts, columns })).stdout,
    coloured,
  );
  const env = { NO_COLOR: '1' };
  assert.doesNotMatch((await runFake(['call', 'h1', 'ping'], { hosts, columns, env })).stdout, coloured);
});

test('Events are a line each, or JSON lines, until enough have come', async () => {
  const event = {
    hostId: 'h1',
    kind: 'task',
    event: 'failed',
    id: 'copy-42',
    bootId: 'boot1',
    sequence: 7,
    time: '2026-01-01T12:00:00.123Z',
    data: taskOf({
      state: 'failed',
      error: { code: 1008, message: 'disk\nfull', data: { name: 'NoSpace' } },
    }),
  };
  const events = [event, event, event];
  const outcome = await runFake(['events', '--count', '2'], { events });
  assert.equal(outcome.code, 0);
  const line = '12:00:00.123 h1 task failed copy-42  copyImage disk␊full\n';
  assert.equal(outcome.stdout, line + line);
  const json = await runFake(['events', '--count', '1', '--json'], { events });
  assert.deepEqual(JSON.parse(json.stdout), event);
  assert.match(
    (await runFake(['events', '--kind', 'taks', '--count', '1'], { events })).stderr,
    /did you mean task\?/,
  );
});

test('Hosts are those that were heard, the latest boot of each', async () => {
  const stats = {
    uptime: 90,
    rss: 100 * 1024 ** 2,
    loadAverage: [0.5, 0, 0],
    tasks: { queued: 1, running: 2, retained: 0, accepted: 3, refused: 0 },
  };
  const heard = (hostId: string, bootId: string, event: string) => ({
    hostId,
    bootId,
    kind: 'host',
    event,
    id: hostId,
    sequence: 1,
    time: '2026-01-01T12:00:00.123Z',
    data: stats,
  });
  const events = [
    heard('h2', 'b1', 'heartbeat'),
    heard('h1', 'b1', 'heartbeat'),
    heard('h1', 'b2', 'heartbeat'),
    heard('h3', 'b1', 'stopping'),
  ];
  const outcome = await runFake(['hosts', '--wait', '0.05'], { events });
  const lines = outcome.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
  assert.deepEqual(lines, [
    ['HOST', 'BOOT', 'UPTIME', 'RUNNING', 'QUEUED', 'RSS', 'LOAD', 'SEEN'],
    ['h1', 'b2', '1:30', '2', '1', '100 MiB', '0.50', 'now'],
    ['h2', 'b1', '1:30', '2', '1', '100 MiB', '0.50', 'now'],
  ]);
  const nobody = await runFake(['hosts', '--wait', '0.01']);
  assert.deepEqual([nobody.code, nobody.stdout], [0, '']);
  assert.match(nobody.stderr, /No host was heard/);
});

test('A wrong command line is refused before anything is sent, and says how it is used', async () => {
  const cases: [string[], RegExp][] = [
    [[], /Usage: hostbus/],
    [['cal'], /Did you mean call\?/],
    [['image'], /a command is missing\nHow it is used: hostbus image --help/],
    [
      ['image', 'copy', 'h1'],
      /missing required argument 'SOURCE'\nHow it is used: hostbus image copy --help/,
    ],
    [['image', 'copy', 'h1', 'a', 'b'], /SOURCE: 'a' is not an image: write DOMAIN\/IMAGE/],
    [['image', 'create', 'h1', image, '10X'], /CAPACITY: '10X' is not a size/],
    [['image', 'create', 'h1', image, '1G', '--format', 'vhd'], /not one of raw, qcow2/],
    [['task', 'list', 'h1', '--state', 'done'], /not one of queued, running/],
    [['call', 'H1', 'ping'], /'H1' is not a host ID/],
    [['call', 'h1', 'ping', '--timeout', 'soon'], /--timeout: 'soon' is not a number of seconds/],
    [['call', 'h1', 'ping', '--id', ''], /1 to 128 characters/],
    [['call', 'h1', 'ping', '--frobnicate'], /unknown option '--frobnicate'/],
    [['call', 'h1', 'pnig'], /did you mean ping\?/],
    [['events', '--count', '0'], /--count: '0' is not a whole number/],
    [['verbs', 'copyimag'], /did you mean copyImage\?/],
    [['completion', 'fish'], /either bash or zsh/],
  ];
  for (const [words, expected] of cases) {
    const outcome = await runFake(words, { hosts: { h1 } });
    assert.equal(outcome.code, 2, words.join(' '));
    assert.match(outcome.stderr, expected);
    assert.equal(outcome.stdout, '', words.join(' '));
  }
});

test('A verb is explained in words, from the committed document or from the host', async () => {
  const alone = await runFake(['verbs', 'copyImage']);
  assert.equal(alone.code, 0);
  assert.match(alone.stdout, /source\.domainId +string/);
  assert.match(alone.stdout, /ImageBusy +1006/);
  assert.match(alone.stdout, /Example +hostbus call h1 copyImage source\.domainId=/);
  const asked = await runFake(['verbs', 'h1', 'ping'], { hosts: { h1 } });
  assert.match(asked.stdout, /a query: it leaves no task behind/);
  const all = await runFake(['verbs']);
  assert.match(all.stdout, /^VERB +ACCESS/);
});
