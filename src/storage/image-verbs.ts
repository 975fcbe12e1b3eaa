/** The verbs of `schemas/image.ts` that do not copy. */
import { readdir } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type * as image from '../../schemas/image.ts';
import type { Implementation, TaskContext } from '../tasks/task-context.ts';
import type { StorageContext } from './context.ts';
import { spaceOf } from './domain-look.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { makeEmptyData } from './empty-data.ts';
import { inDomain, noSpace } from './failures.ts';
import { type Claim, imageKey } from './image-claims.ts';
import { imageExists, makeImage, newVolumeMetadata, refuseExisting } from './image-creation.ts';
import { readImage } from './image-reader.ts';
import { removeImage, removeRest } from './image-removal.ts';
import { domainPaths, isUuid } from './layout.ts';
import { forEachOf } from './recovery.ts';

export interface ImageVerbs {
  createImage: Implementation<typeof image.createImage>;
  getImageStatus: Implementation<typeof image.getImageStatus>;
  listImages: Implementation<typeof image.listImages>;
  deleteImage: Implementation<typeof image.deleteImage>;
}

export function imageVerbs(context: StorageContext): ImageVerbs {
  return {
    createImage: (params, task) => createImage(context, params, task),
    getImageStatus: ({ domainId, imageId }) =>
      context.domains.reading(domainId, async (domain) => (await readImage(context, domain, imageId)).status),
    listImages: (params) => listImages(context, params),
    deleteImage: async (ref, task) => {
      await context.domains.use(ref.domainId, task.taskId, (domain) =>
        deleteImage(context, domain, ref, task),
      );
      return {};
    },
  };
}

interface CreateParams extends image.ImageRef {
  format: image.ImageFormat;
  capacity: number;
  allocation?: 'sparse' | 'preallocated';
}

async function createImage(
  context: StorageContext,
  params: CreateParams,
  task: TaskContext<image.ImageStatus>,
): Promise<image.ImageStatus> {
  const { domainId, imageId, format, capacity: capacityBytes, allocation = 'sparse' } = params;
  const ref = { domainId, imageId };
  const preallocated = allocation === 'preallocated';
  return context.domains.use(domainId, task.taskId, (domain) =>
    inDomain(ref, async () => {
      const claim = context.claims.claim(imageKey(ref), 'make', task.taskId);
      if ('blockedBy' in claim) throw imageExists(domainId, imageId);
      try {
        await refuseExisting(domainPaths.image(domain.directory, imageId), domainId, imageId);
        if (preallocated) await requireSpace(domain, ref, capacityBytes);
        const made = await makeImage(context, domain, {
          imageId,
          metadata: newVolumeMetadata(ref, { format, capacityBytes, allocation, legal: true }),
          makeData: (path) => makeEmptyData(path, ref, { format, capacityBytes, preallocated }, task.log),
        });
        await made.data.close();
      } finally {
        claim.release();
      }
      const { status } = await readImage(context, domain, imageId);
      emitImage(context, status, task);
      return status;
    }),
  );
}

/** @throws {HostbusError} NoSpace when the file system of the domain has less space */
export async function requireSpace(
  domain: ConnectedDomain,
  ref: image.ImageRef,
  neededBytes: number,
): Promise<void> {
  const { availableBytes } = await spaceOf(domain.directory);
  if (neededBytes > availableBytes) throw noSpace(ref, { needed: neededBytes, available: availableBytes });
}

/** Tells the new state of an image, which can be read back already. */
export function emitImage(
  context: StorageContext,
  status: image.ImageStatus,
  task: { flowId: string | undefined },
): void {
  const event = status.status;
  context.options.emit({ kind: 'image', event, id: imageKey(status), data: status, flowId: task.flowId });
}

const readsAtOnce = 4;

async function listImages(
  context: StorageContext,
  { domainId, limit = 100, cursor }: { domainId: string; limit?: number; cursor?: string },
): Promise<{ images: image.ImageStatus[]; nextCursor?: string }> {
  const after = cursor === undefined ? '' : decodeCursor(cursor);
  const names = await context.domains.reading(domainId, ({ directory }) =>
    inDomain({ domainId }, () => readdir(domainPaths.images(directory))),
  );
  const left = names.filter((name) => isUuid(name) && name > after).sort();
  const page = left.slice(0, limit);
  const found = new Map<string, image.ImageStatus>();
  await forEachOf(page, readsAtOnce, async (imageId) => {
    const status = await context.domains.reading(domainId, (domain) =>
      statusUnlessGone(context, domain, imageId),
    );
    if (status !== undefined) found.set(imageId, status);
  });
  const images = page.map((imageId) => found.get(imageId)).filter((status) => status !== undefined);
  const last = page.at(-1);
  return left.length > page.length && last !== undefined
    ? { images, nextCursor: encodeCursor(last) }
    : { images };
}

async function statusUnlessGone(
  context: StorageContext,
  domain: ConnectedDomain,
  imageId: string,
): Promise<image.ImageStatus | undefined> {
  try {
    return (await readImage(context, domain, imageId)).status;
  } catch (error) {
    if (error instanceof HostbusError && error.name === 'ImageNotFound') return undefined;
    throw error;
  }
}

function encodeCursor(imageId: string): string {
  return Buffer.from(imageId).toString('base64url');
}

function decodeCursor(cursor: string): string {
  const imageId = Buffer.from(cursor, 'base64url').toString();
  if (isUuid(imageId)) return imageId;
  const message = 'The cursor is none that listImages gave out; begin without one';
  throw new HostbusError('InvalidParams', message, { errors: [{ path: '/cursor', message }] });
}

async function deleteImage(
  context: StorageContext,
  domain: ConnectedDomain,
  ref: image.ImageRef,
  task: TaskContext<unknown>,
): Promise<void> {
  const claim = context.claims.claim(imageKey(ref), 'delete', task.taskId);
  if ('blockedBy' in claim) throw busyWith(context, ref, claim.blockedBy);
  try {
    await inDomain(ref, () => removeImage(context, domain, ref));
    await tellAndTidy(context, domain, ref, task);
  } finally {
    claim.release();
  }
}

// The state can be read back from here on; removing the files may take long.
async function tellAndTidy(
  context: StorageContext,
  domain: ConnectedDomain,
  ref: image.ImageRef,
  task: TaskContext<unknown>,
): Promise<void> {
  context.holders.forget(imageKey(ref));
  context.options.emit({
    kind: 'image',
    event: 'deleted',
    id: imageKey(ref),
    data: { ...ref },
    flowId: task.flowId,
  });
  try {
    await removeRest(domain, ref);
  } catch (error) {
    task.log.warn({ err: error, ...ref }, 'The image is deleted, but its files are not all removed yet');
  }
}

export function busyWith(context: StorageContext, ref: image.ImageRef, claim: Claim): HostbusError {
  const { hostId, bootId } = context.options;
  const doing = { read: 'reads', make: 'makes', delete: 'deletes' }[claim.kind];
  const message = `Image ${ref.imageId} is in use: task ${claim.taskId} ${doing} it. Wait for it, or cancel it`;
  return new HostbusError('ImageBusy', message, {
    ...ref,
    holder: { hostId, bootId, taskId: claim.taskId },
  });
}
