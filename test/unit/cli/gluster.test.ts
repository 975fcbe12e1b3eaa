import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HostbusError } from '../../../schemas/errors.ts';
import type { Operation } from '../../../schemas/gluster-operations.ts';
import { OperationTimeout } from '../../../src/client/errors.ts';
import { type FakeHost, type Outcome, runFake } from './fake-bus.ts';

const operationId = '0c8bfe11-a029-44af-812b-20004283308b';
const brick = 'h3:/bricks/vol1/brick';

function operationOf(fields: Partial<Operation>): Operation {
  const counters = {
    filesMoved: 3,
    bytesMoved: 3072,
    filesScanned: 9,
    filesFailed: 1,
    filesSkipped: 2,
    runTime: 65,
  };
  return {
    operationId,
    kind: 'rebalance',
    volume: 'vol1',
    status: 'running',
    ...counters,
    nodes: [{ host: 'localhost', local: true, status: fields.status ?? 'running', ...counters }],
    observedAt: '2026-01-01T00:00:00.000Z',
    ...fields,
  };
}

function following(...told: (Operation | Error)[]): FakeHost {
  return { answer: () => ({ operationId }), operations: () => told };
}

const start = (host: FakeHost, ...more: string[]): Promise<Outcome> =>
  runFake(['gluster', 'rebalance', 'start', 'h1', 'vol1', '--follow', ...more], { hosts: { h1: host } });

test('What is given becomes the verb and its parameters', async () => {
  const sent: unknown[] = [];
  const h1: FakeHost = {
    answer: (method, params) => {
      sent.push([method, params]);
      return method.includes('Start') || method.includes('start') ? { operationId } : operationOf({});
    },
  };
  for (const words of [
    ['rebalance', 'start', 'h1', 'vol1', '--fix-layout'],
    ['rebalance', 'start', 'h1', 'vol1', '--force'],
    ['rebalance', 'stop', 'h1', 'vol1'],
    ['remove-brick', 'start', 'h1', 'vol1', brick, 'h4:/b', '--replica', '3'],
    ['remove-brick', 'status', 'h1', 'vol1', brick],
    ['remove-brick', 'commit', 'h1', 'vol1', brick],
  ]) {
    assert.equal((await runFake(['gluster', ...words], { hosts: { h1 } })).code, 0, words.join(' '));
  }
  const volume = 'vol1';
  assert.deepEqual(sent, [
    ['gluster.startVolumeRebalance', { volume, fixLayout: true }],
    ['gluster.startVolumeRebalance', { volume, force: true }],
    ['gluster.stopVolumeRebalance', { volume }],
    ['gluster.startBrickRemoval', { volume, bricks: [brick, 'h4:/b'], replica: 3 }],
    ['gluster.getBrickRemovalStatus', { volume, bricks: [brick] }],
    ['gluster.commitBrickRemoval', { volume, bricks: [brick] }],
  ]);
});

test('A brick that is none is refused before anything is sent, and so is a command without bricks', async () => {
  const wrong = await runFake(['gluster', 'remove-brick', 'start', 'h1', 'vol1', '/bricks/b1']);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /HOST:\/PATH/);
  const none = await runFake(['gluster', 'remove-brick', 'start', 'h1', 'vol1']);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /hostbus gluster remove-brick start --help/);
});

test('Followed to its end: lines on the way, the parts at the end', async () => {
  const { code, stdout, stderr } = await start(
    following(operationOf({}), operationOf({ status: 'completed' })),
  );
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^rebalance vol1 running: 3 KiB$/m);
  assert.match(stdout, /^status +completed$/m);
  assert.match(stdout, /^localhost +completed +3 +3 KiB +9 +1 +2 +1:05$/m);
});

test('The exit status tells how it ended; what is stale is not waited for', async () => {
  const failed = await start(following(operationOf({ status: 'failed' })));
  assert.equal(failed.code, 1);
  assert.match(failed.stderr, /rebalance of vol1 failed/);
  assert.equal((await start(following(operationOf({ status: 'stopped' })))).code, 7);
  const stale = await start(following(operationOf({ stale: true }), operationOf({ status: 'completed' })));
  assert.equal(stale.code, 1);
  assert.match(stale.stderr, /is stale.*\n.*hostbus gluster rebalance stop h1 vol1$/m);
  assert.equal((await start(following(new OperationTimeout(operationId, 5)))).code, 4);
  const gone = new HostbusError('NoOperation', 'Gluster knows no operation');
  assert.equal((await start(following(gone))).code, 1);
});

test('With --json the operation is told as it goes, a document a line, and nothing else', async () => {
  const told = [operationOf({}), operationOf({ status: 'failed' })];
  const { code, stdout, stderr } = await start(following(...told), '--json');
  assert.deepEqual([code, stderr], [1, '']);
  assert.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
    told,
  );
});

test('Ctrl-C leaves it to Gluster, and says how to go on', async () => {
  const h1: FakeHost = {
    answer: () => ({ operationId }),
    operations: async function* () {
      yield operationOf({});
    },
  };
  const words = ['gluster', 'remove-brick', 'start', 'h1', 'vol1', brick, '--follow'];
  const { code, stderr } = await runFake(words, { hosts: { h1 }, interruptAt: /running/ });
  assert.equal(code, 130);
  assert.match(stderr, /hostbus gluster remove-brick status h1 vol1 h3:\/bricks\/vol1\/brick --follow/);
});

test('Operations are listed', async () => {
  const operations = [operationOf({ kind: 'brickRemoval', bricks: [brick], stale: true })];
  const hosts = { h1: { answer: () => ({ operations }) } };
  const { stdout } = await runFake(['gluster', 'operations', 'h1'], { hosts });
  assert.match(
    stdout,
    new RegExp(`^${operationId} +brickRemoval +vol1 +running \\(stale\\) .* ${brick}$`, 'm'),
  );
});

test('A refusal because of another operation says how to see it', async () => {
  const h1: FakeHost = { answer: () => new HostbusError('OperationRunning', 'Gluster says: it runs') };
  const { code, stderr } = await start(h1);
  assert.equal(code, 1);
  assert.match(stderr, /hostbus gluster operations h1/);
});
