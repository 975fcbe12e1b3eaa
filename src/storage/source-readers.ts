/** Who copies from an image, on any host: found in the records of the copies themselves, so that nothing marks the source. */
import { readdir } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type { Holder, ImageRef, ImageStatus } from '../../schemas/image.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import type { StorageContext } from './context.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { inDomain } from './failures.ts';
import { readImage } from './image-reader.ts';
import { domainPaths, isUuid } from './layout.ts';
import { forEachOf } from './recovery.ts';

const readsAtOnce = 8;

/** A living copy that reads an image. */
export interface Reader {
  target: ImageStatus;
  holder: Holder | undefined;
}

/**
 * Looks through the domains that this host has connected for a living copy from the image. Copies into other domains are not
 * seen: theirs notice for themselves that the source is gone.
 *
 * @throws {HostbusError} DomainUnavailable when the image's own domain cannot be read
 */
export async function findReader(context: StorageContext, source: ImageRef): Promise<Reader | undefined> {
  for (const { domainId } of context.domains.entries()) {
    try {
      // Looked at first: a domain that hangs is given up on as soon as it can be known.
      await context.domains.requireUp(domainId);
      const found = await readerIn(context, domainId, source);
      if (found !== undefined) return found;
    } catch (error) {
      // Where nothing can be read, nothing is copied either.
      if (domainId === source.domainId || !(error instanceof HostbusError)) throw error;
    }
  }
  return undefined;
}

async function readerIn(
  context: StorageContext,
  domainId: string,
  source: ImageRef,
): Promise<Reader | undefined> {
  const names = await context.domains.reading(domainId, ({ directory }) =>
    inDomain({ domainId }, () => readdir(domainPaths.images(directory))),
  );
  let found: Reader | undefined;
  await forEachOf(names.filter(isUuid), readsAtOnce, async (imageId) => {
    if (found !== undefined) return;
    const reading = await context.domains.reading(domainId, (domain) => copyTo(context, domain, imageId));
    if (reading !== undefined && isReader(reading.status, source)) {
      found = { target: reading.status, holder: reading.holder };
    }
  });
  return found;
}

/** An image that is being copied to, or was. */
async function copyTo(context: StorageContext, domain: ConnectedDomain, imageId: string) {
  const directory = domainPaths.image(domain.directory, imageId);
  const hasRecord = await inDomain({ domainId: domain.domainId, imageId }, () => hasCopyRecord(directory));
  return hasRecord ? unlessGone(readImage(context, domain, imageId)) : undefined;
}

function isReader({ status, copy }: ImageStatus, source: ImageRef): boolean {
  if (status !== 'copying' || copy === undefined || !('imageId' in copy.source)) return false;
  return copy.source.imageId === source.imageId && copy.source.domainId === source.domainId;
}

/** Whether the directory of an image has the record of a copy: much cheaper than reading the image. */
export async function hasCopyRecord(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).some((name) => name.endsWith('.copy'));
  } catch (error) {
    // Gone meanwhile, or no image at all.
    if (['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM'].includes(errnoCode(error) ?? '')) return false;
    throw error;
  }
}

async function unlessGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof HostbusError && error.name === 'ImageNotFound') return undefined;
    throw error;
  }
}
