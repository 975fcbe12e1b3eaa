/** Looking at Gluster's long operations: one, or all of them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type { Operation, OperationNode } from '../../schemas/gluster-operations.ts';
import type { Peer } from '../../schemas/gluster-peers.ts';
import type { Volume } from '../../schemas/gluster-volumes.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import type { OperationMemory } from './operation-memory.ts';
import { type ListedOperation, overallStatus, parseOperation, parseTasks } from './operation-status.ts';
import { parsePool } from './peers.ts';
import { seeRebalanceProcess } from './rebalance-process.ts';
import { parseVolumes } from './volumes.ts';

/** How long a process that should be there must be missed. */
const goneConfirmMs = 1000;

/** What went between two commands: the next look tells what has become of it. */
const passing = new Set(['NoOperation', 'VolumeNotFound']);

export class OperationLooks {
  readonly #commands: GlusterCommands;
  readonly #memory: OperationMemory;

  constructor(commands: GlusterCommands, memory: OperationMemory) {
    this.#commands = commands;
    this.#memory = memory;
  }

  /**
   * Which operations there are.
   * @param unheard - takes in the volumes that cannot be asked about; without it, the first such volume is an error
   */
  async list(options: CommandOptions, unheard?: Set<string>): Promise<readonly ListedOperation[]> {
    const told = await this.#commands.run(['volume', 'status', 'all', 'tasks'], options, parseTasks);
    // Of a volume that another transaction holds at the moment, it says nothing, and that without an error.
    const all = await this.#commands.run(['volume', 'info'], options, parseVolumes);
    const silent = all.filter(({ volume, status }) => status === 'started' && !told.volumes.includes(volume));
    const operations = [...told.operations];
    for (const { volume } of silent) {
      try {
        operations.push(...(await this.listOf(volume, options)));
      } catch (error) {
        if (unheard === undefined || !(error instanceof HostbusError)) throw error;
        unheard.add(volume);
      }
    }
    if (unheard === undefined || unheard.size === 0)
      this.#memory.keep(new Set(operations.map(({ operationId }) => operationId)));
    return operations;
  }

  /** Which operations a volume has: one at most, so far. */
  async listOf(volume: string, options: CommandOptions): Promise<readonly ListedOperation[]> {
    const args = ['volume', 'status', volume, 'tasks'];
    return (await this.#commands.run(args, options, parseTasks)).operations;
  }

  /**
   * How far the rebalance of a volume is, or the removal of bricks.
   * @throws {HostbusError} NoOperation, VolumeNotFound, …
   */
  async one(volume: string, bricks: readonly string[], options: CommandOptions): Promise<Operation> {
    const whole = await this.#whole(volume, bricks, options);
    if (!hasLocalPart(whole)) return this.#memory.judge(whole, false);
    if ((await seeRebalanceProcess(volume)) !== 'gone') return this.#memory.judge(whole, false);
    // It may have ended just after Gluster was asked, or a glusterd that has just started is about to start it again.
    await sleep(goneConfirmMs);
    const again = await this.#whole(volume, bricks, options);
    const isGone = (await seeRebalanceProcess(volume)) === 'gone' && again.operationId === whole.operationId;
    return this.#memory.judge(again, isGone);
  }

  /** The last words of an operation, told at its stop: whoever takes part and is not in them, nothing is known of. */
  async withMissing(operation: Operation, options: CommandOptions): Promise<Operation> {
    return withUnknown(operation, await this.#missing(operation, options));
  }

  /** How far a listed operation is; undefined when it went meanwhile. */
  async ifThere(listed: ListedOperation, options: CommandOptions): Promise<Operation | undefined> {
    try {
      const found = await this.one(listed.volume, listed.bricks, options);
      return found.operationId === listed.operationId ? found : undefined;
    } catch (error) {
      if (error instanceof HostbusError && passing.has(error.name)) return undefined;
      throw error;
    }
  }

  /** Whether a volume still has one of these bricks; undefined when there is no such volume. */
  async hasBricks(
    volume: string,
    bricks: readonly string[],
    options: CommandOptions,
  ): Promise<boolean | undefined> {
    const all = await this.#bricksOf(volume, options);
    return all?.some(({ brick }) => bricks.includes(brick));
  }

  #ask(volume: string, bricks: readonly string[], options: CommandOptions): Promise<Operation> {
    const args =
      bricks.length > 0
        ? ['volume', 'remove-brick', volume, ...bricks, 'status']
        : ['volume', 'rebalance', volume, 'status'];
    return this.#commands.run(args, options, (body) => parseOperation(body, volume, bricks));
  }

  /** Gluster leaves out whom it cannot reach, as if the others were all there is. */
  async #whole(volume: string, bricks: readonly string[], options: CommandOptions): Promise<Operation> {
    const told = await this.#ask(volume, bricks, options);
    const missing = await this.#missing(told, options);
    const cameBack = missing.some(({ connected }) => connected) && told.status === 'completed';
    // One that is left out though it can be reached has just come back; or it takes no part, as a host that came with a new brick.
    const again = cameBack ? await this.#ask(volume, bricks, options) : told;
    const unknown = missing.filter(
      ({ connected, uuid }) => !connected && again.nodes.every(({ peerId }) => peerId !== uuid),
    );
    return withUnknown(again, unknown);
  }

  /** Peers that hold bricks which the operation is about, and are not in it. */
  async #missing({ volume, bricks, nodes }: Operation, options: CommandOptions): Promise<Peer[]> {
    const pool = await this.#commands.run(['pool', 'list'], options, parsePool);
    const others = pool.filter(({ uuid }) => nodes.every(({ peerId }) => peerId !== uuid));
    if (others.length === 0) return [];
    const concerned = ((await this.#bricksOf(volume, options)) ?? []).filter(
      ({ brick }) => bricks === undefined || bricks.includes(brick),
    );
    return others.filter(({ uuid }) => concerned.some(({ hostUuid }) => hostUuid === uuid));
  }

  async #bricksOf(
    volume: string,
    options: CommandOptions,
  ): Promise<readonly Volume['bricks'][number][] | undefined> {
    try {
      const [found] = await this.#commands.run(['volume', 'info', volume], options, parseVolumes);
      return found?.bricks;
    } catch (error) {
      if (error instanceof HostbusError && error.name === 'VolumeNotFound') return undefined;
      throw error;
    }
  }
}

function hasLocalPart({ nodes }: Operation): boolean {
  return nodes.some(({ local, status }) => local && status === 'running');
}

function withUnknown(operation: Operation, peers: readonly Peer[]): Operation {
  if (peers.length === 0) return operation;
  const nodes = [...operation.nodes, ...peers.map(unknownNode)];
  return { ...operation, nodes, status: overallStatus(nodes) };
}

function unknownNode({ uuid, host, local }: Peer): OperationNode {
  const counters = { filesMoved: 0, bytesMoved: 0, filesScanned: 0, filesFailed: 0, filesSkipped: 0 };
  return { peerId: uuid, host, local, status: 'unknown', ...counters, runTime: 0 };
}
