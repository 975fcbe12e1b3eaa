/**
 * Connecting a domain is recovering: what crashes of this host left in it is finished or removed, and deletions that anybody
 * left are finished. Every step may be cut short, and is taken again at the next time.
 */
import { readdir } from 'node:fs/promises';
import { errnoCode, flushDirectory, removeFile, removeTree } from '../lib/atomic-file.ts';
import type { StorageContext } from './context.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { type HolderRecord, parseHolder } from './holder.ts';
import { imageKey } from './image-claims.ts';
import { type ReadVolume, readImage } from './image-reader.ts';
import { domainPaths, isRemoved, isUuid, parseUnfinishedName } from './layout.ts';
import { tidyComplete } from './tidying.ts';

const concurrency = 8;

/** Never throws: a domain that cannot be tidied, such as a read-only one, can still be read. */
export async function recoverDomain(context: StorageContext, domain: ConnectedDomain): Promise<void> {
  const { log } = context.options;
  try {
    const images = domainPaths.images(domain.directory);
    const names = await readdir(images);
    await removeAll(
      context,
      images,
      names.filter((name) => isRemoved(name) || isOwnLeftover(context, name)),
    );
    await forEachOf(names.filter(isUuid), concurrency, async (imageId) => {
      await releaseOwn(context, domain, imageId).catch((error: unknown) => {
        log.warn({ err: error, domainId: domain.domainId, imageId }, 'An image could not be looked after');
      });
    });
  } catch (error) {
    log.warn({ err: error, domainId: domain.domainId }, 'The storage domain could not be tidied');
  }
}

/**
 * Whether a name is of something that an earlier boot of this host did not finish making. Other hosts' are left alone: they
 * may be at it.
 */
export function isOwnLeftover(context: StorageContext, name: string): boolean {
  const of = parseUnfinishedName(name);
  return of?.hostId === context.options.hostId && of.bootId !== context.options.bootId;
}

async function removeAll(context: StorageContext, parent: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    context.options.log.info({ path: `${parent}/${name}` }, 'Removing what was left unfinished');
    await removeTree(`${parent}/${name}`);
  }
  if (names.length > 0) await flushDirectory(parent);
}

// An image that an earlier boot of this host was writing is given up here, so that no other host need watch out the term.
async function releaseOwn(context: StorageContext, domain: ConnectedDomain, imageId: string): Promise<void> {
  const directory = domainPaths.image(domain.directory, imageId);
  const names = await readdir(directory).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return [];
    throw error;
  });
  if (!names.some((name) => /\.(copy|holder|next)\b/.test(name))) return;
  const { volume, status } = await readImage(context, domain, imageId);
  if (status.status !== 'ok' && !isOwn(context, holderOf(volume))) return;
  const key = imageKey({ domainId: domain.domainId, imageId });
  // One at a time removes a holder of this host: a task may be about to put its own in the place.
  const claim = context.claims.claim(key, 'make', `recovery of boot ${context.options.bootId}`);
  if ('blockedBy' in claim) return;
  try {
    await releaseClaimed(context, domain, imageId);
  } finally {
    claim.release();
  }
}

async function releaseClaimed(
  context: StorageContext,
  domain: ConnectedDomain,
  imageId: string,
): Promise<void> {
  const { volume, status: before } = await readImage(context, domain, imageId);
  if (volume === undefined) return;
  if (before.status === 'ok') {
    await tidy(context, volume);
  } else if (isOwn(context, holderOf(volume))) {
    await removeFile(volume.paths.holder);
    await flushDirectory(volume.directory);
    const { status } = await readImage(context, domain, imageId);
    if (status.status !== 'interrupted') return;
    context.options.emit({ kind: 'image', event: 'interrupted', id: imageKey(status), data: status });
  }
}

function holderOf(volume: ReadVolume | undefined): HolderRecord | undefined {
  return volume?.holderText === undefined ? undefined : parseHolder(volume.holderText);
}

function isOwn(context: StorageContext, holder: HolderRecord | undefined): boolean {
  return holder?.hostId === context.options.hostId;
}

// A crash, of whichever host, came after the completion, and this is the rest of it; or we were late, and somebody else
// completed it.
async function tidy(context: StorageContext, volume: ReadVolume): Promise<void> {
  const { hostId } = context.options;
  const mayRemove = (holder: HolderRecord | undefined) => holder === undefined || holder.hostId === hostId;
  // It was seen to be complete, which may not be durable yet: without its record it must not become incomplete again.
  await flushDirectory(volume.directory);
  await tidyComplete(volume.directory, volume.id, { mayRemove, hostId });
}

/** Does work for each item, a few at a time. */
export async function forEachOf<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
}
