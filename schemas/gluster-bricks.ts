/** Gluster: the bricks of volumes, and the file systems that they are on. */
import Type from 'typebox';
import { NoParams, OpenObject, StrictObject } from './common.ts';
import { Brick, Force, glusterChange, glusterErrors, glusterQuery, VolumeName } from './gluster-common.ts';
import { Volume, volumeErrors, volumeSubject } from './gluster-volumes.ts';
import { defineVerb } from './verb.ts';

export const addBricks = defineVerb({
  ...glusterChange,
  name: 'gluster.addBricks',
  doc: 'Adds bricks to a volume: whole subvolumes, or with `replica` one more brick to each replica set. Existing files stay where they are until the volume is rebalanced.',
  params: StrictObject({
    volume: VolumeName,
    bricks: Type.Array(Brick, { minItems: 1, maxItems: 4096 }),
    replica: Type.Optional(
      Type.Integer({
        minimum: 2,
        maximum: 64,
        description: 'Bricks that shall hold each file from now on, the arbiter included',
      }),
    ),
    arbiter: Type.Optional(
      Type.Boolean({ default: false, description: 'The bricks become arbiters; needs `replica`' }),
    ),
    force: Force,
  }),
  result: Volume,
  errors: [...volumeErrors, 'PeerDisconnected', 'OperationRunning'],
  subject: volumeSubject,
  example: { volume: 'data', bricks: ['g4.example:/bricks/b1/data'] },
});

export const replaceBrick = defineVerb({
  ...glusterChange,
  name: 'gluster.replaceBrick',
  doc: 'Puts a new, empty brick in the place of one of a replicated or dispersed volume; its content is healed from the others. What only the old brick had is lost to the volume. (Gluster knows this with its own `commit force` only.)',
  params: StrictObject({ volume: VolumeName, brick: Brick, newBrick: Brick }),
  result: Volume,
  errors: [...volumeErrors, 'PeerDisconnected', 'OperationRunning'],
  access: 'admin',
  subject: volumeSubject,
  example: {
    volume: 'data',
    brick: 'g3.example:/bricks/b1/data',
    newBrick: 'g4.example:/bricks/b1/data',
  },
});

export const resetBrick = defineVerb({
  ...glusterChange,
  name: 'gluster.resetBrick',
  doc: 'Takes a brick of a replicated or dispersed volume off line (`start`), so that its disk can be exchanged, and takes it in again at the same path (`commit`), emptied or not; what is missing is healed from the others.',
  params: StrictObject({
    volume: VolumeName,
    brick: Brick,
    action: Type.Enum(['start', 'commit']),
    newBrick: Type.Optional(
      Type.String({ ...Brick, description: 'With `commit`: the same path under another name of the host' }),
    ),
    force: Type.Optional(
      Type.Boolean({
        default: false,
        description: "With `commit`: Gluster's own `force`, which it wants where the brick is not empty",
      }),
    ),
  }),
  result: Volume,
  errors: [...volumeErrors, 'PeerDisconnected', 'OperationRunning'],
  access: 'admin',
  subject: volumeSubject,
  example: { volume: 'data', brick: 'g3.example:/bricks/b1/data', action: 'start' },
});

const DevicePath = Type.String({
  maxLength: 255,
  pattern: '^/dev/[A-Za-z0-9._:+@/-]+$',
  description: 'A block device of the host, such as `/dev/sdb` or a link of /dev/disk/by-id',
});

export const createBrick = defineVerb({
  ...glusterChange,
  name: 'gluster.createBrick',
  doc: 'Makes an XFS file system for bricks on a block device of the host, and mounts it, now and at each boot. With `force` whatever the device holds is destroyed; without it a device that holds anything is refused. One that is in use is refused always. Asked again after it was cut short, it goes on.',
  params: StrictObject({
    device: DevicePath,
    mountPoint: Type.String({
      maxLength: 1024,
      pattern: '^(/(?!\\.{1,2}(/|$))[A-Za-z0-9._-]+)+$',
      description:
        'Where it is mounted: a directory that is empty or does not exist. A brick is a directory in it',
    }),
    force: Type.Optional(Type.Boolean({ default: false, description: 'Destroys what the device holds' })),
  }),
  result: OpenObject({
    device: Type.String({ description: "The device's own name, links followed" }),
    mountPoint: Type.String(),
    fileSystem: Type.Literal('xfs'),
    fileSystemUuid: Type.String(),
    size: Type.Integer({ minimum: 0, description: 'Bytes of the device' }),
  }),
  errors: [...glusterErrors, 'DeviceInUse', 'InvalidPath'],
  access: 'admin',
  subject: ({ device }) => ({ kind: 'brick', id: device }),
  example: { device: '/dev/sdb', mountPoint: '/bricks/b1' },
});

export const deviceKinds = [
  'disk',
  'partition',
  'lvm',
  'raid',
  'multipath',
  'crypt',
  'loop',
  'other',
] as const;

export const StorageDevice = OpenObject({
  device: Type.String(),
  kind: Type.Enum([...deviceKinds]),
  size: Type.Integer({ minimum: 0, description: 'Bytes' }),
  readOnly: Type.Boolean(),
  rotational: Type.Boolean(),
  model: Type.Optional(Type.String()),
  vendor: Type.Optional(Type.String()),
  parent: Type.Optional(Type.String({ description: 'The device that it is a part of' })),
  mountPoints: Type.Array(Type.String()),
  signatures: Type.Optional(
    Type.Array(
      OpenObject({
        type: Type.String({ description: 'Such as `xfs`, `LVM2_member`, `gpt`' }),
        uuid: Type.Optional(Type.String()),
        label: Type.Optional(Type.String()),
      }),
      { description: 'What the device says it holds; absent where it could not be read' },
    ),
  ),
  available: Type.Boolean({ description: 'It can become a brick: it holds nothing, and nobody uses it' }),
});
export type StorageDevice = Type.Static<typeof StorageDevice>;

export const listStorageDevices = defineVerb({
  ...glusterQuery,
  name: 'gluster.listStorageDevices',
  doc: 'Lists the block devices of the host, what they hold, and which can become bricks.',
  params: NoParams,
  result: OpenObject({ devices: Type.Array(StorageDevice) }),
  errors: glusterErrors,
  example: {},
});

export const brickVerbs = [addBricks, replaceBrick, resetBrick, createBrick, listStorageDevices] as const;
