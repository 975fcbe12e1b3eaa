/** The verbs of `schemas/domain.ts`. */
import type * as domain from '../../schemas/domain.ts';
import { HostbusError } from '../../schemas/errors.ts';
import type { Implementation } from '../tasks/task-context.ts';
import type { AutoContinue } from './auto-continue.ts';
import type { StorageContext } from './context.ts';
import { domainExists, makeDomain } from './domain-creation.ts';
import { DomainFinder } from './domain-finder.ts';
import { type ConnectedDomain, type ContinueCopies, domainSeen } from './domain-table.ts';
import { inDomain } from './failures.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { recoverDomain } from './recovery.ts';

export interface DomainVerbs {
  createStorageDomain: Implementation<typeof domain.createStorageDomain>;
  connectStorageDomain: Implementation<typeof domain.connectStorageDomain>;
  disconnectStorageDomain: Implementation<typeof domain.disconnectStorageDomain>;
  listStorageDomains: Implementation<typeof domain.listStorageDomains>;
  getStorageDomainStatus: Implementation<typeof domain.getStorageDomainStatus>;
}

/** What connects a domain, for the verbs and for the configuration. */
export interface DomainConnector {
  /** @throws {HostbusError} DomainNotFound, DomainExists, DomainUnavailable, InvalidPath */
  connect(domainId: string, path: string, continueCopies?: ContinueCopies): Promise<domain.Domain>;
  create(domainId: string, path: string, name: string): Promise<domain.Domain>;
  disconnect(domainId: string): Promise<domain.Domain>;
}

export function domainVerbs(context: StorageContext, connector: DomainConnector): DomainVerbs {
  return {
    createStorageDomain: ({ domainId, path, name }) => connector.create(domainId, path, name ?? ''),
    connectStorageDomain: ({ domainId, path }) => connector.connect(domainId, path),
    disconnectStorageDomain: ({ domainId }) => connector.disconnect(domainId),
    listStorageDomains: () => ({ domains: context.domains.entries().map(({ last }) => last) }),
    getStorageDomainStatus: async ({ domainId }) => context.domains.look(context.domains.get(domainId)),
  };
}

/** One connector for each {@link StorageContext}: it is what keeps two changes of one domain apart. */
export function domainConnector(context: StorageContext, autoContinue: AutoContinue): DomainConnector {
  const mutex = new KeyedMutex();
  const finder = new DomainFinder(context.options.roots, context.tuning.lookLimitMs);
  return {
    connect: (domainId, path, continueCopies) =>
      mutex.run(domainId, async () => {
        const entry = await connect(context, finder, { domainId, path, continueCopies });
        if (entry.continueCopies === 'auto') autoContinue.begin(entry);
        return entry.last;
      }),
    create: (domainId, path, name) =>
      mutex.run(domainId, () => create(context, finder, { domainId, path, name })),
    disconnect: (domainId) => mutex.run(domainId, () => disconnect(context, domainId)),
  };
}

interface Connection {
  domainId: string;
  path: string;
  continueCopies?: ContinueCopies | undefined;
}

async function connect(
  context: StorageContext,
  finder: DomainFinder,
  { domainId, path, continueCopies }: Connection,
): Promise<ConnectedDomain> {
  const { domains } = context;
  const directory = await finder.directory(domainId, path);
  const present = domains.find(domainId);
  if (present?.directory !== undefined && present.directory !== directory) {
    throw connectedElsewhere(domainId, present.path);
  }
  const last = domainSeen({ domainId, path }, await domains.probe(directory, domainId));
  const entry: ConnectedDomain = {
    domainId,
    path: present?.path ?? path,
    directory,
    continueCopies: continueCopies ?? present?.continueCopies ?? 'manual',
    last: { ...last, path: present?.path ?? path },
  };
  await domains.within(entry, (pinned) => recoverDomain(context, pinned));
  domains.set(entry);
  return entry;
}

async function create(
  context: StorageContext,
  finder: DomainFinder,
  { domainId, path, name }: { domainId: string; path: string; name: string },
): Promise<domain.Domain> {
  const present = context.domains.find(domainId);
  if (present?.directory !== undefined) throw connectedElsewhere(domainId, present.path);
  const realPath = await finder.place(domainId, path);
  await inDomain({ domainId }, () => makeDomain(context.options, { domainId, name, path, realPath }));
  const entry = await connect(context, finder, { domainId, path });
  return entry.last;
}

async function disconnect(context: StorageContext, domainId: string): Promise<domain.Domain> {
  const entry = context.domains.get(domainId);
  const taskId = context.domains.userOf(domainId);
  if (taskId !== undefined) {
    const message = `Storage domain ${domainId} cannot be disconnected: task ${taskId} works in it. Wait for it, or cancel it`;
    const { hostId, bootId } = context.options;
    throw new HostbusError('ImageBusy', message, { domainId, holder: { hostId, bootId, taskId } });
  }
  context.domains.delete(domainId);
  return entry.last;
}

function connectedElsewhere(domainId: string, path: string): HostbusError {
  const error = domainExists(domainId, path);
  const message = `Storage domain ${domainId} is connected already, from ${path}; disconnect it first to use another path`;
  return new HostbusError('DomainExists', message, error.data);
}
