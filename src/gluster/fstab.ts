/** The table of file systems that are mounted at boot, `/etc/fstab`. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { errnoCode, removeFile, replaceFile, temporaryPath } from '../lib/atomic-file.ts';

export const fstabPath = '/etc/fstab';
const tag = 'hostbus';

export interface FstabEntry {
  /** Such as `UUID=…` or `/dev/sdb`. */
  source: string;
  mountPoint: string;
}

/** The entry of a mount point; undefined when there is none. A table that does not exist has none. */
export async function findFstabEntry(mountPoint: string, path = fstabPath): Promise<FstabEntry | undefined> {
  const lines = (await read(path)).split('\n').map((line) => line.trim().split(/\s+/));
  const [source] =
    lines.find(([first = '', second]) => !first.startsWith('#') && second === mountPoint) ?? [];
  return source === undefined ? undefined : { source, mountPoint };
}

/**
 * Adds a line at the end, in one step: whoever reads the table, at whatever moment, finds the old or the new one, whole. The rest of the
 * table stays as it is, byte for byte, with its mode; a symbolic link stays one.
 */
export async function addToFstab(line: string, path = fstabPath): Promise<void> {
  const before = await read(path);
  const gap = before === '' || before.endsWith('\n') ? '' : '\n';
  const target = await realpath(path).catch(() => path);
  const mode = await stat(target).then(
    (found) => found.mode & 0o7777,
    () => 0o644,
  );
  await replaceFile(target, `${before}${gap}${line}\n`, tag, { flushDirectory: true, mode });
}

/** What a daemon that died while it wrote has left. */
export async function tidyFstab(path = fstabPath): Promise<void> {
  await removeFile(temporaryPath(await realpath(path).catch(() => path), tag));
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return '';
    throw error;
  }
}
