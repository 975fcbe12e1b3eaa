/**
 * Tells of Gluster's long operations as they go, whoever started them.
 *
 * Looks come every few seconds while one runs, seldom while none does, and at once when somebody knows of news. Nothing is kept: a
 * daemon that starts tells of what runs then, once, and of nothing that had ended before.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { Happening } from '../../schemas/events.ts';
import type { Operation } from '../../schemas/gluster-operations.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { OperationLooks } from './operation-looks.ts';
import { countersOf } from './operation-memory.ts';
import type { ListedOperation } from './operation-status.ts';

export interface WatcherOptions {
  readonly log: Logger;
  /** Told after the state that it reports can be read back. */
  readonly emit: (happening: Happening) => void;
  readonly installed: () => boolean;
  /** Between two looks while an operation runs, and while none does. */
  readonly intervalMs: number;
  readonly idleIntervalMs: number;
}

type OperationEvent = Extract<Happening, { kind: 'operation' }>['event'];

type Looks = Pick<OperationLooks, 'list' | 'ifThere' | 'hasBricks'>;

/** Operations that are remembered, once there are so many only those that Gluster still knows. */
const rememberedMax = 1000;

/** What has been told of an operation. */
interface Known {
  /** Undefined: it had ended before it was first seen. */
  last: Operation | undefined;
  ended: boolean;
  /** Whether it is worth a look soon: it runs, as far as can be told. */
  active: boolean;
  /** How many looks in a row have found it listed, but nothing behind it. */
  missed: number;
}

/** After so many an operation that is still listed is taken to have gone. */
const missedMax = 2;

export class OperationWatcher {
  readonly #looks: Looks;
  readonly #options: WatcherOptions;
  readonly #known = new Map<string, Known>();
  readonly #closing = new AbortController();
  /** Operations that this host has started: they are told of even if they have ended before the first look. */
  readonly #begun = new Set<string>();
  #wake = new AbortController();
  #mustLook = false;
  /** From the second list on, what is new in it has begun meanwhile. */
  #listed = false;
  #failures = 0;
  #running: Promise<void> | undefined;

  constructor(looks: Looks, options: WatcherOptions) {
    this.#looks = looks;
    this.#options = options;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** There may be news: looks now. */
  look(): void {
    this.#mustLook = true;
    this.#wake.abort();
  }

  /** Gluster has just registered an operation. */
  begun(operationId: string): void {
    if (this.#running === undefined) return;
    this.#begun.add(operationId);
    this.look();
  }

  /** Somebody has seen an operation: if it is a new one that runs, there is something to watch. */
  seen(operation: Operation): void {
    const known = this.#known.get(operation.operationId);
    if (operation.status === 'running' && known?.last === undefined) this.look();
  }

  /** The last words of an operation that Gluster has forgotten now. */
  ended(operation: Operation): void {
    if (this.#running === undefined) return;
    this.#begun.delete(operation.operationId);
    if (this.#known.get(operation.operationId)?.ended === true) return;
    this.#known.set(operation.operationId, { last: operation, ended: true, active: false, missed: 0 });
    this.#tell(
      operation.status === 'completed' || operation.status === 'failed' ? operation.status : 'stopped',
      operation,
    );
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      this.#mustLook = false;
      if (this.#options.installed()) await this.#lookOnce();
      if (!signal.aborted) await this.#wait();
    }
  }

  async #wait(): Promise<void> {
    this.#wake = new AbortController();
    if (this.#mustLook) return;
    const { intervalMs, idleIntervalMs } = this.#options;
    const active = [...this.#known.values()].some((known) => known.active);
    const evenMs = active ? intervalMs : idleIntervalMs;
    const waitMs =
      this.#failures > 0
        ? backoffMs(this.#failures, intervalMs * 2, idleIntervalMs)
        : // Not in step with other hosts: a look takes Gluster's lock for a moment.
          evenMs * (0.8 + Math.random() * 0.4);
    await sleep(waitMs, undefined, { signal: this.#wake.signal, ref: false }).catch(() => {});
  }

  async #lookOnce(): Promise<void> {
    const { log } = this.#options;
    try {
      const expected = [...this.#begun];
      const unheard = new Set<string>();
      await this.#takeIn(await this.#looks.list(this.#options, unheard), expected, unheard);
      if (this.#failures > 1) log.info('Gluster can be asked again: its operations are watched');
      this.#failures = 0;
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      // Another transaction held the lock: as usual as looking.
      if (error instanceof HostbusError && error.name === 'GlusterBusy') return;
      this.#failures += 1;
      // Once is chance, and more than twice is no news.
      if (this.#failures === 2)
        log.warn({ err: error }, 'Gluster cannot be asked: its operations are not watched');
    }
  }

  /** @param unheard - volumes that nobody could tell of: their operations may well go on */
  async #takeIn(
    listed: readonly ListedOperation[],
    expected: readonly string[],
    unheard: ReadonlySet<string>,
  ): Promise<void> {
    let failure: unknown;
    for (const operation of listed) {
      // What is wrong with one volume must not hide the others.
      await this.#takeInOne(operation).catch((error: unknown) => {
        failure ??= error;
      });
    }
    const ids = new Set(listed.map(({ operationId }) => operationId));
    for (const [id, { last, ended }] of this.#known) {
      if (ids.has(id) || (last !== undefined && unheard.has(last.volume))) continue;
      if (!ended && last !== undefined) await this.#takeInGone(last, listed);
      // Not forgotten at once: the stop that made it go may not have answered yet, and would tell of it again.
      if (this.#known.size > rememberedMax) this.#known.delete(id);
    }
    // A list that was asked for after their start, and has them not: they went before anybody saw them.
    if (unheard.size === 0) for (const id of expected) if (!ids.has(id)) this.#begun.delete(id);
    this.#listed = true;
    if (failure !== undefined) throw failure;
  }

  async #takeInOne(listed: ListedOperation): Promise<void> {
    const known = this.#known.get(listed.operationId);
    if (known === undefined) await this.#takeInNew(listed);
    else if (!known.ended || listed.status === 'running') await this.#takeInKnown(listed, known);
  }

  async #takeInNew(listed: ListedOperation): Promise<void> {
    const { operationId, status } = listed;
    const hasBegun = this.#listed || this.#begun.has(operationId);
    if (status === 'notStarted' || status === 'unknown') return;
    if (status !== 'running' && !hasBegun) {
      this.#known.set(operationId, { last: undefined, ended: true, active: false, missed: 0 });
      return;
    }
    const operation = await this.#looks.ifThere(listed, this.#options);
    if (operation === undefined || this.#known.has(operationId)) return;
    this.#begun.delete(operationId);
    const ending = endOf(operation);
    this.#known.set(operationId, {
      last: operation,
      ended: ending !== undefined,
      active: isActive(operation),
      missed: 0,
    });
    this.#tell('started', operation);
    if (ending !== undefined) this.#tell(ending, operation);
  }

  async #takeInKnown(listed: ListedOperation, known: Known): Promise<void> {
    const operation = await this.#looks.ifThere(listed, this.#options);
    // `ended` may have been called meanwhile, with later words.
    if (this.#known.get(listed.operationId) !== known) return;
    known.missed = operation === undefined ? known.missed + 1 : 0;
    if (operation === undefined) {
      if (known.missed >= missedMax && !known.ended && known.last !== undefined)
        await this.#takeInGone(known.last, []);
      return;
    }
    const { last, ended } = known;
    const ending = endOf(operation);
    if (ended && operation.status !== 'running') return;
    // What nobody can tell of now is kept as it was last known, and no news. Its end is not to wait for the next look of idle times.
    if (operation.status === 'unknown') return;
    known.active = isActive(operation);
    known.last = operation;
    known.ended = ending !== undefined;
    if (ending !== undefined) this.#tell(ending, operation);
    else if (operation.status === 'paused') {
      if (last?.status !== 'paused') this.#tell('paused', operation);
    } else if (last === undefined || hasMoved(last, operation)) this.#tell('progress', operation);
  }

  /** It was stopped, committed, or replaced by another, without this host. */
  async #takeInGone(last: Operation, listed: readonly ListedOperation[]): Promise<void> {
    const { stale: _, ...rest } = last;
    const status = await this.#fateOf(last, listed);
    if (this.#known.get(last.operationId)?.ended !== false) return;
    const gone = { ...rest, status };
    this.#known.set(last.operationId, { last: gone, ended: true, active: false, missed: 0 });
    this.#tell(status === 'completed' ? 'completed' : 'stopped', gone);
  }

  async #fateOf(last: Operation, listed: readonly ListedOperation[]): Promise<Operation['status']> {
    const { volume, bricks } = last;
    const replaced = listed.some((other) => other.volume === volume);
    const hasBricks = bricks && (await this.#looks.hasBricks(volume, bricks, this.#options));
    // Without `force`, Gluster takes bricks out only when their files have been moved.
    if (hasBricks === false) return 'completed';
    return replaced || (bricks !== undefined && hasBricks === undefined) ? 'unknown' : 'stopped';
  }

  #tell(event: OperationEvent, operation: Operation): void {
    const { operationId, volume, kind } = operation;
    const level = event === 'progress' ? 'debug' : 'info';
    this.#options.log[level]({ operationId, volume }, `Gluster's ${kind}: ${event}`);
    this.#options.emit({ kind: 'operation', event, id: operation.operationId, data: operation });
  }
}

function endOf({ status }: Operation): 'completed' | 'failed' | 'stopped' | undefined {
  return status === 'completed' || status === 'failed' || status === 'stopped' ? status : undefined;
}

function isActive({ status, stale }: Operation): boolean {
  return status === 'running' && stale !== true;
}

function hasMoved(before: Operation, after: Operation): boolean {
  return (
    countersOf(before) !== countersOf(after) || before.stale !== after.stale || before.status !== after.status
  );
}
