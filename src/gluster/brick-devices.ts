/** Devices of the host as disks for bricks. Gluster itself has no part in this. */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, realpath, stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type {
  createBrick as createBrickVerb,
  deviceKinds,
  StorageDevice,
} from '../../schemas/gluster-bricks.ts';
import type { ParamsOf, ResultOf } from '../../schemas/verb.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import {
  type BlockDevice,
  clearSignatures,
  listBlockDevices,
  makeXfs,
  mountByTable,
  type Signature,
  signaturesOf,
} from '../programs/block-devices.ts';
import { addToFstab, findFstabEntry, fstabPath } from './fstab.ts';
import { asTool } from './tools.ts';

/** That have the programs. */
const packages = 'util-linux and xfsprogs';

/** @throws {HostbusError} GlusterError: the devices could not be listed */
export async function listStorageDevices(log: Logger): Promise<StorageDevice[]> {
  const found = await asTool(packages, () => listBlockDevices(log));
  const inUse = new Set(found.map(({ parent }) => parent));
  const devices: StorageDevice[] = [];
  // One after the other: a broken disk that answers slowly makes this slow, not the host.
  for (const device of found) {
    if (device.type === 'rom' || device.sizeBytes === 0) continue;
    const signatures = await signaturesOf(device.path, log).catch(() => undefined);
    const free = !inUse.has(device.path) && device.mountPoints.length === 0 && !device.readOnly;
    devices.push({
      device: device.path,
      kind: kindOf(device.type),
      size: device.sizeBytes,
      readOnly: device.readOnly,
      rotational: device.rotational,
      ...(device.model === undefined ? {} : { model: device.model }),
      ...(device.vendor === undefined ? {} : { vendor: device.vendor }),
      ...(device.parent === undefined ? {} : { parent: device.parent }),
      mountPoints: device.mountPoints,
      ...(signatures === undefined ? {} : { signatures: signatures.map(toldSignature) }),
      available: free && signatures?.length === 0 && (await exclusiveProblem(device.path)) === undefined,
    });
  }
  return devices;
}

/**
 * Makes a file system and mounts it, now and at each boot. Cut short after the file system was made, the device holds something and
 * is refused without `force`; after the entry in fstab was made, a second call, or the next boot, goes on from there.
 *
 * @throws {HostbusError} DeviceInUse, InvalidPath, GlusterError
 */
export async function createBrick(
  { device, mountPoint, force = false }: ParamsOf<typeof createBrickVerb>,
  log: Logger,
): Promise<ResultOf<typeof createBrickVerb>> {
  const path = await blockDevice(device);
  const [found, ...above] = await asTool(packages, () => listBlockDevices(log, path));
  if (found === undefined) throw new HostbusError('InvalidPath', `${path} is not listed by lsblk`, { path });
  await refuseInUse(found, above);
  const signatures = await asTool(packages, () => signaturesOf(path, log));
  await refuseOccupied(mountPoint);
  const begun = await beginning(path, mountPoint, signatures);
  const fileSystemUuid = begun ?? randomUUID();
  await asTool(packages, async () => {
    if (begun === undefined) {
      if (signatures.length > 0) {
        if (!force) throw holdsSomething(path, signatures);
        await clearSignatures(path, log);
      }
      await makeXfs(path, fileSystemUuid, log);
      // `nofail`: a broken disk must not keep the host from booting; glusterd starts no brick that is not mounted.
      await addToFstab(`UUID=${fileSystemUuid} ${mountPoint} xfs noatime,inode64,nofail 0 0`);
    }
    await mkdir(mountPoint, { recursive: true });
    await mountByTable(mountPoint, log);
  });
  return { device: path, mountPoint, fileSystem: 'xfs', fileSystemUuid, size: found.sizeBytes };
}

async function blockDevice(device: string): Promise<string> {
  let path: string;
  try {
    path = await realpath(device);
  } catch (error) {
    throw new HostbusError('InvalidPath', `There is no device ${device}`, { path: device }, { cause: error });
  }
  if (path.startsWith('/dev/') && (await stat(path)).isBlockDevice()) return path;
  throw new HostbusError('InvalidPath', `${device} is not a block device below /dev`, { path: device });
}

async function refuseInUse(device: BlockDevice, above: readonly BlockDevice[]): Promise<void> {
  const { path, mountPoints, readOnly } = device;
  const refuse = (why: string) =>
    new HostbusError('DeviceInUse', `${path} ${why}`, { device: path, mountPoints });
  if (mountPoints.length > 0) throw refuse(`is mounted on ${mountPoints.join(', ')}`);
  if (above.length > 0) throw refuse(`is used by ${above.map((other) => other.path).join(', ')}`);
  if (readOnly) throw refuse('is read-only');
  const problem = await exclusiveProblem(path);
  if (problem !== undefined) throw refuse(problem);
}

/** Why nobody can have the device for himself: the kernel knows of mounts in other namespaces, arrays and volume groups too. */
async function exclusiveProblem(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_RDWR | constants.O_EXCL);
    await file.close();
    return undefined;
  } catch (error) {
    const code = errnoCode(error);
    return code === 'EBUSY' ? 'is in use' : `cannot be opened (${code})`;
  }
}

async function refuseOccupied(mountPoint: string): Promise<void> {
  const refuse = (why: string, cause?: unknown) =>
    new HostbusError('InvalidPath', `Mount point ${mountPoint} ${why}`, { path: mountPoint }, { cause });
  try {
    if ((await readdir(mountPoint)).length > 0) throw refuse('is not empty: choose another');
  } catch (error) {
    if (error instanceof HostbusError) throw error;
    if (errnoCode(error) !== 'ENOENT') throw refuse('is not a directory that can be read', error);
  }
}

/** UUID of the file system that an earlier call has made for this mount point; undefined when there was none. */
async function beginning(
  device: string,
  mountPoint: string,
  signatures: readonly Signature[],
): Promise<string | undefined> {
  const entry = await findFstabEntry(mountPoint);
  if (entry === undefined) return undefined;
  const own = signatures.find(({ type, uuid }) => type === 'xfs' && entry.source === `UUID=${uuid}`);
  if (own?.uuid !== undefined) return own.uuid;
  const message = `${fstabPath} mounts ${entry.source} on ${mountPoint}, not ${device}: choose another mount point, or take the entry out`;
  throw new HostbusError('InvalidPath', message, { path: mountPoint });
}

function holdsSomething(device: string, signatures: readonly Signature[]): HostbusError {
  const held = [...new Set(signatures.map(({ type }) => type))].join(', ');
  const message = `${device} holds something (${held}): choose another, or destroy that with force`;
  return new HostbusError('DeviceInUse', message, { device, signatures: signatures.map(toldSignature) });
}

function toldSignature({ type, uuid, label }: Signature): NonNullable<StorageDevice['signatures']>[number] {
  return { type, ...(uuid === undefined ? {} : { uuid }), ...(label === undefined ? {} : { label }) };
}

function kindOf(type: string): (typeof deviceKinds)[number] {
  if (type === 'part') return 'partition';
  if (type === 'mpath') return 'multipath';
  if (type.startsWith('raid') || type === 'linear' || type === 'md') return 'raid';
  return (['disk', 'lvm', 'crypt', 'loop'] as const).find((kind) => kind === type) ?? 'other';
}
