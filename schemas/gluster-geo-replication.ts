/** Gluster: sessions that copy what changes in a volume to a volume of another pool, over SSH. */
import Type, { type TProperties } from 'typebox';
import { OpenObject, StrictObject, Timestamp } from './common.ts';
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

export const geoReplicationStatuses = [
  'created',
  'initializing',
  'active',
  'passive',
  'faulty',
  'paused',
  'stopped',
  'offline',
] as const;
export const crawls = ['hybrid', 'history', 'changelog'] as const;

/** A name of a user or group, as useradd(8) takes it. */
export const userPattern = '^[a-z_][a-z0-9_-]{0,31}$';

const remoteHost = Type.String({
  // Two colons would end the host in `host::volume`.
  pattern: '^[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}$',
  description: 'Host of the remote pool, as all hosts of this one know it',
});
const remoteVolume = Type.String({ ...VolumeName, description: 'Volume of the remote pool' });
const remoteUser = Type.Optional(
  Type.String({
    pattern: userPattern,
    default: 'root',
    description: 'User there; others than root need `gluster.setUpMountBroker`',
  }),
);
const session = { volume: VolumeName, remoteHost, remoteVolume, remoteUser };
const example = { volume: 'data', remoteHost: 'backup1.example', remoteVolume: 'data-copy' };

const status = Type.Enum([...geoReplicationStatuses, 'unknown'], {
  description:
    '`passive`: another brick of the same replica set does the work. Of a session: that of the brick that is worst off',
});
const count = (description: string) => Type.Optional(Type.Integer({ minimum: 0, description }));

const summary = {
  volume: VolumeName,
  remoteHost: Type.String({ description: 'Host of the remote pool that the session was created with' }),
  remoteVolume: Type.String({ description: 'Volume of the remote pool' }),
  remoteUser: Type.String({ description: 'User there' }),
  remoteVolumeUuid: Type.Optional(GlusterUuid),
  status,
};

export const GeoReplication = OpenObject(summary, { description: 'A geo-replication session' });
export type GeoReplication = Type.Static<typeof GeoReplication>;

export const GeoReplicationBrick = OpenObject(
  {
    brick: Brick,
    hostUuid: GlusterUuid,
    status,
    crawl: Type.Optional(
      Type.Enum([...crawls, 'unknown'], {
        description:
          'How it looks for changes: `hybrid` through all files, `history` through those since the last stop, `changelog` as they come. Absent while it does not',
      }),
    ),
    remoteHost: Type.Optional(Type.String({ description: 'Host that it copies to now' })),
    pendingEntries: count('Names not yet made, moved or removed'),
    pendingData: count('Files whose content is not yet copied'),
    pendingMetadata: count('Files whose attributes are not yet copied'),
    failures: count('Files that could not be copied'),
    syncedAt: Type.Optional(
      Type.String({ description: 'What was changed until then has arrived. RFC 3339' }),
    ),
    checkpoint: Type.Optional(
      OpenObject(
        {
          setAt: Timestamp,
          completed: Type.Boolean({ description: 'All that was changed before it has arrived' }),
          completedAt: Type.Optional(Timestamp),
        },
        { description: 'Absent where none is set, or nothing is known of it' },
      ),
    ),
  },
  { description: 'What a session does on one brick' },
);
export type GeoReplicationBrick = Type.Static<typeof GeoReplicationBrick>;

export const GeoReplicationStatus = OpenObject(
  { ...summary, bricks: Type.Array(GeoReplicationBrick) },
  { description: 'A geo-replication session in detail. Bricks of hosts that are down are missing' },
);
export type GeoReplicationStatus = Type.Static<typeof GeoReplicationStatus>;

const subject = (params: { volume: string; remoteHost: string; remoteVolume: string }) =>
  ({
    kind: 'geoReplication',
    id: `${params.volume}/${params.remoteHost}::${params.remoteVolume}`,
  }) as const;
const sessionErrors = [
  ...glusterErrors,
  'VolumeNotFound',
  'GeoReplicationState',
  'PeerDisconnected',
] as const;

/** Those that only move a session from one state to another. */
function stateVerb<const N extends string>(
  name: N,
  doc: string,
  force: string,
  access: 'write' | 'admin' = 'write',
) {
  return defineVerb({
    ...glusterChange,
    name,
    doc,
    access,
    params: StrictObject({
      ...session,
      force: Type.Optional(Type.Boolean({ default: false, description: force })),
    }),
    result: Done,
    errors: sessionErrors,
    subject,
    example,
  });
}

export const createGeoReplication = defineVerb({
  ...glusterChange,
  name: 'gluster.createGeoReplication',
  doc: 'Makes a geo-replication session; it copies nothing until it is started. What the remote volume holds is overwritten once it runs. With `pushKeys` Gluster checks the remote side and gives it the keys, over a password-less SSH login that root of the host asked must have there; without, nothing is checked, and the keys of `gluster.getGeoReplicationKeys` must be given to the remote hosts by `gluster.updateGeoReplicationKeys`.',
  params: StrictObject({
    ...session,
    pushKeys: Type.Optional(
      Type.Boolean({ default: false, description: 'Check the remote side and give it the keys' }),
    ),
    sshPort: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 65_535, default: 22, description: 'Of the remote hosts' }),
    ),
    force: Force,
  }),
  result: Done,
  errors: sessionErrors,
  access: 'admin',
  subject,
  example,
});

export const startGeoReplication = stateVerb(
  'gluster.startGeoReplication',
  'Starts a session: what is in the volume is copied, then what changes.',
  'Also on hosts where it runs already, or that are not ready',
);
export const stopGeoReplication = stateVerb(
  'gluster.stopGeoReplication',
  'Stops a session. A later start goes on where it was.',
  'Also where hosts are down: these go on by themselves once they are back, until it is stopped again',
);
export const pauseGeoReplication = stateVerb(
  'gluster.pauseGeoReplication',
  'Pauses a session, for a snapshot of the volume.',
  'Also on hosts where it is paused already, or is not known to run',
);
export const resumeGeoReplication = stateVerb(
  'gluster.resumeGeoReplication',
  'Lets a paused session go on.',
  'Also on hosts where it runs already',
);

export const deleteGeoReplication = defineVerb({
  ...glusterChange,
  name: 'gluster.deleteGeoReplication',
  doc: 'Deletes a stopped session, with its configuration. The data of both volumes stays.',
  params: StrictObject({
    ...session,
    resetSyncTime: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Also forget how far it was: a session that is made anew goes through all files',
      }),
    ),
  }),
  result: Done,
  errors: sessionErrors,
  access: 'admin',
  subject,
  example,
});

export const listGeoReplications = defineVerb({
  ...glusterQuery,
  name: 'gluster.listGeoReplications',
  doc: 'Lists the geo-replication sessions of one volume, or of all.',
  params: StrictObject({ volume: Type.Optional(VolumeName) }),
  result: OpenObject({ sessions: Type.Array(GeoReplication) }),
  errors: [...glusterErrors, 'VolumeNotFound'],
  example: {},
});

function lookVerb<const N extends string, P extends TProperties, R extends Type.TSchema>(
  name: N,
  doc: string,
  params: P,
  result: R,
) {
  return { ...glusterQuery, name, doc, params: StrictObject(params), result, errors: sessionErrors } as const;
}

export const getGeoReplicationStatus = defineVerb({
  ...lookVerb(
    'gluster.getGeoReplicationStatus',
    'Tells what a session does on each brick: its state, what waits, up to when all has arrived.',
    session,
    GeoReplicationStatus,
  ),
  example,
});

export const getGeoReplicationConfig = defineVerb({
  ...lookVerb(
    'gluster.getGeoReplicationConfig',
    'Tells the options of a session: those that are set, and the defaults of the others.',
    session,
    OpenObject({
      options: Type.Record(Type.String(), Type.String(), {
        description:
          "Values by name, as Gluster's geo-replication has them: with `_`, empty where none is set",
      }),
    }),
  ),
  example,
});

const option = Type.String({
  maxLength: 64,
  pattern: '^[a-z][a-z0-9_-]*$',
  description: 'Name of an option, with `_` or `-`; `gluster.getGeoReplicationConfig` tells them all',
});

export const setGeoReplicationConfig = defineVerb({
  ...glusterChange,
  name: 'gluster.setGeoReplicationConfig',
  doc: 'Sets an option of a session, whose workers start anew. `checkpoint` with `now` sets a checkpoint. Several options name programs, or arguments of programs, that run as root on all hosts of both pools.',
  params: StrictObject({
    ...session,
    option,
    value: Type.String({
      minLength: 1,
      maxLength: 4096,
      pattern: '^[^\\u0000-\\u001f\\u007f]+$',
      description: 'As Gluster takes it',
    }),
  }),
  result: Done,
  errors: sessionErrors,
  access: 'admin',
  subject,
  example: { ...example, option: 'sync_jobs', value: '5' },
});

export const resetGeoReplicationConfig = defineVerb({
  ...glusterChange,
  name: 'gluster.resetGeoReplicationConfig',
  doc: 'Gives an option of a session its default again. That it has it already is no error.',
  params: StrictObject({ ...session, option }),
  result: Done,
  errors: sessionErrors,
  access: 'admin',
  subject,
  example: { ...example, option: 'sync_jobs' },
});

export const geoReplicationVerbs = [
  createGeoReplication,
  startGeoReplication,
  stopGeoReplication,
  pauseGeoReplication,
  resumeGeoReplication,
  deleteGeoReplication,
  listGeoReplications,
  getGeoReplicationStatus,
  getGeoReplicationConfig,
  setGeoReplicationConfig,
  resetGeoReplicationConfig,
] as const;
