/** Gluster: how volumes are doing. */
import Type from 'typebox';
import { OpenObject, StrictObject } from './common.ts';
import { Brick, Done, GlusterUuid, glusterChange, glusterQuery, VolumeName } from './gluster-common.ts';
import { volumeErrors, volumeSubject } from './gluster-volumes.ts';
import { defineVerb } from './verb.ts';

const Count = Type.Integer({ minimum: 0 });
const Bytes = Type.Integer({ minimum: 0, description: 'Bytes' });
const byVolume = StrictObject({ volume: VolumeName });

const processFields = {
  hostUuid: GlusterUuid,
  online: Type.Boolean({ description: 'Its process runs' }),
  port: Type.Optional(Type.Integer({ description: 'TCP' })),
  pid: Type.Optional(Type.Integer()),
};

export const BrickStatus = OpenObject({
  brick: Brick,
  ...processFields,
  disk: Type.Optional(
    OpenObject(
      {
        size: Type.Optional(Bytes),
        free: Type.Optional(Bytes),
        device: Type.Optional(Type.String()),
        blockSize: Type.Optional(Bytes),
        mountOptions: Type.Optional(Type.String()),
        fileSystem: Type.Optional(Type.String()),
        inodesTotal: Type.Optional(Count),
        inodesFree: Type.Optional(Count),
      },
      { description: 'With `detail`: the file system that the brick is on; other bricks may be on it too' },
    ),
  ),
  clients: Type.Optional(
    Type.Array(
      OpenObject({
        address: Type.String({ description: '`ip:port`' }),
        bytesRead: Bytes,
        bytesWritten: Bytes,
        opVersion: Type.Optional(Type.Integer()),
      }),
      { description: 'With `clients`: who is connected to the brick' },
    ),
  ),
  memory: Type.Optional(
    OpenObject(
      {
        arena: Bytes,
        inUse: Bytes,
        free: Bytes,
        mapped: Type.Integer({ minimum: 0, description: 'Bytes, outside the arena' }),
        releasable: Bytes,
      },
      { description: "With `memory`: what the brick process's allocator holds" },
    ),
  ),
});
export type BrickStatus = Type.Static<typeof BrickStatus>;

export const serviceKinds = [
  'selfHealDaemon',
  'quotaDaemon',
  'bitrotDaemon',
  'scrubberDaemon',
  'snapshotDaemon',
  'nfsServer',
  'unknown',
] as const;

export const VolumeService = OpenObject({
  kind: Type.Enum([...serviceKinds]),
  host: Type.String({ description: '`localhost` for the host that was asked' }),
  ...processFields,
});
export type VolumeService = Type.Static<typeof VolumeService>;

export const getVolumeStatus = defineVerb({
  ...glusterQuery,
  name: 'gluster.getVolumeStatus',
  doc: 'Tells which bricks and services of a started volume run and, by `detail`, their file systems, clients or memory. Hosts that cannot be reached are left out by Gluster.',
  params: StrictObject({
    volume: VolumeName,
    detail: Type.Optional(
      Type.Enum(['bricks', 'detail', 'clients', 'memory'], {
        default: 'bricks',
        description: '`memory` asks brick by brick: slow with many',
      }),
    ),
  }),
  result: OpenObject({
    volume: Type.String(),
    bricks: Type.Array(BrickStatus),
    services: Type.Array(VolumeService),
  }),
  errors: volumeErrors,
  example: { volume: 'data', detail: 'detail' },
});

export const HealBrick = OpenObject({
  brick: Brick,
  hostUuid: Type.Optional(GlusterUuid),
  connected: Type.Boolean({ description: 'False: what it has to heal is not known' }),
  entries: Type.Optional(Type.Integer({ minimum: 0, description: 'Files and directories to heal, in all' })),
  pending: Type.Optional(Count),
  splitBrain: Type.Optional(Count),
  healing: Type.Optional(Type.Integer({ minimum: 0, description: 'Perhaps being healed right now' })),
});
export type HealBrick = Type.Static<typeof HealBrick>;

export const getVolumeHealInfo = defineVerb({
  ...glusterQuery,
  name: 'gluster.getVolumeHealInfo',
  doc: 'Counts, brick by brick, what a replicated or dispersed volume still has to heal. May take long where there is much.',
  params: byVolume,
  result: OpenObject({ volume: Type.String(), bricks: Type.Array(HealBrick) }),
  errors: volumeErrors,
  example: { volume: 'data' },
});

export const startVolumeHeal = defineVerb({
  ...glusterChange,
  name: 'gluster.startVolumeHeal',
  doc: 'Has the self-heal daemons heal what is known to need it; with `full` the whole volume is looked through. Answers once it has begun.',
  params: StrictObject({ volume: VolumeName, full: Type.Optional(Type.Boolean({ default: false })) }),
  result: Done,
  errors: [...volumeErrors, 'PeerDisconnected'],
  subject: volumeSubject,
  example: { volume: 'data' },
});

const ProfileStats = OpenObject({
  duration: Type.Number({ minimum: 0, description: 'Seconds that the numbers are of' }),
  bytesRead: Bytes,
  bytesWritten: Bytes,
  blocks: Type.Array(
    OpenObject({
      size: Type.Integer({ minimum: 0, description: 'Bytes: of this size up to the double of it' }),
      reads: Count,
      writes: Count,
    }),
    { description: 'Reads and writes by their size; sizes that did not occur are left out' },
  ),
  operations: Type.Array(
    OpenObject({
      operation: Type.String({ description: 'File operation, such as `lookup`' }),
      count: Count,
      averageLatency: Type.Number({ description: 'Seconds' }),
      minLatency: Type.Number({ description: 'Seconds' }),
      maxLatency: Type.Number({ description: 'Seconds' }),
    }),
  ),
});
export type ProfileStats = Type.Static<typeof ProfileStats>;

export const startVolumeProfile = defineVerb({
  ...glusterChange,
  name: 'gluster.startVolumeProfile',
  doc: 'Has the bricks of a volume count and time file operations, which costs a little speed.',
  params: byVolume,
  result: Done,
  errors: volumeErrors,
  subject: volumeSubject,
  example: { volume: 'data' },
});

export const stopVolumeProfile = defineVerb({
  ...glusterChange,
  name: 'gluster.stopVolumeProfile',
  doc: 'Stops profiling of a volume; its numbers are lost.',
  params: byVolume,
  result: Done,
  errors: volumeErrors,
  subject: volumeSubject,
  example: { volume: 'data' },
});

export const getVolumeProfile = defineVerb({
  ...glusterQuery,
  name: 'gluster.getVolumeProfile',
  doc: 'Tells what profiling has counted, brick by brick: since it began, and since somebody last asked Gluster for intervals (this verb does not reset them).',
  params: byVolume,
  result: OpenObject({
    volume: Type.String(),
    bricks: Type.Array(
      OpenObject({
        brick: Brick,
        cumulative: Type.Optional(ProfileStats),
        interval: Type.Optional(ProfileStats),
      }),
    ),
  }),
  errors: volumeErrors,
  example: { volume: 'data' },
});

export const getVolumeCapacity = defineVerb({
  ...glusterQuery,
  name: 'gluster.getVolumeCapacity',
  doc: 'Tells how large and how full a started volume is, as a client sees it: it is mounted for a moment, privately and read-only. Bricks that cannot be reached do not count.',
  params: byVolume,
  result: OpenObject({
    volume: Type.String(),
    capacity: Bytes,
    used: Bytes,
    available: Type.Integer({ minimum: 0, description: 'Bytes that can still be written' }),
    inodesTotal: Count,
    inodesFree: Count,
  }),
  errors: volumeErrors,
  example: { volume: 'data' },
});

export const isVolumeEmpty = defineVerb({
  ...glusterQuery,
  name: 'gluster.isVolumeEmpty',
  doc: 'Tells whether a started volume has no files, by mounting it for a moment, privately and read-only. Refused where a brick is down and no file is seen: there may be some on it.',
  params: byVolume,
  result: OpenObject({ volume: Type.String(), empty: Type.Boolean() }),
  errors: [...volumeErrors, 'PeerDisconnected'],
  example: { volume: 'data' },
});

export const volumeStatusVerbs = [
  getVolumeStatus,
  getVolumeHealInfo,
  startVolumeHeal,
  startVolumeProfile,
  stopVolumeProfile,
  getVolumeProfile,
  getVolumeCapacity,
  isVolumeEmpty,
] as const;
