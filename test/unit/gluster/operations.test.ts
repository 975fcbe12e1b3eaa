import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OperationMemory } from '../../../src/gluster/operation-memory.ts';
import { overallStatus, parseOperation, parseTasks } from '../../../src/gluster/operation-status.ts';
import { parseXml } from '../../../src/lib/xml.ts';
import { savedOutput, savedReply } from '../../lib/gluster-output.ts';

const rebalance = (name: string) => parseOperation(savedReply(name).body, 'd1', []);
const removal = (name: string) => parseOperation(savedReply(name).body, 'd1', ['gp3:/bricks/b1/b']);
const statuses = (name: string) => rebalance(name).nodes.map(({ host, status }) => [host, status]);

test('A running rebalance: sums, and the part of each host', () => {
  const { nodes, observedAt, ...operation } = rebalance('rebal-running');
  assert.deepEqual(operation, {
    operationId: 'cec6dfa8-1b99-48d3-9778-7e4b694a1818',
    kind: 'rebalance',
    volume: 'd1',
    status: 'running',
    filesMoved: 74,
    bytesMoved: 75_776,
    filesScanned: 1825,
    filesFailed: 0,
    filesSkipped: 0,
    runTime: 2,
  });
  assert.match(observedAt, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(nodes[0], {
    peerId: '632b913c-d67e-4042-9fd3-babd8f56953f',
    host: 'gp2',
    local: false,
    status: 'running',
    filesMoved: 39,
    bytesMoved: 39_936,
    filesScanned: 547,
    filesFailed: 0,
    filesSkipped: 0,
    runTime: 2,
  });
  assert.deepEqual(
    nodes.map(({ host, local, status }) => [host, local, status]),
    [
      ['gp2', false, 'running'],
      ['gp3', false, 'completed'],
      ['localhost', true, 'running'],
    ],
  );
});

test('Ends, as Gluster tells of them', () => {
  assert.equal(rebalance('rebal-stop').status, 'stopped');
  assert.equal(rebalance('rebal-term').status, 'failed');
  assert.deepEqual(statuses('rebal-term'), [
    ['gp2', 'failed'],
    ['gp3', 'completed'],
    ['localhost', 'completed'],
  ]);
  const layout = rebalance('rebal-fix-layout-status');
  assert.deepEqual([layout.kind, layout.status], ['fixLayout', 'completed']);
});

test('A fix-layout is one while it runs and when it is stopped, too; a code of later days is read by its words', () => {
  const saved = savedOutput('rebal-fix-layout-status.xml');
  const withStatus = (code: number, words: string) =>
    parseOperation(
      parseXml(saved.replaceAll('<status>7<', `<status>${code}<`).replaceAll('fix-layout completed', words)),
      'd1',
      [],
    );
  for (const [code, words, status] of [
    [5, 'fix-layout in progress', 'running'],
    [6, 'fix-layout stopped', 'stopped'],
    [8, 'fix-layout failed', 'failed'],
    [12, 'fix-layout paused', 'paused'],
    [13, 'fix-layout of a new sort', 'unknown'],
  ] as const) {
    const { kind, status: read } = withStatus(code, words);
    assert.deepEqual([kind, read], ['fixLayout', status], words);
  }
});

test('The removal of bricks', () => {
  const running = removal('rb-status-running');
  assert.equal(running.kind, 'brickRemoval');
  assert.deepEqual(running.bricks, ['gp3:/bricks/b1/b']);
  assert.deepEqual([running.status, running.filesMoved], ['running', 219]);
  assert.equal(removal('rb-status-completed').status, 'completed');
  assert.equal(removal('rb-stop').status, 'stopped');
});

test('The list of operations', () => {
  const list = (name: string) => parseTasks(savedReply(name).body).operations;
  assert.deepEqual(list('tasks-rb-running'), [
    {
      operationId: 'd9ea7e99-4915-44e3-8fb9-002b1529cf2c',
      volume: 'd1',
      kind: 'brickRemoval',
      bricks: ['gp3:/bricks/b1/b'],
      status: 'running',
    },
  ]);
  assert.deepEqual(
    list('tasks-rebal-running').map(({ kind, bricks, status }) => [kind, bricks, status]),
    [['rebalance', [], 'running']],
  );
  assert.deepEqual(
    list('tasks-rebal').map(({ status }) => status),
    ['completed'],
  );
  assert.deepEqual(parseTasks(savedReply('tasks-rb-committed').body), {
    volumes: ['d1', 'rep'],
    operations: [],
  });
});

test('What the parts make together', () => {
  const [node] = rebalance('rebal-running').nodes;
  assert.ok(node);
  const of = (...parts: (typeof node.status)[]) =>
    overallStatus(parts.map((status) => ({ ...node, status })));
  assert.equal(of('failed', 'running', 'completed'), 'running');
  assert.equal(of('completed', 'failed', 'unknown'), 'failed');
  assert.equal(of('completed', 'unknown'), 'unknown');
  assert.equal(of('completed', 'notStarted'), 'completed');
  assert.equal(of('notStarted'), 'unknown');
  assert.equal(of(), 'unknown');
});

test('Stale is a node without a sign of life for long; the whole when that is true of all that run', () => {
  const memory = new OperationMemory(1000);
  const at = (nowMs: number, moved: readonly number[]) => {
    const seen = rebalance('rebal-procfail');
    const nodes = seen.nodes.map((node, i) => ({ ...node, runTime: moved[i] ?? 0 }));
    const judged = memory.judge({ ...seen, nodes }, false, nowMs);
    return [judged.stale, ...judged.nodes.map(({ stale }) => stale)];
  };
  assert.deepEqual(at(0, [1, 1, 1]), [undefined, undefined, undefined, undefined]);
  assert.deepEqual(at(900, [1, 2, 1]), [undefined, undefined, undefined, undefined]);
  assert.deepEqual(at(1000, [1, 3, 1]), [undefined, true, undefined, true]);
  assert.deepEqual(at(2500, [1, 3, 1]), [true, true, true, true]);
  assert.deepEqual(at(2600, [1, 4, 1]), [undefined, true, undefined, true]);
  memory.keep(new Set());
  assert.deepEqual(at(9000, [1, 4, 1]), [undefined, undefined, undefined, undefined]);
});

test('Of the host that was asked, the missing process is enough', () => {
  const judged = new OperationMemory(60_000).judge(rebalance('rebal-procfail'), true, 0);
  assert.deepEqual(
    judged.nodes.map(({ stale }) => stale),
    [undefined, undefined, true],
  );
  assert.equal(judged.stale, undefined);
});

test('What has ended is never stale', () => {
  const memory = new OperationMemory(1);
  memory.judge(rebalance('rebal-term'), true, 0);
  assert.equal(memory.judge(rebalance('rebal-term'), true, 1000).stale, undefined);
});
