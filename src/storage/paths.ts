/** Which paths the host may touch: those inside its storage roots, whatever a caller sends. */
import { constants } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { HostbusError } from '../../schemas/errors.ts';
import { errnoCode } from '../lib/atomic-file.ts';

/**
 * The real path of something inside the roots: no symbolic link and no `..` leads out.
 *
 * @returns the path with all symbolic links resolved
 * @throws {HostbusError} InvalidPath when it is outside, or does not exist
 */
export async function resolveInRoots(path: string, roots: readonly string[]): Promise<string> {
  if (!(await mayBeInside(path, roots))) throw outside(path, roots);
  const real = await realpath(path).catch((error: unknown) => {
    throw unusable(path, error);
  });
  if (!(await isReallyInside(real, path, roots))) throw outside(path, roots);
  return real;
}

/**
 * Opens a file for reading, and only then looks at what was opened: nobody can exchange it between a check and the use.
 *
 * @returns an open regular file inside the roots; the caller closes it
 * @throws {HostbusError} InvalidPath when it is outside, a symbolic link, not a regular file, or cannot be opened
 */
export async function openInRoots(path: string, roots: readonly string[]): Promise<FileHandle> {
  if (!(await mayBeInside(path, roots))) throw outside(path, roots);
  // O_NONBLOCK: opening a FIFO or a device must not wait for anything.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: unknown) => {
    throw unusable(path, error);
  });
  try {
    const real = await readlink(`/proc/self/fd/${file.fd}`);
    if (!(await isReallyInside(real, path, roots))) throw outside(path, roots);
    if (!(await file.stat()).isFile()) {
      throw new HostbusError('InvalidPath', `${path} is not a regular file`, { path });
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

// Looked at as text, so that nothing outside is touched, not even to see whether it exists. And no root is looked at without
// need: it may hang.
async function mayBeInside(path: string, roots: readonly string[]): Promise<boolean> {
  if (!isAbsolute(path)) return false;
  const text = resolve(path);
  return isInside(text, roots) || isInside(text, await realPathsOf(roots));
}

/** Whether what a path turned out to be is inside: mostly in the root that the path names, sometimes in another. */
async function isReallyInside(real: string, path: string, roots: readonly string[]): Promise<boolean> {
  const [near, others] = [true, false].map((isNear) =>
    roots.filter((root) => isInside(resolve(path), [root]) === isNear),
  );
  return isInside(real, await realPathsOf(near ?? [])) || isInside(real, await realPathsOf(others ?? []));
}

// A root that does not exist (not mounted yet) holds nothing.
async function realPathsOf(roots: readonly string[]): Promise<string[]> {
  const found = await Promise.all(roots.map((root) => realpath(root).catch(() => undefined)));
  return found.filter((root) => root !== undefined);
}

function isInside(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => {
    const base = resolve(root);
    return path === base || path.startsWith(base === '/' ? base : `${base}/`);
  });
}

function outside(path: string, roots: readonly string[]): HostbusError {
  const allowed = roots.length === 0 ? 'this host has none' : roots.join(', ');
  return new HostbusError('InvalidPath', `${path} is outside the storage roots of this host (${allowed})`, {
    path,
  });
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'leads through something that is not a directory',
  ELOOP: 'is a symbolic link, or leads through too many',
  EACCES: 'may not be read by the daemon',
  EPERM: 'may not be read by the daemon',
  ENXIO: 'is not a regular file',
  ENAMETOOLONG: 'is too long',
};

function unusable(path: string, error: unknown): HostbusError {
  const code = errnoCode(error) ?? 'unknown error';
  const why = reasons[code] ?? `cannot be used (${code})`;
  return new HostbusError('InvalidPath', `${path} ${why}`, { path }, { cause: error });
}
