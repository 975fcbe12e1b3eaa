/** The verbs of `schemas/gluster-snapshots.ts`. */
import { HostbusError } from '../../schemas/errors.ts';
import {
  maxDescriptionBytes,
  type Snapshot,
  type SnapshotBrick,
  type SnapshotConfig,
  type snapshotVerbs,
} from '../../schemas/gluster-snapshots.ts';
import { type XmlElement, XmlError } from '../lib/xml.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import { type CommandOptions, type GlusterCommands, understand } from './command.ts';
import { refusal } from './refusals.ts';
import { scheduleImplementations } from './snapshot-schedule.ts';

export function snapshotImplementations(
  commands: GlusterCommands,
  hostId: string,
): ImplementationsOf<typeof snapshotVerbs> {
  const done = (args: string[], task: CommandOptions) =>
    commands.run(['snapshot', ...args], task, () => ({}));
  return {
    'gluster.createSnapshot': (params, task) => createSnapshot(commands, params, task),
    'gluster.listSnapshots': async ({ volume }, task) => ({
      snapshots: await listSnapshots(commands, task, volume),
    }),
    'gluster.getSnapshot': async ({ snapshot }, task) => {
      const info = await commands.run(['snapshot', 'info', snapshot], task, parseOneSnapshot);
      const bricks = await commands.run(['snapshot', 'status', snapshot], task, parseSnapshotBricks);
      return { ...info, bricks };
    },
    'gluster.activateSnapshot': ({ snapshot, force = false }, task) =>
      done(['activate', snapshot, ...(force ? ['force'] : [])], task),
    'gluster.deactivateSnapshot': ({ snapshot }, task) => done(['deactivate', snapshot], task),
    'gluster.restoreSnapshot': ({ snapshot }, task) => restoreSnapshot(commands, snapshot, task),
    'gluster.cloneSnapshot': ({ snapshot, volume }, task) =>
      commands.run(['snapshot', 'clone', volume, snapshot], task, (body) => ({
        volume: body.text('CloneCreate', 'volume', 'name'),
        uuid: body.text('CloneCreate', 'volume', 'uuid'),
      })),
    'gluster.deleteSnapshot': async ({ snapshot }, task) => {
      await deleteSnapshot(commands, snapshot, task);
      return {};
    },
    'gluster.deleteVolumeSnapshots': async ({ volume }, task) => ({
      deleted: await deleteVolumeSnapshots(commands, volume, task),
    }),
    'gluster.getSnapshotConfig': ({ volume }, task) => getConfig(commands, volume, task),
    'gluster.setSnapshotConfig': (params, task) => setConfig(commands, params, task),
    ...scheduleImplementations(hostId),
  };
}

export interface SnapshotToMake {
  readonly volume: string;
  readonly snapshot: string;
  readonly description?: string;
  readonly force?: boolean;
}

/** @throws {HostbusError} InvalidParams when Gluster would cut the description off */
export async function createSnapshot(
  commands: GlusterCommands,
  { volume, snapshot, description, force = false }: SnapshotToMake,
  options: CommandOptions,
): Promise<{ snapshot: string; uuid: string }> {
  if (Buffer.byteLength(description ?? '') > maxDescriptionBytes) {
    throw invalidParams(
      '/description',
      `is longer than ${maxDescriptionBytes} bytes, which Gluster would cut off`,
    );
  }
  const words = [
    'no-timestamp',
    ...(description === undefined ? [] : ['description', description]),
    ...(force ? ['force'] : []),
  ];
  return commands.run(['snapshot', 'create', snapshot, volume, ...words], options, (body) => ({
    snapshot: body.text('snapCreate', 'snapshot', 'name'),
    uuid: body.text('snapCreate', 'snapshot', 'uuid'),
  }));
}

/** The snapshots of a volume, or of all. */
export function listSnapshots(
  commands: GlusterCommands,
  options: CommandOptions,
  volume?: string,
): Promise<Snapshot[]> {
  const words = volume === undefined ? [] : ['volume', volume];
  return commands.run(['snapshot', 'info', ...words], options, parseSnapshots);
}

/** @returns the volume that is as it was */
export function restoreSnapshot(
  commands: GlusterCommands,
  snapshot: string,
  options: CommandOptions,
): Promise<{ volume: string }> {
  return commands.run(['snapshot', 'restore', snapshot], options, (body) => ({
    volume: body.text('snapRestore', 'volume', 'name'),
  }));
}

export async function deleteSnapshot(
  commands: GlusterCommands,
  snapshot: string,
  options: CommandOptions,
): Promise<void> {
  await commands.run(['snapshot', 'delete', snapshot], options, () => undefined);
}

async function deleteVolumeSnapshots(
  commands: GlusterCommands,
  volume: string,
  options: CommandOptions,
): Promise<string[]> {
  const reply = await commands.reply(['snapshot', 'delete', 'volume', volume], options);
  const outcomes = understand(reply, (body) => body.find('snapDelete', 'snapshots')?.all('snapshot') ?? []);
  const deleted = outcomes.filter(wasDeleted).map((each) => each.text('name'));
  const failed = outcomes.find((each) => !wasDeleted(each));
  if (reply.opRet !== 0 || failed !== undefined) {
    const why = {
      ...reply,
      opErrno: failed?.integerIfAny('opErrno') ?? reply.opErrno,
      opErrstr: failed?.textIfAny('opErrstr') ?? reply.opErrstr,
    };
    const { name, message, data } = refusal(why);
    throw new HostbusError(name, message, { ...data, deleted });
  }
  // Of a volume that does not exist Gluster says that there was nothing to delete.
  if (outcomes.length === 0) await listSnapshots(commands, options, volume);
  return deleted;
}

const wasDeleted = (outcome: XmlElement) => outcome.text('status') === 'Success';

function getConfig(
  commands: GlusterCommands,
  volume: string | undefined,
  options: CommandOptions,
): Promise<SnapshotConfig> {
  const words = volume === undefined ? [] : [volume];
  return commands.run(['snapshot', 'config', ...words], options, parseConfig);
}

interface ConfigToSet {
  readonly volume?: string;
  readonly hardLimit?: number;
  readonly softLimitPercent?: number;
  readonly autoDelete?: boolean;
  readonly activateOnCreate?: boolean;
}

async function setConfig(
  commands: GlusterCommands,
  params: ConfigToSet,
  options: CommandOptions,
): Promise<SnapshotConfig> {
  const { volume, hardLimit, ...general } = params;
  const wrong = Object.keys(general)[0];
  if (volume !== undefined && wrong !== undefined) {
    throw invalidParams(`/${wrong}`, 'holds for all volumes: leave `volume` out');
  }
  const { softLimitPercent, autoDelete, activateOnCreate } = general;
  const before = await getConfig(commands, volume, options);
  const limits = [
    ...(hardLimit === undefined ? [] : ['snap-max-hard-limit', `${hardLimit}`]),
    ...(softLimitPercent === undefined ? [] : ['snap-max-soft-limit', `${softLimitPercent}`]),
  ];
  // What is so already, Gluster refuses.
  const changes = [
    ...(limits.length === 0 ? [] : [[...(volume === undefined ? [] : [volume]), ...limits]]),
    ...(autoDelete === undefined || autoDelete === before.autoDelete
      ? []
      : [['auto-delete', autoDelete ? 'enable' : 'disable']]),
    ...(activateOnCreate === undefined || activateOnCreate === before.activateOnCreate
      ? []
      : [['activate-on-create', activateOnCreate ? 'enable' : 'disable']]),
  ];
  for (const words of changes) await commands.run(['snapshot', 'config', ...words], options, () => undefined);
  return changes.length === 0 ? before : getConfig(commands, volume, options);
}

/** Reads `snapshot info`, of all or of a volume. */
export function parseSnapshots(body: XmlElement): Snapshot[] {
  const info = body.get('snapInfo');
  const volume = info.textIfAny('originVolume', 'name');
  return (info.find('snapshots')?.all('snapshot') ?? []).map((each) => parseSnapshot(each, volume));
}

/** @param volume - its volume, where that stands elsewhere */
function parseSnapshot(snapshot: XmlElement, volume?: string): Snapshot {
  const description = snapshot.textIfAny('description');
  const status = snapshot.text('snapVolume', 'status');
  return {
    snapshot: snapshot.text('name'),
    uuid: snapshot.text('uuid'),
    volume: volume ?? snapshot.text('snapVolume', 'originVolume', 'name'),
    ...(description === undefined ? {} : { description }),
    createdAt: parseTime(snapshot.text('createTime')),
    status: status === 'Started' ? 'active' : status === 'Stopped' ? 'inactive' : 'unknown',
  };
}

/** Reads `snapshot info SNAPSHOT`. */
export function parseOneSnapshot(body: XmlElement): Snapshot & { remaining: number } {
  const snapshot = body.get('snapInfo', 'snapshots', 'snapshot');
  const remaining = snapshot.integer('snapVolume', 'originVolume', 'snapRemaining');
  return { ...parseSnapshot(snapshot), remaining };
}

/** Gluster's time is UTC; versions from 10 on say so. */
function parseTime(text: string): string {
  const [, day, time, offset = '+0000'] =
    /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?: ([+-]\d{4}))?$/.exec(text) ?? [];
  if (day === undefined) throw new XmlError(`"${text}" is no time`);
  return new Date(`${day}T${time}${offset.slice(0, 3)}:${offset.slice(3)}`).toISOString();
}

/** Reads `snapshot status SNAPSHOT`. One that does not exist has no entry there. */
export function parseSnapshotBricks(body: XmlElement): SnapshotBrick[] {
  const volume = body.find('snapStatus', 'snapshots', 'snapshot', 'volume');
  return (volume?.all('brick') ?? []).map(parseSnapshotBrick);
}

function parseSnapshotBrick(brick: XmlElement): SnapshotBrick {
  const group = brick.textIfAny('volumeGroup');
  const known = {
    pid: brick.integerIfAny('pid'),
    // Otherwise it says in words that there is none.
    volumeGroup: group === undefined || group.startsWith('N/A') ? undefined : group,
    size: parseLvmSize(brick.textIfAny('lvSize')),
    dataPercent: brick.numberIfAny('data_percentage'),
  };
  return {
    brick: brick.text('path'),
    running: brick.text('brick_running') === 'Yes',
    ...Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined)),
  };
}

/** LVM's `<1.50g`; its small letters are powers of 1024. */
function parseLvmSize(text: string | undefined): number | undefined {
  const [, number, unit] = /^<?(\d+(?:\.\d+)?)([bkmgtp])$/.exec(text ?? '') ?? [];
  if (number === undefined || unit === undefined) return undefined;
  return Math.round(Number(number) * 1024 ** 'bkmgtp'.indexOf(unit));
}

/** Reads `snapshot config`. */
export function parseConfig(body: XmlElement): SnapshotConfig {
  const general = body.get('snapConfig', 'systemConfig');
  const volumes = body.find('snapConfig', 'volumeConfig')?.all('volume') ?? [];
  return {
    hardLimit: general.integer('hardLimit'),
    softLimitPercent: Number.parseInt(general.text('softLimit'), 10),
    autoDelete: general.text('autoDelete') === 'enable',
    activateOnCreate: general.text('activateOnCreate') === 'enable',
    volumes: volumes.map((volume) => ({
      volume: volume.text('name'),
      hardLimit: volume.integer('hardLimit'),
      effectiveHardLimit: volume.integer('effectiveHardLimit'),
      softLimit: volume.integer('softLimit'),
    })),
  };
}

export function invalidParams(path: string, message: string): HostbusError {
  return new HostbusError('InvalidParams', `${path} ${message}`, { errors: [{ path, message }] });
}
