/** The data file of an empty image. */
import { type FileHandle, open } from 'node:fs/promises';
import type { Logger } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageFormat, ImageRef } from '../../schemas/image.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { allocate } from '../lib/libc.ts';
import { createQcow2 } from '../programs/qemu-img.ts';
import { ProgramFailed } from '../programs/run.ts';
import { noSpace } from './failures.ts';

export interface EmptyData {
  format: ImageFormat;
  capacityBytes: number;
  preallocated: boolean;
}

const zeroes = Buffer.alloc(4 * 1024 * 1024);

/**
 * Makes the file, which does not exist yet. It is not flushed.
 *
 * @throws {HostbusError} NoSpace, InvalidImage; errors of the file system
 */
export async function makeEmptyData(
  path: string,
  ref: ImageRef,
  empty: EmptyData,
  log: Logger,
): Promise<void> {
  try {
    if (empty.format === 'raw') await makeRaw(path, empty);
    else await createQcow2(path, empty.capacityBytes, { log, preallocated: empty.preallocated });
  } catch (error) {
    throw refusal(error, ref, empty.capacityBytes);
  }
}

async function makeRaw(path: string, { capacityBytes, preallocated }: EmptyData): Promise<void> {
  const file = await open(path, 'wx', 0o660);
  try {
    if (preallocated) await reserve(file, capacityBytes);
    else await file.truncate(capacityBytes);
  } finally {
    await file.close();
  }
}

async function reserve(file: FileHandle, sizeBytes: number): Promise<void> {
  try {
    await allocate(file.fd, sizeBytes);
  } catch (error) {
    const code = errnoCode(error);
    if (code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw error;
    await fillWithZeroes(file, sizeBytes);
  }
}

// Where the file system cannot reserve (NFS before 4.2), writing is the only way to have the space.
async function fillWithZeroes(file: FileHandle, sizeBytes: number): Promise<void> {
  for (let offset = 0; offset < sizeBytes; ) {
    const lengthBytes = Math.min(zeroes.length, sizeBytes - offset);
    offset += (await file.write(zeroes, 0, lengthBytes, offset)).bytesWritten;
  }
}

function refusal(error: unknown, ref: ImageRef, neededBytes: number): unknown {
  if (errnoCode(error) === 'EFBIG') {
    const reason = 'larger than a file can be on this file system';
    return new HostbusError('InvalidImage', `Image ${ref.imageId} would be ${reason}`, { ...ref, reason });
  }
  if (!(error instanceof ProgramFailed)) return error;
  if (/no space left|quota exceeded/i.test(error.stderr)) return noSpace(ref, { needed: neededBytes }, error);
  if (/file too large|too large|maximum/i.test(error.stderr)) {
    return new HostbusError('InvalidImage', error.message, { ...ref, reason: 'too large' }, { cause: error });
  }
  return programRefusal(error);
}

/** A program of the host that cannot do its work is the operator's matter; the caller is told in clear words. */
export function programRefusal(error: ProgramFailed): HostbusError {
  const from = error.program === 'qemu-img' ? 'qemu-utils' : 'util-linux';
  const wayOut = error.kind === 'missing' ? `; install ${from}` : '';
  return new HostbusError('InternalError', `${error.message}${wayOut}`, {}, { cause: error });
}
