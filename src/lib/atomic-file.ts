/**
 * Changes of files that hold after a crash. Whatever must be durable goes through these few functions, each of which is
 * one step: killed before it, nothing has happened; killed after it, all of it.
 */
import { constants, type PathLike } from 'node:fs';
import { link, open, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** The `code` of an error of the operating system, such as `ENOENT`; undefined for other errors. */
export function errnoCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined;
}

/** Whose a file is, and what they may do with it, whatever the umask. */
export interface FileAccess {
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
}

/** Makes a file that does not exist yet, and flushes it. Its name is durable only once its directory is flushed. */
export async function writeNewFile(
  path: PathLike,
  content: string | Uint8Array,
  access?: FileAccess,
): Promise<void> {
  const file = await open(path, 'wx', access === undefined ? 0o660 : 0o600);
  try {
    // Before anybody can read what is in it.
    if (access?.uid !== undefined && access.gid !== undefined) await file.chown(access.uid, access.gid);
    if (access !== undefined) await file.chmod(access.mode);
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Where the content of a file is before it takes the place. Whoever dies before that leaves it. */
export function temporaryPath(path: string, tag: string): string {
  return `${path}.new-${tag}`;
}

/**
 * Replaces a file's content in one step: readers see the old or the new content, whole.
 *
 * @param tag - told apart from other writers' by this: two that replace the same file must not share a temporary file
 * @param options - `durable`: the content is flushed before it takes the place (default); `flushDirectory`: the replacing
 *   itself is on stable storage when this resolves; `mode`: of the file, whatever the umask
 */
export async function replaceFile(
  path: string,
  content: string,
  tag: string,
  options: { durable?: boolean; flushDirectory?: boolean; mode?: number } = {},
): Promise<void> {
  const temporary = temporaryPath(path, tag);
  try {
    const file = await open(temporary, 'w', 0o660);
    try {
      // Not by `open`, which takes the umask's bits off.
      if (options.mode !== undefined) await file.chmod(options.mode);
      await file.writeFile(content);
      if (options.durable ?? true) await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await removeFile(temporary).catch(() => {});
    throw error;
  }
  if (options.flushDirectory ?? false) await flushDirectory(dirname(path));
}

/**
 * Makes a file with its content in one step, unless it exists: of several who try, on any host, one succeeds. By `link(2)`,
 * which is atomic on NFS too.
 *
 * @throws EEXIST when the file exists
 */
export async function linkNewFile(path: string, content: string, tag: string): Promise<void> {
  const temporary = temporaryPath(path, tag);
  await removeFile(temporary);
  await writeNewFile(temporary, content);
  try {
    await link(temporary, path);
  } finally {
    await removeFile(temporary);
  }
}

/** Flushes a directory: what was made, renamed or removed in it is on stable storage. */
export async function flushDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Removes a file; that it is gone already is no error. */
export async function removeFile(path: string): Promise<void> {
  await ignoring(['ENOENT'], unlink(path));
}

/**
 * Removes a directory and all that is in it, or whatever else has this name. Follows no symbolic link, not even one that
 * somebody puts in the place of a directory meanwhile; bears others removing the same tree at the same time. That it is
 * gone already is no error.
 */
export async function removeTree(path: string): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const directory = await open(path, flags).catch((error: unknown) => {
    const code = errnoCode(error);
    // Something else than a directory.
    if (code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    if (code === 'ENOENT') return null;
    throw error;
  });
  if (directory === null) return;
  if (directory === undefined) return removeFile(path);
  try {
    await removeContent(`/proc/self/fd/${directory.fd}`);
  } finally {
    await directory.close();
  }
  await ignoring(['ENOENT'], rmdir(path));
}

async function removeContent(opened: string): Promise<void> {
  for (const entry of await readdir(opened, { withFileTypes: true })) {
    const child = `${opened}/${entry.name}`;
    if (entry.isDirectory()) await removeTree(child);
    else await removeFile(child);
  }
}

/** Waits for work that may fail with one of these codes. */
export async function ignoring(codes: readonly string[], work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!codes.includes(errnoCode(error) ?? '')) throw error;
  }
}
