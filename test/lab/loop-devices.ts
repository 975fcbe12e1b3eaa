/**
 * Loop devices by what is behind them. They have no namespace and outlive all processes, and the path of their file
 * means nothing outside the mount namespace in which it was opened: so device and inode say whose they are.
 */
import { stat } from 'node:fs/promises';
import { errnoCode } from '../../src/lib/atomic-file.ts';
import { runCommand, succeed } from './command.ts';

export interface LoopDevice {
  /** `/dev/loopN` */
  readonly path: string;
  /** `7:N`: the device that a file system on it has. */
  readonly device: string;
  /** Device and inode of the file behind it. */
  readonly backDevice: string;
  readonly backInode: string;
}

export async function listLoops(): Promise<LoopDevice[]> {
  const columns = 'NAME,MAJ:MIN,BACK-MAJ:MIN,BACK-INO';
  const text = await succeed(['losetup', '--list', '--noheadings', '--output', columns]);
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.length === 4)
    .map(([path = '', device = '', backDevice = '', backInode = '']) => ({
      path,
      device,
      backDevice,
      backInode,
    }));
}

/** The device whose file is this one; undefined when there is none, or no such file. */
export async function loopOf(file: string): Promise<LoopDevice | undefined> {
  try {
    const { dev, ino } = await stat(file, { bigint: true });
    // As gnu_dev_major(3) and gnu_dev_minor(3).
    const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
    const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
    const loops = await listLoops();
    return loops.find((loop) => loop.backDevice === `${major}:${minor}` && loop.backInode === `${ino}`);
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Those whose files are on the given device, and those whose files are on them, and so on. */
export async function loopsAbove(device: string): Promise<LoopDevice[]> {
  const loops = await listLoops();
  const above: LoopDevice[] = [];
  const lower = [device];
  for (const each of lower) {
    const found = loops.filter((loop) => loop.backDevice === each);
    above.push(...found);
    lower.push(...found.map((loop) => loop.device));
  }
  return above;
}

/** Frees the device, unless somebody else has it by now. One that is in use is freed by the kernel at its last close. */
export async function detach(loop: LoopDevice): Promise<void> {
  const now = (await listLoops()).find(({ path }) => path === loop.path);
  if (now?.backDevice !== loop.backDevice || now.backInode !== loop.backInode) return;
  await runCommand(['losetup', '--detach', loop.path]);
}
