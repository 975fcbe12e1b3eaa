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

/** O_PATH of Linux, which Node does not name: a descriptor that tells where it leads, and opens nothing. */
const pathOnly = 0o10000000;

/**
 * Works in a directory and stays in it, whatever somebody moves or puts in its place meanwhile.
 *
 * @param real - without symbolic links, as `resolveInRoots` found it
 * @param work - given a path that leads to this directory and nowhere else
 * @throws {HostbusError} InvalidPath when it is another one by now; errors of the file system
 */
export async function inDirectory<T>(real: string, work: (directory: string) => Promise<T>): Promise<T> {
  const opened = await open(real, pathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    // By the process ID: it means the same to programs that are started.
    const directory = `/proc/${process.pid}/fd/${opened.fd}`;
    if ((await readlink(directory)) !== real) {
      throw new HostbusError('InvalidPath', `${real} is being exchanged for something else`, { path: real });
    }
    return await work(directory);
  } finally {
    await opened.close();
  }
}

/**
 * Opens a file for reading once it is known to be inside: nobody can exchange it between the check and the use, and nothing outside
 * is opened, which devices would notice.
 *
 * @returns an open regular file inside the roots; the caller closes it
 * @throws {HostbusError} InvalidPath when it is outside, a symbolic link, not a regular file, or cannot be opened
 */
export async function openInRoots(path: string, roots: readonly string[]): Promise<FileHandle> {
  if (!(await mayBeInside(path, roots))) throw outside(path, roots);
  const found = await open(path, pathOnly | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw unusable(path, error);
  });
  try {
    const opened = `/proc/self/fd/${found.fd}`;
    const real = await readlink(opened);
    if (!(await isReallyInside(real, path, roots))) throw outside(path, roots);
    const kind = await found.stat();
    // With O_PATH a link is opened itself; through its descriptor it would be followed.
    if (kind.isSymbolicLink()) throw unusable(path, Object.assign(new Error(), { code: 'ELOOP' }));
    if (!kind.isFile()) throw new HostbusError('InvalidPath', `${path} is not a regular file`, { path });
    return await open(opened, constants.O_RDONLY).catch((error: unknown) => {
      throw unusable(path, error);
    });
  } finally {
    await found.close();
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
