/** The storage domains that this host has connected, or is configured to. In memory: a restarted host starts with none. */
import type { Logger } from 'pino';
import type { Domain } from '../../schemas/domain.ts';
import { HostbusError } from '../../schemas/errors.ts';
import { type DomainLook, lookAtDomain } from './domain-look.ts';
import { DomainReads } from './domain-reads.ts';
import { defectOf, domainHangs, domainUnavailable } from './failures.ts';
import { LimitedWork, NoAnswer } from './limited-work.ts';
import type { StorageOptions, StorageTuning } from './options.ts';
import { inDirectory } from './paths.ts';

export type ContinueCopies = 'auto' | 'manual';

export interface DomainEntry {
  readonly domainId: string;
  /** The directory that holds the domain's, as the caller or the configuration named it. */
  readonly path: string;
  /** `<path>/<domainId>` with symbolic links resolved; undefined while the domain is configured but has not been connected. */
  readonly directory: string | undefined;
  readonly continueCopies: ContinueCopies;
  /** As it was last seen. */
  last: Domain;
}

/** A domain that can be worked in. */
export type ConnectedDomain = DomainEntry & { readonly directory: string };

export class DomainTable {
  readonly #options: StorageOptions;
  readonly #readsAtOnce: number;
  readonly #log: Logger;
  readonly #entries = new Map<string, DomainEntry>();
  /** Tasks that work in a domain, by domain ID. */
  readonly #users = new Map<string, string[]>();
  /** By directory. */
  readonly #looks: LimitedWork<DomainLook>;
  /** By directory, and kept: what hangs in it still does when the domain is disconnected and connected again. */
  readonly #reads = new Map<string, DomainReads>();
  /** Directories that are known to hang. */
  readonly #hanging = new Set<string>();

  constructor(options: StorageOptions, tuning: Readonly<StorageTuning>) {
    this.#options = options;
    this.#readsAtOnce = tuning.readsAtOnce;
    this.#log = options.log;
    this.#looks = new LimitedWork(tuning.lookLimitMs, (directory) => this.#lookAgain(directory));
  }

  entries(): DomainEntry[] {
    return [...this.#entries.values()].sort((a, b) => (a.domainId < b.domainId ? -1 : 1));
  }

  find(domainId: string): DomainEntry | undefined {
    return this.#entries.get(domainId);
  }

  /** @throws {HostbusError} DomainNotFound */
  get(domainId: string): DomainEntry {
    const entry = this.#entries.get(domainId);
    if (entry !== undefined) return entry;
    const message = `Storage domain ${domainId} is not connected to this host; connect it with connectStorageDomain`;
    throw new HostbusError('DomainNotFound', message, { domainId });
  }

  /** @throws {HostbusError} DomainNotFound, DomainUnavailable while it could not be connected yet or hangs */
  connected(domainId: string): ConnectedDomain {
    const entry = this.get(domainId);
    const { directory } = entry;
    if (directory === undefined) throw domainUnavailable(domainId, entry.last.message ?? 'it is down');
    const since = this.#looks.lateSince(directory);
    if (since !== undefined) throw domainHangs(domainId, since);
    return { ...entry, directory };
  }

  /**
   * Runs a task's work in a domain, which meanwhile cannot be disconnected. The domain is looked at first: nothing is written
   * where it has been unmounted, or is no longer to be believed.
   *
   * @throws {HostbusError} DomainNotFound, DomainUnavailable; what `work` throws
   */
  async use<T>(domainId: string, taskId: string, work: (domain: ConnectedDomain) => Promise<T>): Promise<T> {
    const domain = this.connected(domainId);
    const users = this.#users.get(domainId) ?? [];
    this.#users.set(domainId, [...users, taskId]);
    try {
      await this.requireUp(domainId);
      return await work(domain);
    } finally {
      const left = [...(this.#users.get(domainId) ?? [])];
      left.splice(left.indexOf(taskId), 1);
      if (left.length === 0) this.#users.delete(domainId);
      else this.#users.set(domainId, left);
    }
  }

  /**
   * Looks at images of a domain, and waits no longer than until the domain is known to hang.
   *
   * @param work - changes nothing: it may go on when nobody waits for it any more
   * @throws {HostbusError} DomainNotFound, DomainUnavailable; what `work` throws
   */
  async reading<T>(domainId: string, work: (domain: ConnectedDomain) => Promise<T>): Promise<T> {
    const domain = this.connected(domainId);
    const { directory } = domain;
    const reads = this.#reads.get(directory) ?? new DomainReads(this.#readsAtOnce);
    this.#reads.set(directory, reads);
    return reads.run(() => work(domain));
  }

  /**
   * Works in the very directory that the domain was connected from: symbolic links that somebody puts on the way to it lead nowhere.
   *
   * @throws {HostbusError} DomainUnavailable when it is no longer there; what `work` throws
   */
  async within<T>(domain: ConnectedDomain, work: (domain: ConnectedDomain) => Promise<T>): Promise<T> {
    let reached = false;
    try {
      return await inDirectory(domain.directory, (directory) => {
        reached = true;
        return work({ ...domain, directory });
      });
    } catch (error) {
      if (reached) throw error;
      throw domainUnavailable(
        domain.domainId,
        defectOf(error) ?? 'its directory is another one by now',
        error,
      );
    }
  }

  /** @throws {HostbusError} DomainNotFound, DomainUnavailable; at the latest when a look at it takes too long */
  async requireUp(domainId: string): Promise<void> {
    const { status, message } = await this.look(this.get(domainId));
    if (status === 'down') throw new HostbusError('DomainUnavailable', message ?? 'It is down', { domainId });
  }

  /** A task that works in the domain, if any does. */
  userOf(domainId: string): string | undefined {
    return this.#users.get(domainId)?.[0];
  }

  /** Puts a domain into the table, in the place of what was there, and tells when its status is new. */
  set(entry: DomainEntry): void {
    const before = this.#entries.get(entry.domainId)?.last.status;
    this.#entries.set(entry.domainId, entry);
    if (before !== entry.last.status) this.#tell(entry.last);
  }

  delete(domainId: string): void {
    this.#entries.delete(domainId);
  }

  /**
   * Looks at a directory that should hold a domain, and at no other that somebody puts in its place.
   *
   * @throws {HostbusError} DomainUnavailable, also when it does not answer in time
   */
  async probe(directory: string, domainId: string): Promise<DomainLook> {
    return this.#probe(directory, domainId, () =>
      inDirectory(directory, (pinned) => lookAtDomain(pinned, domainId)),
    );
  }

  async #probe(directory: string, domainId: string, work: () => Promise<DomainLook>): Promise<DomainLook> {
    try {
      const look = await this.#looks.run(directory, work);
      this.#hanging.delete(directory);
      return look;
    } catch (error) {
      if (error instanceof NoAnswer) {
        const hangs = domainHangs(domainId, error.since);
        this.#letGo(directory, domainId, hangs);
        throw hangs;
      }
      this.#hanging.delete(directory);
      throw domainUnavailable(domainId, defectOf(error) ?? 'looking at it failed', error);
    }
  }

  /** Looks afresh at a domain of the table; what is wrong is told in the result, never thrown. */
  async look(entry: DomainEntry): Promise<Domain> {
    if (entry.directory === undefined) return entry.last;
    const seen = await this.#see(entry, entry.directory);
    const before = entry.last.status;
    entry.last = seen;
    if (before !== seen.status && this.#entries.get(entry.domainId) === entry) this.#tell(seen);
    return seen;
  }

  async #see(entry: DomainEntry, directory: string): Promise<Domain> {
    try {
      // Not held open, as `probe` does: a look every few seconds must not be what keeps somebody from unmounting.
      const look = await this.#probe(directory, entry.domainId, () =>
        lookAtDomain(directory, entry.domainId),
      );
      return domainSeen(entry, look);
    } catch (error) {
      const message = error instanceof Error ? error.message : 'Looking at it failed';
      return { ...entry.last, status: 'down', message, lastCheckedAt: new Date().toISOString() };
    }
  }

  // Nobody waits for a read that hangs. A task that changes something must wait, since it may go on at any time; but not in
  // a lane, which it might share with tasks that have nothing to do with this domain, and with those that are to be refused.
  #letGo(directory: string, domainId: string, hangs: HostbusError): void {
    if (this.#hanging.has(directory)) return;
    this.#hanging.add(directory);
    this.#reads.get(directory)?.refuseAll(hangs);
    const taskIds = this.#users.get(domainId) ?? [];
    this.#log.warn({ domainId, taskIds }, hangs.message);
    for (const taskId of taskIds) this.#options.stepAside?.(taskId);
  }

  // It has answered at last; should it hang again, what has begun meanwhile is let go, too.
  #lookAgain(directory: string): void {
    this.#hanging.delete(directory);
    for (const entry of this.#entries.values()) if (entry.directory === directory) void this.look(entry);
  }

  #tell(domain: Domain): void {
    const level = domain.status === 'up' ? 'info' : 'warn';
    this.#log[level]({ domain }, 'Storage domain changed its status');
    this.#options.emit({ kind: 'domain', event: domain.status, id: domain.domainId, data: domain });
  }
}

/** A domain as callers are told of it, from a look. */
export function domainSeen(entry: { domainId: string; path: string }, look: DomainLook): Domain {
  const domain: Domain = {
    domainId: entry.domainId,
    name: look.name,
    path: entry.path,
    status: look.defect === undefined ? 'up' : 'degraded',
    capacity: look.capacityBytes,
    available: look.availableBytes,
    readDelay: look.readDelayS,
    lastCheckedAt: new Date().toISOString(),
  };
  if (look.defect !== undefined) domain.message = `Storage domain ${entry.domainId}: ${look.defect}`;
  return domain;
}
