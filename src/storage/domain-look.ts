/** A look at a storage domain, as it is on its file system at this moment. */
import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { errnoCode } from '../lib/atomic-file.ts';
import { type DomainType, decodeDomainMetadata } from './domain-metadata.ts';
import { BadMetadata } from './key-value-text.ts';
import { domainPaths } from './layout.ts';

export interface DomainLook {
  name: string;
  capacityBytes: number;
  availableBytes: number;
  /** Seconds. */
  readDelayS: number;
  /** It can be used, but this is wrong with it. */
  defect: string | undefined;
}

/**
 * Reads a domain's metadata and asks its file system for space. May hang as long as the file system does: give it a limit.
 *
 * @param directory - `<path>/<domainId>`
 * @throws {BadMetadata} when the metadata cannot be believed, or belongs to another domain; errors of the file system
 */
export async function lookAtDomain(directory: string, domainId: string): Promise<DomainLook> {
  const startedMs = performance.now();
  const metadata = decodeDomainMetadata(await readFile(domainPaths.metadata(directory), 'utf8'));
  const readDelayS = (performance.now() - startedMs) / 1000;
  if (metadata.domainId !== domainId) {
    throw new BadMetadata(`it belongs to another domain, ${metadata.domainId}`);
  }
  const images = domainPaths.images(directory);
  if (!(await stat(images)).isDirectory()) throw new BadMetadata('its images are not a directory');
  const space = await spaceOf(directory);
  const defect = metadata.sealed ? await writeDefect(images) : 'its metadata has no checksum';
  return { name: metadata.description, ...space, readDelayS, defect };
}

/** Space of the file system that a directory is on, in bytes. */
export async function spaceOf(directory: string): Promise<{ capacityBytes: number; availableBytes: number }> {
  const { bsize, blocks, bavail } = await statfs(directory);
  return { capacityBytes: bsize * blocks, availableBytes: bsize * bavail };
}

const readOnly = 'its file system is read-only';

async function writeDefect(directory: string): Promise<string | undefined> {
  try {
    await access(directory, constants.W_OK);
    return (await hasStoppedWriting(directory)) ? readOnly : undefined;
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'EROFS') return readOnly;
    if (code === 'EACCES') return 'the daemon may not write it';
    throw error;
  }
}

// A file system that stopped writing by itself, after an error, refuses every write, but access(2) does not know (ext4 from
// Linux 6.14 on). The kernel's list of mounts does.
async function hasStoppedWriting(directory: string): Promise<boolean> {
  const { dev } = await stat(directory);
  const device = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  const mounts = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  // proc_pid_mountinfo(5): the device is the third field, the file system's own options are the last.
  const mount = mounts.split('\n').find((line) => line.split(' ', 3)[2] === device);
  const own = mount?.slice(mount.lastIndexOf(' ') + 1).split(',') ?? [];
  return own.includes('ro') || own.includes('emergency_ro');
}

// Magic numbers of statfs(2). File systems of one machine; all others may be shared, which is what POSIXFS says.
const localFileSystems = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0x2fc12fc1, // ZFS
  0xf2f52010, // F2FS
  0x01021994, // tmpfs
  0x794c7630, // overlay
]);
const nfs = 0x6969;

/** VDSM's word for the file system that a directory is on. A Gluster mount is FUSE, and is served as POSIXFS. */
export async function domainTypeOf(directory: string): Promise<DomainType> {
  const { type } = await statfs(directory);
  if (type === nfs) return 'NFS';
  return localFileSystems.has(type) ? 'LOCALFS' : 'POSIXFS';
}
