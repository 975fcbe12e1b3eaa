/** Gluster: volumes, their life and their options. */
import Type from 'typebox';
import { NoParams, OpenObject, StrictObject } from './common.ts';
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

export const volumeTypes = [
  'distribute',
  'replicate',
  'distributedReplicate',
  'disperse',
  'distributedDisperse',
  'unknown',
] as const;
export const volumeStates = ['created', 'started', 'stopped', 'unknown'] as const;
export const transports = ['tcp', 'rdma', 'tcp,rdma'] as const;

const Count = Type.Integer({ minimum: 0 });

export const VolumeBrick = OpenObject({
  brick: Brick,
  hostUuid: GlusterUuid,
  arbiter: Type.Boolean({ description: 'It holds names and metadata, but no data' }),
});

export const Volume = OpenObject(
  {
    volume: Type.String({ description: 'Its name' }),
    uuid: GlusterUuid,
    type: Type.Enum([...volumeTypes]),
    status: Type.Enum([...volumeStates]),
    bricks: Type.Array(VolumeBrick, {
      description: 'In order: so many after each other as a subvolume has, make one subvolume',
    }),
    distributeCount: Type.Integer({ minimum: 0, description: 'Subvolumes that files are spread over' }),
    replicaCount: Type.Integer({
      minimum: 1,
      description: 'Bricks that hold each file, arbiters among them',
    }),
    arbiterCount: Count,
    disperseCount: Type.Integer({
      minimum: 0,
      description: 'Bricks of a dispersed subvolume; 0: not dispersed',
    }),
    redundancyCount: Type.Integer({ minimum: 0, description: 'Bricks of these that may fail' }),
    transport: Type.Enum([...transports]),
    snapshotCount: Count,
    options: Type.Record(Type.String(), Type.String(), {
      description: 'Options that are set on the volume; gluster.listVolumeOptions has the others',
    }),
  },
  { description: 'A volume, as Gluster has it configured' },
);
export type Volume = Type.Static<typeof Volume>;

const byVolume = StrictObject({ volume: VolumeName });
export const volumeSubject = ({ volume }: { volume: string }) => ({ kind: 'volume' as const, id: volume });
export const volumeErrors = [...glusterErrors, 'VolumeNotFound'] as const;

export const listVolumes = defineVerb({
  ...glusterQuery,
  name: 'gluster.listVolumes',
  doc: 'Lists the volumes of the pool.',
  params: NoParams,
  result: OpenObject({ volumes: Type.Array(Volume) }),
  errors: glusterErrors,
  example: {},
});

export const getVolume = defineVerb({
  ...glusterQuery,
  name: 'gluster.getVolume',
  doc: 'Tells how a volume is configured.',
  params: byVolume,
  result: Volume,
  errors: volumeErrors,
  example: { volume: 'data' },
});

export const createVolume = defineVerb({
  ...glusterChange,
  name: 'gluster.createVolume',
  doc: 'Makes a volume of bricks; it is not started. Without counts, files are spread over the bricks, each file on one.',
  params: StrictObject({
    volume: VolumeName,
    bricks: Type.Array(Brick, { minItems: 1, maxItems: 4096, description: 'Subvolume after subvolume' }),
    replica: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 64,
        description: 'Bricks that hold each file, the arbiter included',
      }),
    ),
    arbiter: Type.Optional(
      Type.Boolean({ default: false, description: 'The last brick of each replica set is an arbiter' }),
    ),
    disperse: Type.Optional(
      Type.Integer({ minimum: 3, maximum: 64, description: 'Bricks of each dispersed subvolume' }),
    ),
    redundancy: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 31,
        description: 'Bricks of each dispersed subvolume that may fail',
      }),
    ),
    transport: Type.Optional(Type.Enum([...transports], { default: 'tcp' })),
    force: Force,
  }),
  result: Volume,
  errors: [...glusterErrors, 'VolumeExists', 'PeerDisconnected'],
  subject: volumeSubject,
  example: {
    volume: 'data',
    bricks: ['g1.example:/bricks/b1/data', 'g2.example:/bricks/b1/data', 'g3.example:/bricks/b1/data'],
    replica: 3,
    arbiter: true,
  },
});

export const deleteVolume = defineVerb({
  ...glusterChange,
  name: 'gluster.deleteVolume',
  doc: 'Deletes a stopped volume: what it held can no longer be reached through Gluster. The files stay on the bricks, which cannot be used again until somebody empties them.',
  params: byVolume,
  result: Done,
  errors: [...volumeErrors, 'PeerDisconnected'],
  access: 'admin',
  subject: volumeSubject,
  example: { volume: 'data' },
});

export const startVolume = defineVerb({
  ...glusterChange,
  name: 'gluster.startVolume',
  doc: 'Starts a volume. With `force` also brick processes that have died, of a volume that is started already.',
  params: StrictObject({ volume: VolumeName, force: Force }),
  result: Done,
  errors: [...volumeErrors, 'PeerDisconnected'],
  subject: volumeSubject,
  example: { volume: 'data' },
});

export const stopVolume = defineVerb({
  ...glusterChange,
  name: 'gluster.stopVolume',
  doc: 'Stops a volume: clients can no longer reach its data, which stays. With `force` even while something such as a rebalance runs on it.',
  params: StrictObject({ volume: VolumeName, force: Force }),
  result: Done,
  errors: [...volumeErrors, 'OperationRunning', 'GeoReplicationState'],
  access: 'admin',
  subject: volumeSubject,
  example: { volume: 'data' },
});

const optionName = Type.String({
  maxLength: 255,
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$',
  description: 'Such as `performance.cache-size`; `group` applies a group of options by its name',
});

export const VolumeOption = OpenObject({
  option: Type.String(),
  value: Type.Optional(Type.String({ description: 'In force on the volume; absent where there is none' })),
  isDefault: Type.Optional(Type.Boolean({ description: 'The value is the default' })),
  defaultValue: Type.Optional(Type.String()),
  description: Type.Optional(Type.String({ description: "Gluster's own words" })),
});
export type VolumeOption = Type.Static<typeof VolumeOption>;

export const listVolumeOptions = defineVerb({
  ...glusterQuery,
  name: 'gluster.listVolumeOptions',
  doc: 'Lists options: all values in force on a volume, or, without one, what may be set on volumes, with defaults and descriptions.',
  params: StrictObject({ volume: Type.Optional(VolumeName) }),
  result: OpenObject({ options: Type.Array(VolumeOption) }),
  errors: volumeErrors,
  example: { volume: 'data' },
});

export const setVolumeOption = defineVerb({
  ...glusterChange,
  name: 'gluster.setVolumeOption',
  doc: 'Sets an option of a volume, at once and for its clients too.',
  params: StrictObject({
    volume: VolumeName,
    option: optionName,
    value: Type.String({
      minLength: 1,
      maxLength: 4096,
      pattern: '^(?!--)[^\\u0000-\\u001f\\u007f]*$',
      description: 'As Gluster writes it; not beginning with --',
    }),
  }),
  result: Done,
  errors: volumeErrors,
  subject: volumeSubject,
  example: { volume: 'data', option: 'performance.cache-size', value: '256MB' },
});

export const resetVolumeOption = defineVerb({
  ...glusterChange,
  name: 'gluster.resetVolumeOption',
  doc: 'Puts an option of a volume back to its default, or all of them. With `force` also protected ones.',
  params: StrictObject({
    volume: VolumeName,
    option: Type.Optional(Type.String({ ...optionName, description: 'Absent: all options' })),
    force: Force,
  }),
  result: Done,
  errors: volumeErrors,
  subject: volumeSubject,
  example: { volume: 'data', option: 'performance.cache-size' },
});

export const volumeVerbs = [
  listVolumes,
  getVolume,
  createVolume,
  deleteVolume,
  startVolume,
  stopVolume,
  listVolumeOptions,
  setVolumeOption,
  resetVolumeOption,
] as const;
