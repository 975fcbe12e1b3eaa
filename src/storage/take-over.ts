/**
 * Becoming the writer of an interrupted copy. Two things hold, whatever sleeps, wakes or crashes when:
 *
 * 1. The files of one volume are only ever written by one process that may be alive. Somebody else goes on with a volume only
 *    after its writer gave it up, or when it was an earlier boot of the same host; else he makes a new volume beside it.
 * 2. `.next` decides. The writer completes the volume by renaming it to `.meta`; who takes over renames it to the `.next` of his
 *    new volume. A rename of one file succeeds once. So a writer that was taken for dead and wakes up finds that it cannot
 *    complete anything, and all that it may still write belongs to a volume that does not count.
 *
 * Killed at any point, either the old volume is the image's or the new one, each with all it takes to go on.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, rename, stat } from 'node:fs/promises';
import { errnoCode, flushDirectory, removeFile, replaceFile, writeNewFile } from '../lib/atomic-file.ts';
import type { StorageContext } from './context.ts';
import {
  type CopyRecord,
  currentBelow,
  decodeCopyRecord,
  doneBelow,
  encodeCopyRecord,
} from './copy-record.ts';
import { isLegal } from './current-volume.ts';
import { type HolderRecord, makeHolder, parseHolder, publicHolder } from './holder.ts';
import type { MadeImage } from './image-creation.ts';
import type { ReadVolume } from './image-reader.ts';
import { belowPath, volumePaths } from './layout.ts';
import { readSmallFile } from './small-file.ts';
import { belowPaths, removeVolume } from './tidying.ts';
import { encodeVolumeMetadata, type VolumeMetadata } from './volume-metadata.ts';

/** An interrupted volume that was read: no living holder, and with a record. */
export type Interrupted = ReadVolume & { record: CopyRecord };

/** What somebody holds who has become the writer. */
export interface Held {
  made: MadeImage;
  metadata: VolumeMetadata;
  record: CopyRecord;
  holder: HolderRecord;
}

/** Somebody else was quicker: the image is to be looked at again. */
export class Overtaken extends Error {
  override readonly name = 'Overtaken';
}

/**
 * Becomes the writer; durable when this resolves. The caller has claimed the image.
 *
 * @throws {Overtaken}; errors of the file system. Nothing is held then
 */
export async function takeHold(context: StorageContext, volume: Interrupted, taskId: string): Promise<Held> {
  // Files that vanish under our hands are being tidied by somebody who was quicker.
  return take(context, volume, taskId).catch(overtakenIfGone);
}

async function take(context: StorageContext, volume: Interrupted, taskId: string): Promise<Held> {
  const { hostId, bootId } = context.options;
  const holder = { hostId, bootId, taskId, generation: volume.record.generation + 1, counter: 0 };
  // A conversion's writer is a program, which may live on when the daemon that started it is gone. Nothing is lost by it: a
  // conversion begins again anyway.
  if (volume.record.convert !== undefined) return replace(volume, holder);
  if (volume.holderText === undefined) return enter(volume, holder);
  // Of this host, and not alive: an earlier boot, or a task that has ended and could not give it up.
  if (parseHolder(volume.holderText)?.hostId === hostId) {
    // Only this process changes a holder of its host, one task at a time: what it is now, it stays.
    if ((await readSmallFile(volume.paths.holder)) !== volume.holderText) throw new Overtaken();
    await removeFile(volume.paths.holder);
    return enter(volume, holder);
  }
  return replace(volume, holder);
}

/**
 * Renames a `.next` away: to `.meta`, which completes the volume, or to another volume's.
 *
 * @returns whether it was there; of all who try, one succeeds
 */
export async function takeNext(next: string, to: string): Promise<boolean> {
  try {
    await rename(next, to);
    return true;
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    // Over NFS, a rename that was made but whose answer was lost is told as ENOENT.
    return isLegal(to);
  }
}

/** Goes on with a volume that nobody holds. */
async function enter(volume: Interrupted, holder: HolderRecord): Promise<Held> {
  const { paths, directory } = volume;
  if (!(await makeHolder(paths.holder, holder))) throw new Overtaken();
  let data: FileHandle | undefined;
  try {
    // Since it was read, somebody may have held it, gone on and even completed it.
    await lstat(paths.next);
    const text = await readSmallFile(paths.copy);
    if (text === undefined) throw new Overtaken();
    const record = heldRecord(decodeCopyRecord(text), holder);
    data = await open(paths.data, constants.O_RDWR | constants.O_NOFOLLOW);
    await replaceFile(paths.copy, encodeCopyRecord(record), holder.hostId);
    await flushDirectory(directory);
    const made = { volumeId: volume.id, directory, paths, data };
    return { made, metadata: volume.metadata, record, holder };
  } catch (error) {
    await data?.close();
    await removeFile(paths.holder).catch(() => {});
    return overtakenIfGone(error);
  }
}

/** Puts a new volume in the place of one whose writer may wake up. */
async function replace(volume: Interrupted, holder: HolderRecord): Promise<Held> {
  const { directory } = volume;
  const volumeId = randomUUID();
  const paths = volumePaths(directory, volumeId);
  const record = movedRecord(heldRecord(volume.record, holder), volume.id);
  const data = await prepare(volume, { volumeId, record, holder });
  let taken = false;
  try {
    // Not a byte of the file may have changed since it was found to be dead.
    if ((await readSmallFile(volume.paths.holder)) !== volume.holderText) throw new Overtaken();
    taken = await takeNext(volume.paths.next, paths.next);
    if (!taken) throw new Overtaken();
    await flushDirectory(directory);
    await removeTraces(volume);
    return { made: { volumeId, directory, paths, data }, metadata: volume.metadata, record, holder };
  } catch (error) {
    await data.close();
    const undo = taken ? removeFile(paths.holder) : removeVolume(directory, volumeId);
    await undo.catch(() => {});
    throw error;
  }
}

async function prepare(
  volume: Interrupted,
  made: { volumeId: string; record: CopyRecord; holder: HolderRecord },
): Promise<FileHandle> {
  const { directory } = volume;
  const paths = volumePaths(directory, made.volumeId);
  let data: FileHandle | undefined;
  try {
    // First, so that what a crash leaves of this can be told to be ours.
    await makeHolder(paths.holder, made.holder);
    data = await open(paths.data, 'wx+', 0o660);
    await data.truncate((await stat(volume.paths.data)).size);
    await data.sync();
    await writeNewFile(paths.lease, '');
    await writeNewFile(paths.meta, encodeVolumeMetadata(volume.metadata));
    await writeNewFile(paths.copy, encodeCopyRecord(made.record));
    await flushDirectory(directory);
    return data;
  } catch (error) {
    await data?.close();
    await removeVolume(directory, made.volumeId).catch(() => {});
    throw errnoCode(error) === 'ENOENT' ? new Overtaken() : error;
  }
}

// All but the data, which is still to be moved from; that it has no metadata makes it a leftover.
async function removeTraces(volume: Interrupted): Promise<void> {
  const { paths, directory, record } = volume;
  for (const path of [paths.meta, paths.copy, paths.lease, paths.holder]) await removeFile(path);
  const moved = record.offset === 0 || record.earlier !== undefined ? undefined : dataPath(volume, record);
  for (const path of [paths.data, ...(await belowPaths(directory, volume.id))]) {
    if (path !== moved) await removeFile(path);
  }
  await flushDirectory(directory);
}

/** The file that the data goes to which is under way: of the volume, or of one below. */
export function dataPath({ directory, id }: { directory: string; id: string }, record: CopyRecord): string {
  const below = currentBelow(record);
  return below === undefined ? volumePaths(directory, id).data : belowPath(directory, id, below.volumeId);
}

function heldRecord(record: CopyRecord, holder: HolderRecord): CopyRecord {
  return {
    ...record,
    generation: holder.generation,
    heldBy: publicHolder(holder),
    updatedAt: new Date().toISOString(),
  };
}

// The new volume is empty. Of a volume that was itself still being filled from an earlier one, the earlier one has more.
function movedRecord(record: CopyRecord, volumeId: string): CopyRecord {
  const { offset, done } = record;
  const moved = { ...record, offset: 0, done: doneBelow(record) };
  if (record.earlier !== undefined || offset === 0) return moved;
  return { ...moved, earlier: { volumeId, offset, done } };
}

function overtakenIfGone(error: unknown): never {
  throw errnoCode(error) === 'ENOENT' ? new Overtaken() : error;
}
