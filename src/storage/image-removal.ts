/** Deleting an image. It is there whole, or not at all. */
import { readdir, rename } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type { Holder, ImageRef } from '../../schemas/image.ts';
import { errnoCode, flushDirectory, removeTree } from '../lib/atomic-file.ts';
import type { StorageContext } from './context.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { parseHolder, publicHolder } from './holder.ts';
import { imageKey } from './image-claims.ts';
import { type ImageReading, readImage } from './image-reader.ts';
import { domainPaths, unfinishedName } from './layout.ts';
import { readSmallFile } from './small-file.ts';
import { findReader, type Reader } from './source-readers.ts';

/**
 * Deletes an image that the caller has claimed. It loses its name first: from then on there is no image, and whoever connects
 * the domain next removes what is left of it.
 *
 * @throws {HostbusError} ImageNotFound, ImageBusy; errors of the file system
 */
export async function removeImage(
  context: StorageContext,
  domain: ConnectedDomain,
  ref: ImageRef,
): Promise<void> {
  const reading = await readImage(context, domain, ref.imageId);
  if (reading.status.status === 'copying') throw written(ref, reading.holder);
  const reader = await findReader(context, ref);
  if (reader !== undefined) throw read(ref, reader);
  const images = domainPaths.images(domain.directory);
  const removed = domainPaths.removed(domain.directory, ref.imageId);
  // Of an earlier image of this ID, whose removal was cut short.
  await removeTree(removed);
  await setAside(context, domain, ref, reading);
  await flushDirectory(images);
}

/** Removes what {@link removeImage} left. */
export async function removeRest(domain: ConnectedDomain, ref: ImageRef): Promise<void> {
  await removeTree(domainPaths.removed(domain.directory, ref.imageId));
  await flushDirectory(domainPaths.images(domain.directory));
}

// Another host may have begun to use the image since it was looked at. With its name gone nobody can begin any more: so what
// is seen now is all there is, and if that is somebody, it gets its name back. Until then it has a name that no other host
// removes.
async function setAside(
  context: StorageContext,
  domain: ConnectedDomain,
  ref: ImageRef,
  before: ImageReading,
): Promise<void> {
  const { hostId, bootId } = context.options;
  const images = domainPaths.images(domain.directory);
  const directory = domainPaths.image(domain.directory, ref.imageId);
  const aside = `${images}/${unfinishedName({ id: ref.imageId, hostId, bootId })}`;
  await removeTree(aside);
  await rename(directory, aside);
  const busy = await inUse(context, ref, aside, before);
  if (busy === undefined) {
    await rename(aside, domainPaths.removed(domain.directory, ref.imageId));
    return;
  }
  await rename(aside, directory);
  throw busy;
}

async function inUse(
  context: StorageContext,
  ref: ImageRef,
  aside: string,
  before: ImageReading,
): Promise<HostbusError | undefined> {
  try {
    const holder = await newHolder(context, ref, aside, before.volume?.holderText);
    if (holder !== undefined) return written(ref, holder);
    const reader = await findReader(context, ref);
    return reader === undefined ? undefined : read(ref, reader);
  } catch (error) {
    // What cannot be read is in nobody's use; the deletion goes on, as far as it can.
    if (error instanceof HostbusError || errnoCode(error) !== undefined) return undefined;
    throw error;
  }
}

/** Somebody of another host who became the writer since the image was looked at, or is about to. */
async function newHolder(
  context: StorageContext,
  ref: ImageRef,
  directory: string,
  before: string | undefined,
): Promise<Holder | undefined> {
  for (const name of await readdir(directory)) {
    if (!name.endsWith('.holder')) continue;
    const text = await readSmallFile(`${directory}/${name}`);
    const holder = text === undefined || text === before ? undefined : parseHolder(text);
    if (holder === undefined || text === undefined || holder.hostId === context.options.hostId) continue;
    if (context.holders.isAlive(`${imageKey(ref)}/${name}`, text)) return publicHolder(holder);
  }
  return undefined;
}

function written(ref: ImageRef, holder: Holder | undefined): HostbusError {
  const message = `Image ${ref.imageId} is being written; cancel the task that does, or wait for it`;
  return new HostbusError('ImageBusy', message, { ...ref, holder });
}

function read(ref: ImageRef, { target, holder }: Reader): HostbusError {
  const message = `Image ${ref.imageId} is being copied to image ${target.imageId}; cancel the task that does, or wait for it`;
  return new HostbusError('ImageBusy', message, { ...ref, holder });
}
