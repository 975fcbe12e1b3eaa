/**
 * Copying the volumes that an image's last one builds on, one after the other, before that one itself. Their metadata is there
 * from the beginning; they keep their IDs, because headers name them. The data of each is written under a name that belongs to
 * the writer's own volume, `<volumeId>.below-<id>`, and gets its own name by `link(2)` once all of it is on stable storage: so a
 * file of that name is complete, whoever made it, and nobody who comes late can replace it or writes to it any more.
 */
import { type FileHandle, link, lstat, open } from 'node:fs/promises';
import type { ImageRef } from '../../schemas/image.ts';
import { errnoCode, flushDirectory, removeFile } from '../lib/atomic-file.ts';
import { writeRecord } from './copy-end.ts';
import { copyFailed } from './copy-errors.ts';
import { measureData } from './copy-progress.ts';
import { type BelowVolume, type CopyRecord, currentBelow, doneBelow } from './copy-record.ts';
import type { Job } from './copy-state.ts';
import { notBegun } from './data-run.ts';
import { type Layer, leafOf } from './image-layers.ts';
import { BadMetadata } from './key-value-text.ts';
import { belowPath, volumePaths } from './layout.ts';
import { volumesBelow } from './volume-chain.ts';
import type { VolumeMetadata } from './volume-metadata.ts';

/** The volumes below, as the record of a new copy has them. */
export async function measureBelow(layers: readonly Layer[]): Promise<NonNullable<CopyRecord['below']>> {
  const volumes: BelowVolume[] = [];
  for (const { id: volumeId, file } of layers.slice(0, -1)) {
    const { size: sourceSize } = await file.stat();
    const { totalBytes: total, countedTo } = await measureData(file.fd, sourceSize);
    volumes.push({ volumeId, sourceSize, total, countedTo });
  }
  return { volumes, complete: 0 };
}

/** The metadata of the volumes below in the target. What was shared with other images (a template) is its own there. */
export function belowMetadata(
  layers: readonly Layer[],
  target: ImageRef,
): { volumeId: string; metadata: VolumeMetadata }[] {
  return layers.slice(0, -1).map(({ id, metadata }) => ({
    volumeId: id,
    metadata: { ...metadata, ...target, volumeType: 'INTERNAL', allocation: 'sparse', legal: true },
  }));
}

/** Whether the layers of an open source are those that the record names. */
export async function sameBelow(layers: readonly Layer[], { below }: CopyRecord): Promise<boolean> {
  const found = layers.slice(0, -1);
  const expected = below?.volumes ?? [];
  if (found.length !== expected.length) return false;
  for (const [i, { id, file }] of found.entries()) {
    const { size } = await file.stat();
    if (id !== expected[i]?.volumeId || size !== expected[i].sourceSize) return false;
  }
  return true;
}

/** Passes over volumes whose data is there: the crash, or the take-over, came before the record of it. */
export async function passComplete(directory: string, record: CopyRecord): Promise<void> {
  for (let next = currentBelow(record); next !== undefined; next = currentBelow(record)) {
    if (!(await exists(volumePaths(directory, next.volumeId).data))) return;
    pass(record);
  }
}

function pass(record: CopyRecord): void {
  if (record.below !== undefined) record.below.complete++;
  // Whatever there is of an earlier writer belongs to the volume that is complete now.
  delete record.earlier;
  record.offset = 0;
  record.done = doneBelow(record);
}

/**
 * Opens the file that the data of the next volume below is written to; changes the record where there is no such file.
 *
 * @returns undefined when all of them are complete
 */
export async function openBelow(
  { directory, volumeId }: { directory: string; volumeId: string },
  record: CopyRecord,
): Promise<FileHandle | undefined> {
  const next = currentBelow(record);
  if (next === undefined) return undefined;
  const path = belowPath(directory, volumeId, next.volumeId);
  if (record.offset > 0) {
    try {
      return await open(path, 'r+');
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      record.offset = 0;
      record.done = doneBelow(record);
    }
  }
  const file = await open(path, 'w+', 0o660);
  try {
    await file.truncate(next.sourceSize);
    await flushDirectory(directory);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Gives the volume that has been copied its name; its data has been flushed.
 *
 * @throws {HostbusError} CopyFailed when its source has changed, ImageBusy when somebody has taken over; errors of the file system
 */
export async function finishBelow(job: Job): Promise<void> {
  const { record, made, keeper, plan } = job;
  const volume = currentBelow(record);
  if (volume === undefined || job.belowData === undefined) return;
  const source = plan.source.layers[record.below?.complete ?? 0];
  for (const file of [source?.file, job.belowData]) {
    const sizeBytes = (await file?.stat())?.size;
    if (sizeBytes === volume.sourceSize) continue;
    const sizes = `has ${sizeBytes} bytes instead of ${volume.sourceSize}`;
    throw copyFailed(plan.target, `volume ${volume.volumeId} ${sizes}`);
  }
  await keeper.checkStillHeld();
  const path = belowPath(made.directory, made.volumeId, volume.volumeId);
  await linkUnlessThere(path, volumePaths(made.directory, volume.volumeId).data);
  await flushDirectory(made.directory);
  await job.belowData.close();
  job.belowData = undefined;
  pass(record);
  job.run = notBegun(record);
  await writeRecord(job, { offset: record.offset, doneBytes: record.done });
  await removeFile(path);
}

async function linkUnlessThere(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    // Somebody who took over, or was taken over from, was quicker: his is as complete as ours.
    if (errnoCode(error) !== 'EEXIST') throw error;
  }
}

/**
 * Looks at the whole chain before it is declared complete.
 *
 * @throws {HostbusError} CopyFailed when its headers and metadata are not consistent: the source was changed meanwhile
 */
export async function verifyChain({ made, plan, record }: Job): Promise<void> {
  if (record.below === undefined) return;
  const { metadata } = leafOf(plan.source.layers);
  try {
    await volumesBelow(made.directory, { id: made.volumeId, metadata });
  } catch (error) {
    if (!(error instanceof BadMetadata)) throw error;
    throw copyFailed(plan.target, `the source was changed meanwhile, ${error.message}`, undefined, error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}
