/** File systems of a test's own, which it may harm. */
import { execFileSync } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { scratch } from './world.ts';

export interface Disk {
  /** A directory on another file system, for what is to outlive the disk. */
  root: string;
  /** Where the disk is mounted. */
  path: string;
  mount(): void;
  /** `lazily`: also while somebody uses it; it goes away for everybody else at once. */
  unmount(how?: 'lazily'): void;
}

const makers = {
  ext4: ['mkfs.ext4', '-q', '-F', '-m', '0'],
  xfs: ['mkfs.xfs', '-q', '-m', 'reflink=1'],
} as const;

/** Runs a test on a mounted file system, or skips it where none can be had. Nothing stays mounted. */
export async function withDisk(
  t: TestContext,
  options: { sizeMib: number; type: keyof typeof makers },
  body: (disk: Disk) => Promise<void>,
): Promise<void> {
  const root = await scratch(t);
  const [path, file] = [`${root}/disk`, `${root}/disk.img`];
  await mkdir(path);
  const mount = () => void execFileSync('mount', ['-o', 'loop', file, path], { stdio: 'pipe' });
  try {
    const [program, ...args] = makers[options.type];
    execFileSync('truncate', ['-s', `${options.sizeMib}M`, file]);
    execFileSync(program, [...args, file], { stdio: 'pipe' });
    mount();
  } catch (error) {
    t.skip(`a file system of its own cannot be had here: ${String(error).split('\n', 1)[0]}`);
    return;
  }
  let mounted = 1;
  const disk: Disk = {
    root,
    path,
    mount: () => {
      mount();
      mounted++;
    },
    unmount: (how) => {
      execFileSync('umount', [...(how === 'lazily' ? ['-l'] : []), path], { stdio: 'pipe' });
      mounted--;
    },
  };
  try {
    await body(disk);
  } finally {
    while (mounted > 0) disk.unmount('lazily');
  }
}

/**
 * From now on every access of an XFS is an EIO, as when its disk is gone. What was not on the disk is lost.
 *
 * By its ioctl, and not by xfs_io, which first looks at every mount of the machine, and waits for those that hang.
 */
export function shutDownXfs(path: string): void {
  // XFS_IOC_GOINGDOWN with XFS_FSOP_GOING_FLAGS_NOLOGFLUSH
  const script =
    'import fcntl, os, struct, sys; fcntl.ioctl(os.open(sys.argv[1], 0), 0x8004587D, struct.pack("I", 2))';
  execFileSync('/usr/bin/python3', ['-c', script, path]);
}
