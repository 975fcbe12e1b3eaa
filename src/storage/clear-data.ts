/** Removing data from a stretch of a file. */
import type { FileHandle } from 'node:fs/promises';
import { errnoCode } from '../lib/atomic-file.ts';
import { punchHole } from '../lib/libc.ts';
import { dataAfter } from './copy-progress.ts';

const zeroes = Buffer.alloc(1024 * 1024);
const noHoles = new Set(['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL']);

/** Makes a stretch read as zeroes: as a hole where the file system has holes. What is a hole already is not touched. */
export async function clearData(file: FileHandle, begin: number, end: number): Promise<void> {
  let offset = begin;
  for (;;) {
    const data = await dataAfter(file.fd, offset, end);
    if (data === undefined) return;
    await clear(file, data.begin, data.end);
    offset = data.end;
  }
}

async function clear(file: FileHandle, begin: number, end: number): Promise<void> {
  try {
    await punchHole(file.fd, begin, end - begin);
  } catch (error) {
    if (!noHoles.has(errnoCode(error) ?? '')) throw error;
    for (let offset = begin; offset < end; ) {
      const lengthBytes = Math.min(zeroes.length, end - offset);
      offset += (await file.write(zeroes, 0, lengthBytes, offset)).bytesWritten;
    }
  }
}
