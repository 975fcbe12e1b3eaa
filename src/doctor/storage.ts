/** Storage roots and configured domains: are they what the daemon needs? */
import { constants } from 'node:fs';
import { open, realpath, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { nanoid } from 'nanoid';
import type { Config } from '../../schemas/config.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { cloneFileRange, countData } from '../lib/libc.ts';
import { formatBytes } from '../lib/units.ts';
import { lookAtDomain, spaceOf } from '../storage/domain-look.ts';
import { resolveInRoots } from '../storage/paths.ts';
import { withTimeLimit } from '../storage/time-limit.ts';
import { type Finding, findingsOf } from './finding.ts';

/** A file system that hangs: its thread cannot be taken back. */
export class Hanging extends Error {}

const root = findingsOf('root');
const domain = findingsOf('domain');
const fullShare = 0.02;

/** Names of statfs(2)'s magic numbers. */
const fileSystems = new Map([
  [0xef53, 'ext4'],
  [0x58465342, 'XFS'],
  [0x9123683e, 'Btrfs'],
  [0x2fc12fc1, 'ZFS'],
  [0xf2f52010, 'F2FS'],
  [0x01021994, 'tmpfs'],
  [0x794c7630, 'overlay'],
  [0x6969, 'NFS'],
  [0x65735546, 'FUSE'],
]);

/** @returns a finding for each root and configured domain, and whether a file system hangs */
export async function examineStorage({ storage }: Config): Promise<{ findings: Finding[]; hangs: boolean }> {
  const limitMs = storage.probe_timeout * 1000;
  if (storage.roots.length === 0)
    return {
      findings: [
        root.warning('there is none: this host serves no storage', 'Name directories in storage.roots'),
      ],
      hangs: false,
    };
  let hangs = false;
  const limited = async (path: string, check: typeof root, work: Promise<Finding>) => {
    try {
      return await withTimeLimit(work, limitMs, () => new Hanging());
    } catch (error) {
      if (!(error instanceof Hanging)) return check.failed(`${path}: ${(error as Error).message}`);
      hangs = true;
      const message = `${path}: its file system has not answered within ${limitMs / 1000} s`;
      return check.failed(message, 'Mend its file server; or umount -f it, which ends what waits');
    }
  };
  const findings = await Promise.all([
    ...storage.roots.map((path) => limited(path, root, examineRoot(path))),
    ...storage.domains.map(({ id, path }) => limited(path, domain, examineDomain(id, path, storage.roots))),
  ]);
  return { findings, hangs };
}

async function examineRoot(path: string): Promise<Finding> {
  const found = await stat(path).catch((error: unknown) => errnoCode(error));
  if (found === 'ENOENT')
    return root.failed(`${path}: does not exist`, `Mount it, or: install -d -o USER -g GROUP ${path}`);
  if (found === undefined || typeof found === 'string')
    return root.failed(`${path}: cannot be reached (${found})`, `namei -l ${path} shows who may go where`);
  if (!found.isDirectory()) return root.failed(`${path}: is no directory`, 'Correct storage.roots');
  const real = await realpath(path);
  const { type } = await statfs(real);
  const kind = fileSystems.get(type) ?? `file system 0x${type.toString(16)}`;
  const features = await tryFiles(real);
  if (typeof features === 'string') return notWritable(path, features);
  const { capacityBytes, availableBytes } = await spaceOf(real);
  const space = `${formatBytes(availableBytes)} of ${formatBytes(capacityBytes)} free`;
  const message = [`${path}: ${kind}`, space, ...features].join(', ');
  return availableBytes < fullShare * capacityBytes
    ? root.warning(`${message}: nearly full`, `Where it went: du -xh -d 3 ${path} | sort -h | tail`)
    : root.ok(message);
}

function notWritable(path: string, code: string): Finding {
  if (code === 'EROFS')
    return root.failed(`${path}: is read-only`, `mount -o remount,rw …; for systemd: ReadWritePaths=${path}`);
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return root.failed(`${path}: is full (${code})`, `Where it went: du -xh -d 3 ${path} | sort -h | tail`);
  return root.failed(
    `${path}: user ${process.getuid?.()}, group ${process.getgid?.()} may not write it (${code})`,
    `chown it, or run hostbusd as its owner (User= and Group= in the unit); namei -l ${path} shows who may go where`,
  );
}

/** Tries two files without a name: what the file system can do, or the error that refused the files. */
async function tryFiles(directory: string): Promise<string[] | string> {
  try {
    const [source, target] = [await unnamedFile(directory), await unnamedFile(directory)];
    try {
      await source.write(Buffer.alloc(64 * 1024, 1));
      await source.sync();
      const clones = await works(cloneFileRange(source.fd, target.fd, 0, 0));
      const tellsData = await works(countData(source.fd, 0, 64 * 1024));
      return [
        clones ? 'reflinks (copies within it share blocks)' : 'no reflinks (copies move the data)',
        ...(tellsData ? [] : ['no extent maps (progress of a sparse copy is estimated)']),
      ];
    } finally {
      await source.close();
      await target.close();
    }
  } catch (error) {
    const code = errnoCode(error);
    if (code === undefined) throw error;
    return code;
  }
}

/** A file that is gone as soon as it is closed. */
async function unnamedFile(directory: string) {
  const path = join(directory, `.hostbus-doctor-${nanoid()}`);
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  await rm(path);
  return file;
}

async function works(attempt: Promise<unknown>): Promise<boolean> {
  return attempt.then(
    () => true,
    () => false,
  );
}

async function examineDomain(id: string, path: string, roots: readonly string[]): Promise<Finding> {
  const name = `${path}/${id}`;
  try {
    const directory = await resolveInRoots(name, roots);
    const { defect, availableBytes } = await lookAtDomain(directory, id);
    if (defect !== undefined)
      return domain.warning(`${name}: ${defect}`, 'Reading works, writing is refused');
    return domain.ok(`${name}: ${formatBytes(availableBytes)} free`);
  } catch (error) {
    const why = (error as Error).message;
    return domain.failed(
      why.startsWith(path) ? why : `${name}: ${why}`,
      'Is its file system mounted? The daemon tries again by itself until it can connect it',
    );
  }
}
