/** Making an image. Until the last step it has a temporary name: it exists whole, or not at all. */
import { randomUUID } from 'node:crypto';
import { type FileHandle, lstat, mkdir, open, rename } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageFormat, ImageRef } from '../../schemas/image.ts';
import { errnoCode, flushDirectory, removeTree, writeNewFile } from '../lib/atomic-file.ts';
import type { StorageContext } from './context.ts';
import { type CopyRecord, encodeCopyRecord } from './copy-record.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { type HolderRecord, makeHolder } from './holder.ts';
import { domainPaths, unfinishedName, type VolumePaths, volumePaths } from './layout.ts';
import { completed, encodeVolumeMetadata, type VolumeMetadata, zeroUuid } from './volume-metadata.ts';

export interface NewImage {
  imageId: string;
  metadata: VolumeMetadata;
  /** Volumes that it builds on; their data comes later. */
  below?: readonly { volumeId: string; metadata: VolumeMetadata }[];
  /** Makes the data file, which does not exist yet. It is flushed afterwards. */
  makeData(path: string): Promise<void>;
  /** For an image whose data is still to come. */
  copy?: { record: CopyRecord; holder: HolderRecord };
  /** Checked before the image takes its name: aborted, nothing is left. */
  signal?: AbortSignal;
}

export interface MadeImage {
  volumeId: string;
  directory: string;
  paths: VolumePaths;
  /** Open for reading and writing; the caller closes it. */
  data: FileHandle;
}

/** The metadata of a volume that is made now. */
export function newVolumeMetadata(
  ref: ImageRef,
  volume: {
    format: ImageFormat;
    capacityBytes: number;
    allocation: 'sparse' | 'preallocated';
    legal: boolean;
    /** The volume that it builds on. */
    parentId?: string;
  },
): VolumeMetadata {
  return {
    parentId: zeroUuid,
    ...volume,
    domainId: ref.domainId,
    imageId: ref.imageId,
    createdAtS: Math.floor(Date.now() / 1000),
    description: '',
    diskType: 'DATA',
    generation: 0,
    sequence: 0,
    volumeType: 'LEAF',
    unknown: new Map(),
  };
}

/**
 * Makes an image; durable when this resolves. Killed at any point, it leaves no image, or the whole one.
 *
 * @throws {HostbusError} ImageExists; errors of the file system; what `makeData` throws; the reason of `signal`
 */
export async function makeImage(
  context: StorageContext,
  domain: ConnectedDomain,
  image: NewImage,
): Promise<MadeImage> {
  const { hostId, bootId } = context.options;
  const images = domainPaths.images(domain.directory);
  const temporary = `${images}/${unfinishedName({ id: image.imageId, hostId, bootId })}`;
  const directory = domainPaths.image(domain.directory, image.imageId);
  const volumeId = randomUUID();
  await refuseExisting(directory, domain.domainId, image.imageId);
  // What an earlier try of this boot could not remove; nobody else of this boot is at it, because a task claims the image.
  await removeTree(temporary);
  let data: FileHandle | undefined;
  try {
    data = await build(temporary, volumeId, image);
    image.signal?.throwIfAborted();
    await rename(temporary, directory);
  } catch (error) {
    await data?.close();
    await removeTree(temporary).catch(() => {});
    // Another host was quicker.
    const code = errnoCode(error);
    const exists = code === 'ENOTEMPTY' || code === 'EEXIST';
    throw exists ? imageExists(domain.domainId, image.imageId) : error;
  }
  try {
    await flushDirectory(images);
  } catch (error) {
    await data.close();
    throw error;
  }
  return { volumeId, directory, paths: volumePaths(directory, volumeId), data };
}

async function build(temporary: string, volumeId: string, image: NewImage): Promise<FileHandle> {
  const paths = volumePaths(temporary, volumeId);
  await mkdir(temporary);
  await image.makeData(paths.data);
  const data = await open(paths.data, 'r+');
  try {
    await data.sync();
    await writeNewFile(paths.lease, '');
    await writeNewFile(paths.meta, encodeVolumeMetadata(image.metadata));
    for (const { volumeId, metadata } of image.below ?? []) {
      const { lease, meta } = volumePaths(temporary, volumeId);
      await writeNewFile(lease, '');
      await writeNewFile(meta, encodeVolumeMetadata(metadata));
    }
    if (image.copy !== undefined) {
      await writeNewFile(paths.copy, encodeCopyRecord(image.copy.record));
      await writeNewFile(paths.next, encodeVolumeMetadata(completed(image.metadata)));
      await makeHolder(paths.holder, image.copy.holder);
    }
    await flushDirectory(temporary);
    return data;
  } catch (error) {
    await data.close();
    throw error;
  }
}

/** @throws {HostbusError} ImageExists */
export async function refuseExisting(directory: string, domainId: string, imageId: string): Promise<void> {
  const found = await lstat(directory).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found !== undefined) throw imageExists(domainId, imageId);
}

export function imageExists(domainId: string, imageId: string): HostbusError {
  const message = `Storage domain ${domainId} holds an image ${imageId} already`;
  return new HostbusError('ImageExists', message, { domainId, imageId });
}
