/** Opening the data of volumes, which anybody who can mount the domain may have put there. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/**
 * Opens the data of a volume for reading. The name is not followed if it is a symbolic link.
 *
 * @throws errors of the file system
 */
export async function openData(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
}
