/** The verbs of `schemas/gluster-operations.ts`: rebalances, and removals of bricks. */
import { HostbusError } from '../../schemas/errors.ts';
import type { Operation, operationVerbs } from '../../schemas/gluster-operations.ts';
import type { XmlElement } from '../lib/xml.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import type { OperationLooks } from './operation-looks.ts';
import { parseOperation } from './operation-status.ts';
import type { OperationWatcher } from './operation-watcher.ts';
import { countWords } from './volumes.ts';

export interface OperationContext {
  readonly commands: GlusterCommands;
  readonly looks: OperationLooks;
  readonly watcher: OperationWatcher;
}

export function operationImplementations(
  context: OperationContext,
): ImplementationsOf<typeof operationVerbs> {
  const { commands, looks, watcher } = context;
  const status = async (volume: string, bricks: readonly string[], task: CommandOptions) => {
    const operation = await looks.one(volume, bricks, task);
    watcher.seen(operation);
    return operation;
  };
  return {
    'gluster.startVolumeRebalance': (params, task) =>
      start(context, params.volume, ['volume', 'rebalance', params.volume, ...rebalanceWords(params)], task),
    'gluster.stopVolumeRebalance': ({ volume }, task) =>
      stop(context, volume, [], ['volume', 'rebalance', volume, 'stop'], task),
    'gluster.getVolumeRebalanceStatus': ({ volume }, task) => status(volume, [], task),
    'gluster.startBrickRemoval': (params, task) =>
      start(context, params.volume, removalCommand(params, 'start'), task),
    'gluster.stopBrickRemoval': (params, task) =>
      stop(context, params.volume, params.bricks, removalCommand(params, 'stop'), task),
    'gluster.commitBrickRemoval': async (params, task) => {
      await commands.run(removalCommand(params, 'commit'), task, () => undefined);
      watcher.look();
      return {};
    },
    'gluster.forceBrickRemoval': async (params, task) => {
      await withOperation(context, params.volume, task, () =>
        commands.run(removalCommand(params, 'force'), task, () => undefined),
      );
      return {};
    },
    'gluster.getBrickRemovalStatus': ({ volume, bricks }, task) => status(volume, bricks, task),
    'gluster.getOperationStatuses': async (_params, task) => {
      const operations: Operation[] = [];
      for (const listed of await looks.list(task)) {
        const operation = await looks.ifThere(listed, task);
        if (operation !== undefined) operations.push(operation);
      }
      for (const operation of operations) watcher.seen(operation);
      return { operations };
    },
  };
}

function rebalanceWords({
  fixLayout = false,
  force = false,
}: {
  fixLayout?: boolean;
  force?: boolean;
}): string[] {
  if (!fixLayout) return ['start', ...(force ? ['force'] : [])];
  if (!force) return ['fix-layout', 'start'];
  const message = 'Gluster has no force for a fix-layout: leave one of the two out';
  throw new HostbusError('InvalidParams', message, { errors: [{ path: '/force', message }] });
}

function removalCommand(
  { volume, bricks, replica }: { volume: string; bricks: readonly string[]; replica?: number },
  what: 'start' | 'stop' | 'commit' | 'force',
): string[] {
  return ['volume', 'remove-brick', volume, ...countWords('replica', replica), ...bricks, what];
}

/** Starts an operation. Gluster registers it, waits a few seconds, and answers. */
async function start(
  context: OperationContext,
  volume: string,
  args: readonly string[],
  task: CommandOptions,
): Promise<{ operationId: string }> {
  const operationId = await withOperation(context, volume, task, () =>
    context.commands.run(args, task, operationIdOf),
  );
  context.watcher.begun(operationId);
  return { operationId };
}

function operationIdOf(body: XmlElement): string {
  const element = body.find('volRebalance') ?? body.get('volRemoveBrick');
  return element.text('task-id').toLowerCase();
}

async function stop(
  { commands, looks, watcher }: OperationContext,
  volume: string,
  bricks: readonly string[],
  args: readonly string[],
  task: CommandOptions,
): Promise<Operation> {
  const told = await commands.run(args, task, (body) => parseOperation(body, volume, bricks));
  const operation = lastWords(await looks.withMissing(told, task).catch(() => told));
  watcher.ended(operation);
  return operation;
}

/** Of a process that had died Gluster says "in progress" even now, and of one that it has just ended, "failed". */
function lastWords(told: Operation): Operation {
  const nodes = told.nodes.map((node) =>
    node.status === 'running' ? { ...node, stale: true as const } : node,
  );
  return told.status === 'completed' ? told : { ...told, nodes, status: 'stopped' };
}

/** What Gluster refuses because of another operation tells which. */
async function withOperation<T>(
  { looks }: OperationContext,
  volume: string,
  task: CommandOptions,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof HostbusError) || error.name !== 'OperationRunning') throw error;
    const operation = await operationOf(looks, volume, task).catch(() => undefined);
    if (operation === undefined) throw error;
    const { name, message, data } = error;
    throw new HostbusError(name, message, { ...data, operation }, { cause: error });
  }
}

async function operationOf(
  looks: OperationLooks,
  volume: string,
  task: CommandOptions,
): Promise<Operation | undefined> {
  const [listed] = await looks.listOf(volume, task);
  return listed && looks.ifThere(listed, task);
}
