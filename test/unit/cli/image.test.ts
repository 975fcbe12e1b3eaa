/** `hostbus image continue`, `convert` and `check`: what is sent, what is shown, how it ends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostbusError } from '../../../schemas/errors.ts';
import { type FakeHost, runFake, taskOf } from './fake-bus.ts';

const domainId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
const imageId = '0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01';
const otherId = '0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a02';
const [image, other] = [`${domainId}/${imageId}`, `${domainId}/${otherId}`];

type Sent = [method: string, params: unknown, taskId: string | number | undefined];

/** A host that answers everything alike, and what it was sent. */
function answering(result: unknown): { h1: FakeHost; sent: Sent[] } {
  const sent: Sent[] = [];
  const h1: FakeHost = {
    answer: (method, params, { taskId }) => {
      sent.push([method, params, taskId]);
      return result;
    },
    follow: () => [taskOf({ method: 'checkImage', state: 'succeeded', result })],
  };
  return { h1, sent };
}

const copying = {
  image: {
    domainId,
    imageId,
    status: 'copying',
    format: 'raw',
    capacity: 1024,
    allocated: 0,
    generation: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
  },
  taskId: 'go-on',
};

test('continue sends the image, shows it, and says how to watch the task', async () => {
  const { h1, sent } = answering(copying);
  const { code, stdout, stderr } = await runFake(['image', 'continue', 'h1', image, '--id', 'go-on'], {
    hosts: { h1 },
  });
  assert.equal(code, 0, stderr);
  assert.deepEqual(sent, [['continueImageCopy', { domainId, imageId }, 'go-on']]);
  assert.match(stdout, /^status +copying$/m);
  assert.match(stderr, /hostbus task wait h1 go-on/);
});

test('convert sends both images and the format, which it cannot do without', async () => {
  const { h1, sent } = answering(copying);
  const words = ['image', 'convert', 'h1', image, other];
  assert.equal((await runFake([...words, '--format', 'qcow2'], { hosts: { h1 } })).code, 0);
  assert.deepEqual(sent[0]?.slice(0, 2), [
    'convertImage',
    { source: { domainId, imageId }, target: { domainId, imageId: otherId }, format: 'qcow2' },
  ]);
  const without = await runFake(words, { hosts: { h1 } });
  assert.equal(without.code, 2);
  assert.match(without.stderr, /--format is missing: the format to convert to, raw or qcow2/);
  assert.equal((await runFake([...words, '--format', 'vmdk'], { hosts: { h1 } })).code, 2);
  assert.equal(sent.length, 1);
});

test('a check that finds nothing says so, and ends with 0', async () => {
  const { h1, sent } = answering({ ok: true, errors: [] });
  const alone = await runFake(['image', 'check', 'h1', image], { hosts: { h1 } });
  assert.deepEqual(alone, { code: 0, stdout: `image   ${image}\nresult  whole\n`, stderr: '' });
  const words = ['image', 'check', 'h1', image, '--compare-with', other];
  assert.match(
    (await runFake(words, { hosts: { h1 } })).stdout,
    new RegExp(`whole, and the same as ${other}`),
  );
  const compareWith = { domainId, imageId: otherId };
  assert.deepEqual(sent[1]?.slice(0, 2), ['checkImage', { domainId, imageId, compareWith }]);
  const wrong = await runFake(['image', 'check', 'h1', image, '--compare-with', 'x'], { hosts: { h1 } });
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--compare-with: 'x' is not an image: write DOMAIN\/IMAGE/);
});

test('a check that finds errors lists them whole, and ends with 8', async () => {
  const long = `cluster 7 ${'is referenced twice '.repeat(8)}`.trim();
  const { h1 } = answering({ ok: false, errors: [long, 'it is \u001b[31mshort'] });
  for (const follow of [[], ['--follow']]) {
    const words = ['image', 'check', 'h1', image, ...follow];
    const { code, stdout, stderr } = await runFake(words, { hosts: { h1 }, columns: 60 });
    assert.equal(code, 8);
    const plain = stdout.replaceAll(/\x1b\[\d*m/g, '');
    assert.match(plain, /^result +not in order$/m);
    assert.ok(plain.includes(`error 1  ${long}\n`), plain);
    assert.ok(!stdout.includes('\u001b[31mshort'));
    assert.match(stderr, /is not in order: 2 errors/);
  }
});

test('with --json a check prints its result and nothing after it', async () => {
  const result = { ok: false, errors: ['it is short'] };
  const { h1 } = answering(result);
  const answered = await runFake(['image', 'check', 'h1', image, '--json'], { hosts: { h1 } });
  assert.deepEqual(answered, { code: 8, stdout: `${JSON.stringify(result)}\n`, stderr: '' });
  const followed = await runFake(['image', 'check', 'h1', image, '--json', '--follow'], { hosts: { h1 } });
  assert.equal(followed.code, 8);
  const lines = followed.stdout.trim().split('\n');
  assert.equal(lines.length, 1);
  assert.deepEqual((JSON.parse(lines[0] ?? '') as { result: unknown }).result, result);
});

test('what was interrupted is followed by how to go on with it', async () => {
  const goOn = new RegExp(`hostbus image continue h1 ${image} --follow`);
  const data = { domainId, imageId };
  const failing = (error: HostbusError): FakeHost => ({ answer: () => error });
  const failed = await runFake(['image', 'copy', 'h1', other, image], {
    hosts: { h1: failing(new HostbusError('CopyFailed', 'The disk failed', { ...data, errno: 'EIO' })) },
  });
  assert.match(failed.stderr, goOn);
  const notReady = (status: string) =>
    runFake(['image', 'check', 'h1', image], {
      hosts: { h1: failing(new HostbusError('ImageNotReady', 'Not ready', { ...data, status })) },
    });
  assert.match((await notReady('interrupted')).stderr, goOn);
  assert.doesNotMatch((await notReady('copying')).stderr, /image continue/);
  const down = await runFake(['image', 'check', 'h1', image], {
    hosts: { h1: failing(new HostbusError('DomainUnavailable', 'It hangs', { domainId })) },
  });
  assert.match(down.stderr, new RegExp(`hostbus domain status h1 ${domainId}`));
});
