/** Block devices of the host, through util-linux and xfsprogs: what there are, what they hold, file systems on them. */
import type { Logger } from 'pino';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { ProgramFailed, run } from './run.ts';

const lookTimeoutMs = 30_000;
// Making a file system discards the whole device first, which slow devices take minutes for.
const makeTimeoutMs = 600_000;
const mountTimeoutMs = 60_000;

const text = Type.Union([Type.String(), Type.Null()]);
const DeviceFields = {
  name: Type.String(),
  type: Type.String(),
  size: Type.Integer(),
  ro: Type.Boolean(),
  rota: Type.Boolean(),
  model: text,
  vendor: text,
  pkname: text,
  mountpoints: Type.Array(text),
};
const Listing = Compile(Type.Object({ blockdevices: Type.Array(Type.Object(DeviceFields)) }));

export interface BlockDevice {
  /** Its path, `/dev/…`. */
  path: string;
  /** As lsblk names it: `disk`, `part`, `lvm`, `raid1`, `loop` … */
  type: string;
  sizeBytes: number;
  readOnly: boolean;
  rotational: boolean;
  model: string | undefined;
  vendor: string | undefined;
  /** Path of the device that it is a part of. */
  parent: string | undefined;
  /** Where it is mounted; `[SWAP]` for swap space. */
  mountPoints: string[];
}

/**
 * Devices and what is built on them, each once.
 *
 * @param device - only this one, and what is built on it
 * @throws {ProgramFailed}
 */
export async function listBlockDevices(log: Logger, device?: string): Promise<BlockDevice[]> {
  const columns = 'NAME,TYPE,SIZE,RO,ROTA,MODEL,VENDOR,PKNAME,MOUNTPOINTS';
  const only = device === undefined ? [] : [device];
  const args = ['--json', '--bytes', '--paths', '--list', '--output', columns, ...only];
  const { stdout } = await run('lsblk', args, { log, timeoutMs: lookTimeoutMs });
  const { blockdevices } = parseJson('lsblk', stdout, Listing);
  const devices = blockdevices.map((found) => ({
    path: found.name,
    type: found.type,
    sizeBytes: found.size,
    readOnly: found.ro,
    rotational: found.rota,
    model: wordsOf(found.model),
    vendor: wordsOf(found.vendor),
    parent: wordsOf(found.pkname),
    mountPoints: found.mountpoints.filter((point) => point !== null),
  }));
  // One that is built on several, such as a mirror, is listed below each.
  return [...new Map(devices.map((found) => [found.path, found])).values()];
}

const Signatures = Compile(
  Type.Object({
    signatures: Type.Array(Type.Object({ type: Type.String(), uuid: text, label: text })),
  }),
);

export interface Signature {
  /** As libblkid names it: `xfs`, `LVM2_member`, `gpt` … */
  type: string;
  uuid: string | undefined;
  label: string | undefined;
}

/**
 * What a device says it holds: file systems, partition tables, parts of arrays.
 * @throws {ProgramFailed}
 */
export async function signaturesOf(device: string, log: Logger): Promise<Signature[]> {
  const { stdout } = await run('wipefs', ['--json', '--no-act', device], { log, timeoutMs: lookTimeoutMs });
  // It says nothing at all of an empty device.
  if (stdout.trim() === '') return [];
  const { signatures } = parseJson('wipefs', stdout, Signatures);
  return signatures.map(({ type, uuid, label }) => ({ type, uuid: wordsOf(uuid), label: wordsOf(label) }));
}

/** Takes all signatures off a device, so that nothing finds what it held. @throws {ProgramFailed} */
export async function clearSignatures(device: string, log: Logger): Promise<void> {
  await run('wipefs', ['--all', device], { log, timeoutMs: lookTimeoutMs });
}

/** Makes an XFS file system. It refuses a device that holds something, or is in use. @throws {ProgramFailed} */
export async function makeXfs(device: string, uuid: string, log: Logger): Promise<void> {
  // Gluster's extended attributes fit into inodes of this size.
  const args = ['-q', '-i', 'size=512', '-m', `uuid=${uuid}`, device];
  await run('mkfs.xfs', args, { log, timeoutMs: makeTimeoutMs, limits: {} });
}

/** Mounts what /etc/fstab has for a mount point. @throws {ProgramFailed} */
export async function mountByTable(mountPoint: string, log: Logger): Promise<void> {
  await run('mount', [mountPoint], { log, timeoutMs: mountTimeoutMs });
}

function wordsOf(value: string | null): string | undefined {
  const words = value?.trim();
  return words === '' ? undefined : words;
}

function parseJson<T>(program: string, stdout: string, form: { Check(value: unknown): value is T }): T {
  const failure = { kind: 'exit' as const, text: 'answered in a way that is not understood', stderr: '' };
  try {
    const value: unknown = JSON.parse(stdout);
    if (form.Check(value)) return value;
  } catch (error) {
    throw new ProgramFailed(program, failure, { cause: error });
  }
  throw new ProgramFailed(program, failure);
}
