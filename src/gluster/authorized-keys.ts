/** Keys in a user's `~/.ssh/authorized_keys`. The user may have put anything there, so no symbolic link is followed. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rmdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import { errnoCode, ignoring, removeFile, writeNewFile } from '../lib/atomic-file.ts';
import { findUser, type User } from './accounts.ts';
import { hostRefusal } from './tools.ts';

const maxBytes = 4 * 1024 * 1024;
const noLink = constants.O_NOFOLLOW;
const temporaryFile = '.authorized_keys.hostbus-new';
const temporaryDirectory = '.ssh.hostbus-new';

/**
 * Adds what is missing, in one step.
 *
 * @returns how many were missing
 * @throws {HostbusError} there is no such user, or what is in its home cannot be used
 */
export async function addAuthorizedKeys(name: string, keys: readonly string[], log: Logger): Promise<number> {
  const user = await findUser(name, log);
  if (user === undefined) {
    throw hostRefusal('GlusterError', `This host has no user ${name}; gluster.setUpMountBroker makes one`);
  }
  try {
    return await addTo(user, keys);
  } catch (error) {
    const code = errnoCode(error);
    if (code === undefined) throw error;
    const why = code === 'ELOOP' || code === 'ENOTDIR' ? 'a symbolic link, or not what it should be' : code;
    const message = `The authorized_keys of ${name} in ${user.home}/.ssh cannot be used (${why})`;
    throw hostRefusal('GlusterError', message, error);
  }
}

async function addTo({ home, uid, gid }: User, keys: readonly string[]): Promise<number> {
  const directory = await openSsh(home, { uid, gid });
  try {
    const folder = `/proc/self/fd/${directory.fd}`;
    const path = `${folder}/authorized_keys`;
    const before = await read(path);
    const known = new Set(before.split('\n').map((line) => line.trim()));
    const missing = [...new Set(keys)].filter((key) => !known.has(key));
    if (missing.length === 0) return 0;
    const gap = before === '' || before.endsWith('\n') ? '' : '\n';
    const temporary = `${folder}/${temporaryFile}`;
    await removeFile(temporary);
    await writeNewFile(temporary, `${before}${gap}${missing.join('\n')}\n`, { mode: 0o600, uid, gid });
    await rename(temporary, path);
    await directory.sync();
    return missing.length;
  } finally {
    await directory.close();
  }
}

/** `~/.ssh`, made where it is missing. */
async function openSsh(home: string, owner: { uid: number; gid: number }): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | noLink;
  const path = `${home}/.ssh`;
  try {
    return await open(path, flags);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
  const temporary = `${home}/${temporaryDirectory}`;
  await ignoring(['ENOENT'], rmdir(temporary));
  await mkdir(temporary, { mode: 0o700 });
  const made = await open(temporary, flags);
  try {
    // Nobody who is killed here leaves a directory that its user cannot enter.
    await made.chown(owner.uid, owner.gid);
    await rename(temporary, path);
    return made;
  } catch (error) {
    await made.close();
    throw error;
  }
}

/** What a daemon that died while it wrote has left in this home. */
export async function tidyHome(home: string): Promise<void> {
  await ignoring(['ENOENT'], rmdir(`${home}/${temporaryDirectory}`));
  await ignoring(['ENOTDIR'], removeFile(`${home}/.ssh/${temporaryFile}`));
}

async function read(path: string): Promise<string> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | noLink);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return '';
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > maxBytes) {
      throw hostRefusal('GlusterError', 'authorized_keys is no regular file, or larger than 4 MiB');
    }
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
}
