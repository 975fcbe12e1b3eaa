/** `hostbus gluster …`: rebalances and removals of bricks. */
import type { Operation } from '../../schemas/gluster-operations.ts';
import type { Client } from '../client/types.ts';
import { formatBytes, formatSeconds } from '../lib/units.ts';
import { ask } from './ask.ts';
import type { Context } from './context.ts';
import { UsageError } from './errors.ts';
import { followOperation, throwUnlessCompleted } from './follow-operation.ts';
import type { Invocation } from './invocation.ts';
import { isObject, textMember } from './json.ts';
import { send } from './send.ts';
import { shellQuote } from './values.ts';

export async function operationList(context: Context, given: Invocation): Promise<void> {
  const { operations } = await context.withClient((client) =>
    ask(context, client.host(given.word('HOST')), 'gluster.getOperationStatuses', {}),
  );
  if (context.options.json) {
    context.json({ operations });
    return;
  }
  context.table(
    [
      { title: 'OPERATION' },
      { title: 'KIND' },
      { title: 'VOLUME' },
      { title: 'STATUS' },
      ...counterTitles,
      { title: 'BRICKS' },
    ],
    operations.map((operation) => [
      operation.operationId,
      operation.kind,
      operation.volume,
      statusOf(operation),
      ...countersOf(operation),
      (operation.bricks ?? []).join(' '),
    ]),
    'Gluster knows of no operation.',
  );
}

export async function rebalanceStart(context: Context, given: Invocation): Promise<void> {
  const params = {
    volume: given.word('VOLUME'),
    ...(given.flag('fixLayout') && { fixLayout: true }),
    ...(given.flag('force') && { force: true }),
  };
  await start(context, given, 'gluster.startVolumeRebalance', params);
}

export async function rebalanceStatus(context: Context, given: Invocation): Promise<void> {
  const params = { volume: given.word('VOLUME') };
  await status(context, given, (client) =>
    ask(context, client.host(given.word('HOST')), 'gluster.getVolumeRebalanceStatus', params),
  );
}

export async function rebalanceStop(context: Context, given: Invocation): Promise<void> {
  await change(context, given, 'gluster.stopVolumeRebalance', { volume: given.word('VOLUME') });
}

export async function removalStart(context: Context, given: Invocation): Promise<void> {
  const replica = given.count('replica');
  const params = { ...removalOf(given), ...(replica !== undefined && { replica }) };
  await start(context, given, 'gluster.startBrickRemoval', params);
}

export async function removalStatus(context: Context, given: Invocation): Promise<void> {
  await status(context, given, (client) =>
    ask(context, client.host(given.word('HOST')), 'gluster.getBrickRemovalStatus', removalOf(given)),
  );
}

export async function removalStop(context: Context, given: Invocation): Promise<void> {
  await change(context, given, 'gluster.stopBrickRemoval', removalOf(given));
}

export async function removalCommit(context: Context, given: Invocation): Promise<void> {
  const { volume, bricks } = removalOf(given);
  await change(context, given, 'gluster.commitBrickRemoval', { volume, bricks });
  context.note(`${bricks.join(', ')}: out of volume ${volume}.`);
}

function removalOf(given: Invocation): { volume: string; bricks: string[] } {
  const bricks = [...given.words('BRICK')];
  for (const brick of bricks) {
    if (!/^[^/\s]+:\//.test(brick))
      throw new UsageError(`BRICK: '${brick}' is not a brick: write HOST:/PATH`);
  }
  return { volume: given.word('VOLUME'), bricks };
}

async function start(context: Context, given: Invocation, method: string, params: object): Promise<void> {
  const [hostId, taskId, follow] = [given.word('HOST'), given.taskId(), given.flag('follow')];
  await context.withClient(async (client) => {
    const host = client.host(hostId);
    const startedMs = performance.now();
    const sent = await send(context, host, { method, params, taskId, follow: false, query: false });
    const answer = sent.kind === 'answer' ? sent.answer : sent.task.result;
    const operationId = textMember(answer, 'operationId') ?? '';
    if (!follow) {
      if (context.options.json) context.json(answer);
      else context.pairs([['operation', operationId]]);
      context.note(`Gluster goes on with it. Watch it: ${watchCommand(given)}`);
      return;
    }
    await followAndPrint(context, given, client, operationId, startedMs);
  });
}

/** @param look - asks once */
async function status(
  context: Context,
  given: Invocation,
  look: (client: Client) => Promise<Operation>,
): Promise<void> {
  await context.withClient(async (client) => {
    const startedMs = performance.now();
    const operation = await look(client);
    if (!given.flag('follow')) return print(context, operation);
    await followAndPrint(context, given, client, operation.operationId, startedMs);
  });
}

async function followAndPrint(
  context: Context,
  given: Invocation,
  client: Client,
  operationId: string,
  startedMs: number,
): Promise<void> {
  const { timeoutMs } = context.options;
  const leftMs =
    timeoutMs === undefined ? undefined : Math.max(1, timeoutMs - (performance.now() - startedMs));
  context.doing.operation = { id: operationId, watch: watchCommand(given) };
  const last = await followOperation(context, client.host(given.word('HOST')), operationId, leftMs);
  delete context.doing.operation;
  if (!context.options.json) print(context, last);
  throwUnlessCompleted(last, watchCommand(given).replace(/ status (.*) --follow$/, ' stop $1'));
}

async function change(context: Context, given: Invocation, method: string, params: object): Promise<void> {
  const taskId = given.taskId();
  const sent = await context.withClient((client) =>
    send(context, client.host(given.word('HOST')), { method, params, taskId, follow: false, query: false }),
  );
  const answer = sent.kind === 'answer' ? sent.answer : sent.task.result;
  if (context.options.json) context.json(answer);
  else if (isOperation(answer)) print(context, answer);
}

function isOperation(value: unknown): value is Operation {
  return isObject(value) && typeof value.operationId === 'string' && Array.isArray(value.nodes);
}

/** The command line that shows how far it is. */
function watchCommand(given: Invocation): string {
  const bricks = given.words('BRICK');
  const words = [given.word('HOST'), given.word('VOLUME'), ...bricks].map(shellQuote).join(' ');
  return `hostbus gluster ${bricks.length > 0 ? 'remove-brick' : 'rebalance'} status ${words} --follow`;
}

function print(context: Context, operation: Operation): void {
  if (context.options.json) {
    context.json(operation);
    return;
  }
  const pairs: [string, string][] = [
    ['operation', operation.operationId],
    ['kind', operation.kind],
    ['volume', operation.volume],
    ['status', statusOf(operation)],
    ['observed', operation.observedAt],
  ];
  if (operation.bricks) pairs.push(['bricks', operation.bricks.join(' ')]);
  context.pairs(pairs);
  context.table(
    [{ title: 'HOST' }, { title: 'STATUS' }, ...counterTitles],
    [
      ...operation.nodes.map((node) => [node.host, statusOf(node), ...countersOf(node)]),
      ['', 'all', ...countersOf(operation)],
    ],
    '',
  );
}

type Counted = Operation | Operation['nodes'][number];

function statusOf({ status: word, stale }: Counted): string {
  return stale === true ? `${word} (stale)` : word;
}

const counterTitles = ['MOVED', 'SIZE', 'SCANNED', 'FAILED', 'SKIPPED', 'TIME'].map(
  (title) => ({ title, align: 'right' }) as const,
);

function countersOf(counted: Counted): string[] {
  const { filesMoved, bytesMoved, filesScanned, filesFailed, filesSkipped, runTime } = counted;
  return [
    String(filesMoved),
    formatBytes(bytesMoved),
    String(filesScanned),
    String(filesFailed),
    String(filesSkipped),
    formatSeconds(runTime),
  ];
}
