/** Reading the small files of a storage domain, which anybody who can mount it may have put there. */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { errnoCode } from '../lib/atomic-file.ts';
import { BadMetadata } from './key-value-text.ts';

/**
 * The text of a small regular file; follows no symbolic link and waits for no FIFO.
 *
 * @returns undefined when there is no such file
 * @throws {BadMetadata} when it is not a regular file, or too large
 */
export async function readSmallFile(path: string, maxBytes = 64 * 1024): Promise<string | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    if (!(await file.stat()).isFile()) throw new BadMetadata('it is not a regular file');
    const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes + 1), 0, maxBytes + 1, 0);
    if (bytesRead > maxBytes) throw new BadMetadata(`it is larger than ${maxBytes} bytes`);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
