/** The verbs of `schemas/domain.ts`. */
import { realpath, stat } from 'node:fs/promises';
import type * as domain from '../../schemas/domain.ts';
import { HostbusError } from '../../schemas/errors.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import type { Implementation } from '../tasks/task-context.ts';
import type { StorageContext } from './context.ts';
import { domainExists, makeDomain } from './domain-creation.ts';
import { type ConnectedDomain, type ContinueCopies, domainSeen } from './domain-table.ts';
import { domainUnavailable, inDomain } from './failures.ts';
import { KeyedMutex } from './keyed-mutex.ts';
import { resolveInRoots } from './paths.ts';
import { recoverDomain } from './recovery.ts';
import { withTimeLimit } from './time-limit.ts';

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
    listStorageDomains: async () => ({
      domains: await Promise.all(context.domains.entries().map((entry) => context.domains.look(entry))),
    }),
    getStorageDomainStatus: async ({ domainId }) => context.domains.look(context.domains.get(domainId)),
  };
}

/** One connector for each {@link StorageContext}: it is what keeps two changes of one domain apart. */
export function domainConnector(context: StorageContext): DomainConnector {
  const mutex = new KeyedMutex();
  return {
    connect: (domainId, path, continueCopies) =>
      mutex.run(domainId, () => connect(context, domainId, path, continueCopies)),
    create: (domainId, path, name) => mutex.run(domainId, () => create(context, domainId, path, name)),
    disconnect: (domainId) => mutex.run(domainId, () => disconnect(context, domainId)),
  };
}

async function connect(
  context: StorageContext,
  domainId: string,
  path: string,
  continueCopies?: ContinueCopies,
): Promise<domain.Domain> {
  const { domains, options, tuning } = context;
  // No look under a path that hangs may hold up the others of the domain for ever.
  const directory = await withTimeLimit(find(options.roots, domainId, path), tuning.lookLimitMs, () =>
    domainUnavailable(domainId, `${path} does not answer within ${tuning.lookLimitMs / 1000} s`),
  );
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
  await recoverDomain(context, entry);
  domains.set(entry);
  if (entry.continueCopies === 'auto') context.autoContinue.begin(context, entry);
  return entry.last;
}

async function create(
  context: StorageContext,
  domainId: string,
  path: string,
  name: string,
): Promise<domain.Domain> {
  const present = context.domains.find(domainId);
  if (present?.directory !== undefined) throw connectedElsewhere(domainId, present.path);
  const realPath = await resolveInRoots(path, context.options.roots);
  if (!(await inDomain({ domainId }, () => stat(realPath))).isDirectory()) {
    throw new HostbusError('InvalidPath', `${path} is not a directory`, { path });
  }
  await inDomain({ domainId }, () => makeDomain(context.options, { domainId, name, path, realPath }));
  return connect(context, domainId, path);
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

/** The real directory of a domain. */
async function find(roots: readonly string[], domainId: string, path: string): Promise<string> {
  const realPath = await resolveInRoots(path, roots);
  const directory = `${realPath}/${domainId}`;
  try {
    const real = await realpath(directory);
    if (!(await stat(real)).isDirectory()) throw notFound(domainId, path);
    // The directory itself may be a symbolic link that leads out.
    return await resolveInRoots(real, roots);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') throw notFound(domainId, path);
    return inDomain({ domainId }, () => Promise.reject(error));
  }
}

function notFound(domainId: string, path: string): HostbusError {
  const message = `${path} holds no storage domain ${domainId}; make one with createStorageDomain`;
  return new HostbusError('DomainNotFound', message, { domainId, path });
}

function connectedElsewhere(domainId: string, path: string): HostbusError {
  const error = domainExists(domainId, path);
  const message = `Storage domain ${domainId} is connected already, from ${path}; disconnect it first to use another path`;
  return new HostbusError('DomainExists', message, error.data);
}
