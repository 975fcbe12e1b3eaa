/** Gluster: snapshots of volumes. */
import Type from 'typebox';
import { Bytes, NoParams, OpenObject, StrictObject, Timestamp } from './common.ts';
import {
  Brick,
  Done,
  Force,
  GlusterUuid,
  glusterChange,
  glusterErrors,
  glusterQuery,
  VolumeName,
} from './gluster-common.ts';
import { defineVerb } from './verb.ts';

/** How the description of a member of a consistency group begins; no other description may. */
export const groupDescriptionPrefix = 'hostbus-group ';
/** Gluster cuts off what is longer, without an error. */
export const maxDescriptionBytes = 1000;

export const SnapshotName = Type.String({
  maxLength: 255,
  // "all" and "volume" mean something else to `snapshot delete`, `info` and `status`.
  pattern: '^(?!(all|volume)$)[A-Za-z0-9_][A-Za-z0-9_-]*$',
  description:
    'Name of a snapshot, one in the whole pool: letters, digits, - and _; not beginning with -, and neither "all" nor "volume"',
});
export const SnapshotDescription = Type.String({
  minLength: 1,
  maxLength: maxDescriptionBytes,
  pattern: `^(?!--|${groupDescriptionPrefix})[^\\u0000-\\u001f\\u007f]*$`,
  description: 'Free text of one line, at most 1,000 bytes, not beginning with `--`',
});

const snapshotProperties = {
  snapshot: SnapshotName,
  uuid: GlusterUuid,
  volume: Type.String({ description: 'The volume that it was made of' }),
  description: Type.Optional(Type.String()),
  createdAt: Timestamp,
  status: Type.Enum(['active', 'inactive', 'unknown'], {
    description: 'An active one can be read, mounted as `HOST:/snaps/SNAPSHOT/VOLUME`, and cloned',
  }),
};
export const Snapshot = OpenObject(snapshotProperties, { description: 'A snapshot of one volume' });
export type Snapshot = Type.Static<typeof Snapshot>;

export const SnapshotBrick = OpenObject({
  brick: Brick,
  running: Type.Boolean({ description: 'Its process runs' }),
  pid: Type.Optional(Type.Integer()),
  volumeGroup: Type.Optional(Type.String({ description: 'LVM volume group; while the snapshot is active' })),
  size: Type.Optional({
    ...Bytes,
    description: 'Size of its logical volume, bytes; as rounded as LVM tells it',
  }),
  dataPercent: Type.Optional(
    Type.Number({ minimum: 0, description: 'How much of its thin logical volume is in use, percent' }),
  ),
});
export type SnapshotBrick = Type.Static<typeof SnapshotBrick>;

export const SnapshotConfig = OpenObject({
  hardLimit: Type.Integer({ description: 'Snapshots that any volume may have' }),
  softLimitPercent: Type.Integer({
    description: 'Percent of the hard limit from which on Gluster warns, or deletes the oldest',
  }),
  autoDelete: Type.Boolean({
    description: 'Past the soft limit, each new snapshot makes Gluster delete the oldest of its volume',
  }),
  activateOnCreate: Type.Boolean({ description: 'New snapshots are active' }),
  volumes: Type.Array(
    OpenObject({
      volume: VolumeName,
      hardLimit: Type.Integer({ description: "The volume's own" }),
      effectiveHardLimit: Type.Integer({ description: 'The lower one of its own and the general one' }),
      softLimit: Type.Integer({ description: 'Snapshots, not percent' }),
    }),
  ),
});
export type SnapshotConfig = Type.Static<typeof SnapshotConfig>;

const ofSnapshot = (params: { snapshot: string }) => ({ kind: 'snapshot', id: params.snapshot }) as const;
const ofVolume = (params: { volume: string }) => ({ kind: 'volume', id: params.volume }) as const;

export const createSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.createSnapshot',
  doc: 'Makes a snapshot of a volume, under exactly the name that is given. All its bricks have to run, each on a thin logical volume.',
  params: StrictObject({
    volume: VolumeName,
    snapshot: SnapshotName,
    description: Type.Optional(SnapshotDescription),
    force: Force,
  }),
  result: OpenObject({ snapshot: SnapshotName, uuid: GlusterUuid }),
  errors: [
    ...glusterErrors,
    'VolumeNotFound',
    'PeerDisconnected',
    'OperationRunning',
    'SnapshotExists',
    'SnapshotLimit',
    'NotThin',
    'GeoReplicationState',
  ],
  subject: ofSnapshot,
  example: { volume: 'data', snapshot: 'data-monday', description: 'before the update' },
});

export const listSnapshots = defineVerb({
  ...glusterQuery,
  name: 'gluster.listSnapshots',
  doc: 'Lists the snapshots of a volume, or of all.',
  params: StrictObject({ volume: Type.Optional(VolumeName) }),
  result: OpenObject({ snapshots: Type.Array(Snapshot) }),
  errors: [...glusterErrors, 'VolumeNotFound'],
  example: { volume: 'data' },
});

export const getSnapshot = defineVerb({
  ...glusterQuery,
  name: 'gluster.getSnapshot',
  doc: 'Tells what a snapshot is, and how each of its bricks is.',
  params: StrictObject({ snapshot: SnapshotName }),
  result: OpenObject({
    ...snapshotProperties,
    remaining: Type.Integer({ description: 'How many more snapshots the volume may have' }),
    bricks: Type.Array(SnapshotBrick),
  }),
  errors: [...glusterErrors, 'SnapshotNotFound'],
  example: { snapshot: 'data-monday' },
});

export const activateSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.activateSnapshot',
  doc: 'Starts the bricks of a snapshot, so that it can be read, mounted and cloned. `force` is for one that is active already; glusterfs 10 then fails while its bricks are mounted: deactivate and activate it instead.',
  params: StrictObject({ snapshot: SnapshotName, force: Force }),
  result: Done,
  errors: [...glusterErrors, 'SnapshotNotFound', 'SnapshotState', 'PeerDisconnected'],
  subject: ofSnapshot,
  example: { snapshot: 'data-monday' },
});

export const deactivateSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.deactivateSnapshot',
  doc: 'Stops the bricks of a snapshot. Whoever has it mounted gets errors; nothing of it is lost.',
  params: StrictObject({ snapshot: SnapshotName }),
  result: Done,
  errors: [...glusterErrors, 'SnapshotNotFound', 'SnapshotState', 'PeerDisconnected'],
  subject: ofSnapshot,
  example: { snapshot: 'data-monday' },
});

export const restoreSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.restoreSnapshot',
  doc: 'Sets a stopped volume back to a snapshot. All that was written since is lost, options of the volume are as they were then, and the snapshot is used up.',
  params: StrictObject({ snapshot: SnapshotName }),
  result: OpenObject({ volume: VolumeName }),
  errors: [
    ...glusterErrors,
    'SnapshotNotFound',
    'SnapshotState',
    'PeerDisconnected',
    'OperationRunning',
    'GeoReplicationState',
  ],
  access: 'admin',
  subject: ofSnapshot,
  example: { snapshot: 'data-monday' },
});

export const cloneSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.cloneSnapshot',
  doc: 'Makes a new volume of an active snapshot: writable, not started, sharing what is not changed.',
  params: StrictObject({ snapshot: SnapshotName, volume: VolumeName }),
  result: OpenObject({ volume: VolumeName, uuid: GlusterUuid }),
  errors: [...glusterErrors, 'SnapshotNotFound', 'SnapshotExists', 'SnapshotState', 'PeerDisconnected'],
  subject: ofSnapshot,
  example: { snapshot: 'data-monday', volume: 'data-trial' },
});

export const deleteSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.deleteSnapshot',
  doc: 'Deletes a snapshot, active or not. Its content is lost.',
  params: StrictObject({ snapshot: SnapshotName }),
  result: Done,
  errors: [...glusterErrors, 'SnapshotNotFound', 'PeerDisconnected'],
  access: 'admin',
  subject: ofSnapshot,
  example: { snapshot: 'data-monday' },
});

export const deleteVolumeSnapshots = defineVerb({
  ...glusterChange,
  name: 'gluster.deleteVolumeSnapshots',
  doc: 'Deletes all snapshots of a volume. Their content is lost. Where one cannot be deleted, those before it are gone: `data.deleted` names them.',
  params: StrictObject({ volume: VolumeName }),
  result: OpenObject({ deleted: Type.Array(SnapshotName) }),
  errors: [...glusterErrors, 'VolumeNotFound', 'PeerDisconnected'],
  access: 'admin',
  subject: ofVolume,
  example: { volume: 'data' },
});

export const getSnapshotConfig = defineVerb({
  ...glusterQuery,
  name: 'gluster.getSnapshotConfig',
  doc: 'Tells the limits for snapshots: in general, and of a volume or of all.',
  params: StrictObject({ volume: Type.Optional(VolumeName) }),
  result: SnapshotConfig,
  errors: [...glusterErrors, 'VolumeNotFound'],
  example: {},
});

export const setSnapshotConfig = defineVerb({
  ...glusterChange,
  name: 'gluster.setSnapshotConfig',
  doc: 'Sets limits for snapshots, and tells what holds then. Of a single volume only the hard limit can be set. Up to three commands of Gluster: when one fails, those before it hold.',
  params: StrictObject({
    volume: Type.Optional(VolumeName),
    hardLimit: Type.Optional(Type.Integer({ minimum: 1, maximum: 256 })),
    softLimitPercent: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    autoDelete: Type.Optional(Type.Boolean()),
    activateOnCreate: Type.Optional(Type.Boolean()),
  }),
  result: SnapshotConfig,
  errors: [...glusterErrors, 'VolumeNotFound', 'PeerDisconnected'],
  // With auto-delete on, a new snapshot costs an old one.
  access: 'admin',
  example: { hardLimit: 64, softLimitPercent: 90 },
});

export const overrideSnapshotSchedule = defineVerb({
  ...glusterChange,
  name: 'gluster.overrideSnapshotSchedule',
  doc: "Takes the making of snapshots by schedule away from Gluster's own scheduler. Needs the scheduler, snap_scheduler.py, and the shared storage volume mounted; with `force` it turns the scheduler off.",
  params: StrictObject({ force: Force }),
  result: Done,
  errors: glusterErrors,
  access: 'admin',
  example: {},
});

export const resetSnapshotSchedule = defineVerb({
  ...glusterChange,
  name: 'gluster.resetSnapshotSchedule',
  doc: "Lets Gluster's own scheduler be turned on again. Needs the scheduler, snap_scheduler.py, and the shared storage volume mounted.",
  params: NoParams,
  result: Done,
  errors: glusterErrors,
  access: 'admin',
  example: {},
});

export const snapshotVerbs = [
  createSnapshot,
  listSnapshots,
  getSnapshot,
  activateSnapshot,
  deactivateSnapshot,
  restoreSnapshot,
  cloneSnapshot,
  deleteSnapshot,
  deleteVolumeSnapshots,
  getSnapshotConfig,
  setSnapshotConfig,
  overrideSnapshotSchedule,
  resetSnapshotSchedule,
] as const;
