/** Gluster's long operations as it tells of them: which there are, and how far one is. */
import type { Operation, OperationNode, operationKinds } from '../../schemas/gluster-operations.ts';
import { type XmlElement, XmlError } from '../lib/xml.ts';

export type OperationKind = (typeof operationKinds)[number];
export type OperationStatus = Operation['status'];
type NodeStatus = OperationNode['status'];

/** By code. 5 to 8 are those of a fix-layout. */
const statusByCode: readonly NodeStatus[] = [
  'notStarted',
  'running',
  'stopped',
  'completed',
  'failed',
  'running',
  'stopped',
  'completed',
  'failed',
];
const firstFixLayoutCode = 5;
/** For codes that a later Gluster may have added. */
const statusByWords: readonly (readonly [words: RegExp, status: NodeStatus])[] = [
  [/in progress/, 'running'],
  [/paused/, 'paused'],
  [/stopped/, 'stopped'],
  [/completed/, 'completed'],
  [/failed/, 'failed'],
  [/not started/, 'notStarted'],
];

/** An entry of `volume status all tasks`. */
export interface ListedOperation {
  readonly operationId: string;
  readonly volume: string;
  /** A fix-layout is listed as a rebalance. */
  readonly kind: 'rebalance' | 'brickRemoval';
  readonly bricks: readonly string[];
  readonly status: NodeStatus;
}

/** What `volume status … tasks` tells: of which volumes, and their operations. */
export interface TaskList {
  readonly volumes: readonly string[];
  readonly operations: readonly ListedOperation[];
}

export function parseTasks(body: XmlElement): TaskList {
  const volumes = body.get('volStatus', 'volumes').all('volume');
  return {
    volumes: volumes.map((volume) => volume.text('volName')),
    operations: volumes.flatMap((volume) => {
      const name = volume.text('volName');
      const tasks = volume.find('tasks')?.all('task') ?? [];
      return tasks.map((task) => parseTask(name, task)).filter((task) => task !== undefined);
    }),
  };
}

function parseTask(volume: string, task: XmlElement): ListedOperation | undefined {
  const type = task.text('type').toLowerCase();
  const isRemoval = type === 'remove brick';
  // Others, such as the tiering of old, are no operations of ours.
  if (!isRemoval && type !== 'rebalance') return undefined;
  return {
    operationId: task.text('id').toLowerCase(),
    volume,
    kind: isRemoval ? 'brickRemoval' : 'rebalance',
    bricks: isRemoval ? (task.find('params')?.all('brick') ?? []).map((brick) => brick.text()) : [],
    status: statusOf(task),
  };
}

/**
 * Reads what `rebalance … status`, `remove-brick … status` and the `stop` of both tell.
 *
 * @param bricks - of a removal; none: a rebalance
 */
export function parseOperation(body: XmlElement, volume: string, bricks: readonly string[]): Operation {
  const isRemoval = bricks.length > 0;
  const element = body.get(isRemoval ? 'volRemoveBrick' : 'volRebalance');
  const operationId = element.textIfAny('task-id')?.toLowerCase();
  if (operationId === undefined) throw new XmlError(`<${element.name}> has no <task-id>`);
  const elements = element.all('node');
  const nodes = elements.map(parseNode);
  const fixLayout = elements.some((node) => isFixLayout(node));
  return {
    operationId,
    kind: isRemoval ? 'brickRemoval' : fixLayout ? 'fixLayout' : 'rebalance',
    volume,
    ...(isRemoval && { bricks: [...bricks] }),
    status: overallStatus(nodes),
    ...totalsOf(nodes),
    nodes,
    observedAt: new Date().toISOString(),
  };
}

/**
 * What the parts make together. One that runs keeps the whole running; one that failed has it fail; one of which nothing is known
 * leaves it unknown whether the whole is complete.
 */
export function overallStatus(nodes: readonly OperationNode[]): OperationStatus {
  const has = (status: NodeStatus) => nodes.some((node) => node.status === status);
  for (const status of ['running', 'paused', 'failed', 'stopped', 'unknown'] as const) {
    if (has(status)) return status;
  }
  return has('completed') ? 'completed' : 'unknown';
}

function parseNode(node: XmlElement): OperationNode {
  const host = node.text('nodeName');
  const peerId = node.textIfAny('id')?.toLowerCase();
  return {
    ...(peerId !== undefined && { peerId }),
    host,
    local: host === 'localhost',
    status: statusOf(node),
    filesMoved: node.integerIfAny('files') ?? 0,
    bytesMoved: node.integerIfAny('size') ?? 0,
    filesScanned: node.integerIfAny('lookups') ?? 0,
    filesFailed: node.integerIfAny('failures') ?? 0,
    filesSkipped: node.integerIfAny('skipped') ?? 0,
    runTime: node.numberIfAny('runtime') ?? 0,
  };
}

function statusOf(element: XmlElement): NodeStatus {
  const byCode = statusByCode[element.integer('status')];
  if (byCode !== undefined) return byCode;
  const words = element.textIfAny('statusStr')?.toLowerCase() ?? '';
  return statusByWords.find(([pattern]) => pattern.test(words))?.[1] ?? 'unknown';
}

function isFixLayout(node: XmlElement): boolean {
  const words = node.textIfAny('statusStr') ?? '';
  return /^fix-layout/i.test(words) || node.integer('status') >= firstFixLayoutCode;
}

function totalsOf(nodes: readonly OperationNode[]) {
  const sum = (count: (node: OperationNode) => number) => nodes.reduce((all, node) => all + count(node), 0);
  return {
    filesMoved: sum((node) => node.filesMoved),
    bytesMoved: sum((node) => node.bytesMoved),
    filesScanned: sum((node) => node.filesScanned),
    filesFailed: sum((node) => node.filesFailed),
    filesSkipped: sum((node) => node.filesSkipped),
    runTime: Math.max(0, ...nodes.map(({ runTime }) => runTime)),
  };
}
