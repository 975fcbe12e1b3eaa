/** The state of an image, read from its storage domain: the same answer on whichever host it is read. */
import { lstat, readdir, stat } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type { Holder, ImageStatus } from '../../schemas/image.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import type { StorageContext } from './context.ts';
import { type CopyRecord, decodeCopyRecord, durableBytes } from './copy-record.ts';
import { currentVolume, refuseStrays } from './current-volume.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { inDomain } from './failures.ts';
import { type HolderRecord, parseHolder, publicHolder } from './holder.ts';
import { imageKey } from './image-claims.ts';
import { BadMetadata } from './key-value-text.ts';
import { domainPaths, isUuid, type VolumePaths, volumePaths } from './layout.ts';
import { readSmallFile } from './small-file.ts';
import { type ChainVolume, volumesBelow } from './volume-chain.ts';
import { decodeVolumeMetadata, type VolumeMetadata, zeroUuid } from './volume-metadata.ts';

export interface ImageReading {
  status: ImageStatus;
  /** Who writes it and is alive. */
  holder: Holder | undefined;
  /** Undefined when `status` is `broken` for want of it. */
  volume: ReadVolume | undefined;
}

export interface ReadVolume {
  id: string;
  /** The image's. */
  directory: string;
  paths: VolumePaths;
  metadata: VolumeMetadata;
  /** The volumes that it builds on, base first; known of a complete one. */
  below: ChainVolume[];
  /** The text of its holder file, whoever that is, alive or not. */
  holderText: string | undefined;
  /** Of a volume that is not complete, when it can be believed. */
  record: CopyRecord | undefined;
}

/** The files of one moment; the writer may have changed some while they were read. */
interface Files {
  volumeId: string;
  directory: string;
  paths: VolumePaths;
  metaText: string | undefined;
  copyText: string | undefined;
  holderText: string | undefined;
  /** All that is in the directory. */
  names: readonly string[];
  data: { sizeBytes: number; allocatedBytes: number } | undefined;
  createdAtMs: number;
}

/**
 * Reads an image.
 *
 * @throws {HostbusError} ImageNotFound, DomainUnavailable
 */
export async function readImage(
  context: StorageContext,
  domain: ConnectedDomain,
  imageId: string,
): Promise<ImageReading> {
  return inDomain({ domainId: domain.domainId, imageId }, async () => {
    // An image that is deleted or taken over while its files are read looks broken, or vanishes in the middle. The next time
    // it is gone, or in order again.
    for (let triesLeft = 2; triesLeft > 0; triesLeft--) {
      const reading = await readOnce(context, domain, imageId).catch((error: unknown) => {
        if (errnoCode(error) === 'ENOENT') return undefined;
        throw error;
      });
      if (reading !== undefined && reading.status.status !== 'broken') return reading;
    }
    return readOnce(context, domain, imageId);
  });
}

async function readOnce(
  context: StorageContext,
  domain: ConnectedDomain,
  imageId: string,
): Promise<ImageReading> {
  const directory = domainPaths.image(domain.directory, imageId);
  const found = await lstat(directory).catch(async (error: unknown) => {
    if (errnoCode(error) !== 'ENOENT') throw error;
    // Without this, a domain that has been unmounted would look empty.
    await stat(domainPaths.metadata(domain.directory));
    throw imageNotFound(domain.domainId, imageId);
  });
  const blank = blankStatus(domain.domainId, imageId, found.ctimeMs);
  try {
    if (!found.isDirectory()) throw new BadMetadata('it is not a directory');
    const files = await readFiles(directory, found.ctimeMs);
    return await withChain(files, judge(context, blank, files));
  } catch (error) {
    const why = brokenBecause(error);
    if (why === undefined) throw error;
    return broken(blank, why);
  }
}

function brokenBecause(error: unknown): string | undefined {
  if (error instanceof BadMetadata) return error.message;
  const code = errnoCode(error);
  if (code === 'ELOOP') return 'one of its files is a symbolic link';
  return code === 'EACCES' || code === 'EPERM' ? `one of its files may not be read (${code})` : undefined;
}

function imageNotFound(domainId: string, imageId: string): HostbusError {
  const message = `Storage domain ${domainId} holds no image ${imageId}`;
  return new HostbusError('ImageNotFound', message, { domainId, imageId });
}

async function readFiles(directory: string, createdAtMs: number): Promise<Files> {
  const names = await readdir(directory);
  const volumeId = (await currentVolume(directory, names)) ?? names.find(isUuid);
  if (volumeId === undefined) throw new BadMetadata('it has no volume');
  const paths = volumePaths(directory, volumeId);
  // The metadata last: a writer that completes writes it first and removes the others then, so that no order of events
  // shows an incomplete volume without its record.
  const data = await statData(paths.data);
  const copyText = await readSmallFile(paths.copy);
  const holderText = await readSmallFile(paths.holder);
  const metaText = await readSmallFile(paths.meta);
  return { volumeId, directory, paths, metaText, copyText, holderText, names, data, createdAtMs };
}

async function statData(path: string): Promise<Files['data']> {
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  if (!found.isFile()) throw new BadMetadata('its data is not a regular file');
  return { sizeBytes: found.size, allocatedBytes: found.blocks * 512 };
}

function judge(context: StorageContext, blank: ImageStatus, files: Files): ImageReading {
  const known: ImageStatus = {
    ...blank,
    volumeId: files.volumeId,
    capacity: files.data?.sizeBytes ?? 0,
    allocated: files.data?.allocatedBytes ?? 0,
  };
  if (files.metaText === undefined)
    return broken(known, 'it has no metadata; its creation was not completed');
  const metadata = decodedOr(known, 'metadata', () => decodeVolumeMetadata(files.metaText ?? ''));
  if ('broken' in metadata) return metadata.broken;
  const { directory, paths, holderText } = files;
  const parts = { directory, paths, holderText, metadata: metadata.value, below: [], record: undefined };
  const volume: ReadVolume = { id: files.volumeId, ...parts };
  const status = described(known, metadata.value);
  const wrong = wrongWith(metadata.value, files);
  if (wrong !== undefined) return { ...broken(status, wrong), volume };
  if (metadata.value.legal) return { status, holder: undefined, volume };
  if (files.copyText === undefined) {
    return { ...broken(status, 'it is not complete, and there is no record to go on from'), volume };
  }
  const record = decodedOr(status, 'copy record', () => decodeCopyRecord(files.copyText ?? ''));
  if ('broken' in record) return { ...record.broken, volume };
  if (!files.names.includes(`${files.volumeId}.next`)) {
    return { ...broken(status, 'it is not complete, and there is nothing to complete it with'), volume };
  }
  volume.record = record.value;
  return { ...unfinished(context, status, record.value, holderText), volume };
}

/** What the image's volume builds on, or will. */
async function withChain(files: Files, reading: ImageReading): Promise<ImageReading> {
  const { status, volume } = reading;
  if (volume === undefined || status.status === 'broken') return reading;
  try {
    const below = volume.metadata.legal ? await volumesBelow(files.directory, volume) : [];
    const coming = volume.record?.below?.volumes ?? [];
    const known = [...below.map(({ id }) => id), ...coming.map(({ volumeId }) => volumeId), volume.id];
    refuseStrays(files.names, known);
    if (known.length === 1) return reading;
    const allocated = below.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, status.allocated);
    return { ...reading, status: { ...status, allocated, chain: known }, volume: { ...volume, below } };
  } catch (error) {
    const why = brokenBecause(error);
    if (why === undefined) throw error;
    return { ...broken(status, why), volume };
  }
}

function described(known: ImageStatus, metadata: VolumeMetadata): ImageStatus {
  return {
    ...known,
    status: 'ok',
    format: metadata.format,
    capacity: metadata.capacityBytes,
    generation: metadata.generation,
    createdAt: new Date(Math.min(metadata.createdAtS * 1000, 8.64e15)).toISOString(),
  };
}

function wrongWith(metadata: VolumeMetadata, files: Files): string | undefined {
  if (files.data === undefined) return 'its data file is missing';
  const short = metadata.format === 'raw' && files.data.sizeBytes < metadata.capacityBytes;
  if (short) return `its data file has ${files.data.sizeBytes} of ${metadata.capacityBytes} bytes`;
  return undefined;
}

function unfinished(
  context: StorageContext,
  status: ImageStatus,
  record: CopyRecord,
  holderText: string | undefined,
): Pick<ImageReading, 'status' | 'holder'> {
  const holder = holderText === undefined ? undefined : parseHolder(holderText);
  const alive = holderText !== undefined && isAlive(context, imageKey(status), holderText, holder);
  const copy: NonNullable<ImageStatus['copy']> = {
    source: record.source,
    done: durableBytes(record),
    total: record.total,
    unit: 'bytes',
    updatedAt: record.updatedAt,
  };
  if (!alive) return { status: { ...status, status: 'interrupted', copy }, holder: undefined };
  if (holder !== undefined) copy.holder = publicHolder(holder);
  return {
    status: { ...status, status: 'copying', copy },
    holder: copy.holder,
  };
}

// Of its own holders a host knows the truth; those of others it watches.
function isAlive(
  context: StorageContext,
  key: string,
  text: string,
  holder: HolderRecord | undefined,
): boolean {
  const { hostId, bootId } = context.options;
  if (holder?.hostId !== hostId) return context.holders.isAlive(key, text);
  return holder.bootId === bootId && context.claims.isMadeBy(key, holder.taskId);
}

function decodedOr<T>(
  status: ImageStatus,
  what: string,
  decode: () => T,
): { value: T } | { broken: ImageReading } {
  try {
    return { value: decode() };
  } catch (error) {
    if (!(error instanceof BadMetadata)) throw error;
    return { broken: broken(status, `its ${what} cannot be believed: ${error.message}`) };
  }
}

function broken(status: ImageStatus, why: string): ImageReading {
  const message = `Image ${status.imageId} is broken: ${why}`;
  return { status: { ...status, status: 'broken', message }, holder: undefined, volume: undefined };
}

function blankStatus(domainId: string, imageId: string, createdAtMs: number): ImageStatus {
  return {
    domainId,
    imageId,
    volumeId: zeroUuid,
    status: 'broken',
    format: 'raw',
    capacity: 0,
    allocated: 0,
    generation: 0,
    createdAt: new Date(createdAtMs).toISOString(),
  };
}
