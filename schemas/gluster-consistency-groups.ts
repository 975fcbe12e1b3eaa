/** Gluster: snapshots of several volumes that belong together. Gluster has no such groups: its snapshots say in their descriptions what they belong to. */
import Type from 'typebox';
import { OpenObject, StrictObject, Timestamp } from './common.ts';
import { GlusterUuid, glusterChange, glusterErrors, glusterQuery, VolumeName } from './gluster-common.ts';
import { SnapshotDescription, SnapshotName } from './gluster-snapshots.ts';
import { defineVerb } from './verb.ts';

const groupPattern = '^[A-Za-z0-9][A-Za-z0-9_-]*$';
const GroupName = Type.String({
  maxLength: 64,
  pattern: groupPattern,
  description: 'Name of a consistency group: letters, digits, - and _, beginning with a letter or digit',
});
const GroupSnapshotName = Type.String({
  maxLength: 64,
  pattern: groupPattern,
  description:
    'Name of the snapshot within its group: letters, digits, - and _, beginning with a letter or digit',
});

export const GroupSnapshotMember = OpenObject({
  volume: VolumeName,
  snapshot: { ...SnapshotName, description: "Gluster's own snapshot: `GROUP_SNAPSHOT_VOLUME`" },
  uuid: GlusterUuid,
  createdAt: Timestamp,
  status: Type.Enum(['active', 'inactive', 'unknown']),
});

export const GroupSnapshot = OpenObject(
  {
    group: GroupName,
    snapshot: GroupSnapshotName,
    id: Type.String({ description: 'Made anew with each: told apart from an earlier one of the same name' }),
    status: Type.Enum(['complete', 'incomplete', 'restoring'], {
      description:
        '`incomplete`: volumes are missing, because a host died while it was made or deleted, or a member was deleted or restored alone; delete it. `restoring`: some volumes are restored already; restore it again to go on',
    }),
    volumes: Type.Array(VolumeName, {
      description: 'All that belong to it, in the order in which they were taken',
    }),
    members: Type.Array(GroupSnapshotMember, { description: 'What there is, in the order of `volumes`' }),
    description: Type.Optional(Type.String()),
  },
  { description: 'Snapshots of several volumes, taken together' },
);
export type GroupSnapshot = Type.Static<typeof GroupSnapshot>;

const Session = OpenObject({
  volume: VolumeName,
  secondary: Type.String({ description: '`[USER@]HOST::VOLUME`' }),
});

const named = { group: GroupName, snapshot: GroupSnapshotName };
const ofGroup = ({ group, snapshot }: { group: string; snapshot: string }) =>
  ({ kind: 'snapshot', id: `${group}/${snapshot}` }) as const;

export const createConsistencyGroupSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.createConsistencyGroupSnapshot',
  doc: 'Makes snapshots of several volumes, all or none, one right after the other in the order given, with their geo-replication paused meanwhile. Where one fails, those before it are deleted again.',
  params: StrictObject({
    ...named,
    volumes: Type.Array(VolumeName, { minItems: 1, maxItems: 32, uniqueItems: true }),
    description: Type.Optional(SnapshotDescription),
  }),
  result: OpenObject({
    groupSnapshot: GroupSnapshot,
    startedAt: { ...Timestamp, description: 'Just before the first snapshot; RFC 3339, UTC, milliseconds' },
    endedAt: { ...Timestamp, description: 'Just after the last one' },
    paused: Type.Array(Session, { description: 'Sessions that were paused meanwhile' }),
    notResumed: Type.Array(Session, {
      description: 'Those of them that could not be resumed; it is tried again every minute',
    }),
  }),
  errors: [
    ...glusterErrors,
    'VolumeNotFound',
    'PeerDisconnected',
    'OperationRunning',
    'SnapshotExists',
    'SnapshotLimit',
    'SnapshotState',
    'NotThin',
    'GeoReplicationState',
  ],
  subject: ofGroup,
  example: { group: 'shop', snapshot: 'monday', volumes: ['shop-data', 'shop-log'] },
});

export const listConsistencyGroupSnapshots = defineVerb({
  ...glusterQuery,
  name: 'gluster.listConsistencyGroupSnapshots',
  doc: 'Lists the snapshots of consistency groups, of one or of all, as Gluster has them: any host tells the same.',
  params: StrictObject({ group: Type.Optional(GroupName) }),
  result: OpenObject({ groupSnapshots: Type.Array(GroupSnapshot) }),
  errors: glusterErrors,
  example: { group: 'shop' },
});

export const restoreConsistencyGroupSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.restoreConsistencyGroupSnapshot',
  doc: 'Sets all volumes of a group back to a complete snapshot; all have to be stopped. All that was written since is lost, and the snapshot is used up. Interrupted, it is gone on with by the same call, from any host.',
  params: StrictObject(named),
  result: OpenObject({ volumes: Type.Array(VolumeName, { description: 'Restored by this call' }) }),
  errors: [
    ...glusterErrors,
    'SnapshotNotFound',
    'SnapshotState',
    'PeerDisconnected',
    'OperationRunning',
    'GeoReplicationState',
  ],
  access: 'admin',
  subject: ofGroup,
  example: { group: 'shop', snapshot: 'monday' },
});

export const deleteConsistencyGroupSnapshot = defineVerb({
  ...glusterChange,
  name: 'gluster.deleteConsistencyGroupSnapshot',
  doc: 'Deletes the snapshots of a group that belong together, complete or not. Their content is lost. Where one cannot be deleted, those before it are gone: `data.deleted` names them.',
  params: StrictObject(named),
  result: OpenObject({ deleted: Type.Array(SnapshotName) }),
  errors: [...glusterErrors, 'SnapshotNotFound', 'PeerDisconnected'],
  access: 'admin',
  subject: ofGroup,
  example: { group: 'shop', snapshot: 'monday' },
});

export const consistencyGroupVerbs = [
  createConsistencyGroupSnapshot,
  listConsistencyGroupSnapshots,
  restoreConsistencyGroupSnapshot,
  deleteConsistencyGroupSnapshot,
] as const;
