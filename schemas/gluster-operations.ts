/** Gluster: what moves data between bricks and goes on for long. Gluster runs it and gives it an ID; every host of the pool can tell of it. */
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

export const operationKinds = ['rebalance', 'brickRemoval', 'fixLayout'] as const;
export const operationStatuses = ['running', 'completed', 'failed', 'stopped', 'paused', 'unknown'] as const;

const OperationId = Type.String({ ...GlusterUuid, description: "Gluster's own task ID" });
const Count = Type.Integer({ minimum: 0 });
const counters = {
  filesMoved: Count,
  bytesMoved: Bytes,
  filesScanned: Count,
  filesFailed: Count,
  filesSkipped: Count,
  runTime: Type.Number({ minimum: 0, description: 'Seconds' }),
};
const Stale = Type.Optional(
  Type.Literal(true, {
    description:
      'Gluster says "in progress", but nothing is: the process has gone, or its counters have stood still for long. `stop` clears it; so does a new start',
  }),
);

export const OperationNode = OpenObject({
  peerId: Type.Optional(GlusterUuid),
  host: Type.String({ description: 'As Gluster names it; `localhost` for the host that was asked' }),
  local: Type.Boolean({ description: 'It is the host that was asked' }),
  status: Type.Enum(['notStarted', ...operationStatuses], {
    description: '`unknown`: its glusterd cannot be reached, so that nothing is known of its part',
  }),
  ...counters,
  stale: Stale,
});
export type OperationNode = Type.Static<typeof OperationNode>;

export const Operation = OpenObject(
  {
    operationId: OperationId,
    kind: Type.Enum([...operationKinds]),
    volume: VolumeName,
    bricks: Type.Optional(Type.Array(Brick, { description: 'Those to be removed' })),
    status: Type.Enum([...operationStatuses], {
      description:
        '`unknown`: a host that takes part cannot be reached, and the others have ended. No Gluster so far says `paused`',
    }),
    ...counters,
    nodes: Type.Array(OperationNode),
    observedAt: Timestamp,
    stale: Stale,
  },
  { description: 'What Gluster does to a volume for long: a rebalance, or the removal of bricks' },
);
export type Operation = Type.Static<typeof Operation>;

const volumeOnly = StrictObject({ volume: VolumeName });
const bricks = Type.Array(Brick, { minItems: 1, maxItems: 1000, uniqueItems: true });
const replica = Type.Optional(
  Type.Integer({ minimum: 1, maximum: 100, description: "The volume's replica count afterwards" }),
);
const removal = StrictObject({ volume: VolumeName, bricks });
const newRemoval = StrictObject({ volume: VolumeName, bricks, replica });
const Started = OpenObject({ operationId: OperationId });
const subject = ({ volume }: { volume: string }) => ({ kind: 'volume', id: volume }) as const;
const volumeErrors = [...glusterErrors, 'VolumeNotFound'] as const;
const example = { volume: 'vol1' };
const removalExample = { volume: 'vol1', bricks: ['gluster3.example:/bricks/b1/brick'] };

export const startVolumeRebalance = defineVerb({
  ...glusterChange,
  name: 'gluster.startVolumeRebalance',
  doc: 'Starts spreading the files of a volume over its bricks, or, with `fixLayout`, only the directories. Answers once Gluster has registered it, within about 10 s; the work goes on in Gluster.',
  params: StrictObject({
    volume: VolumeName,
    fixLayout: Type.Optional(
      Type.Boolean({ default: false, description: 'New files may go to new bricks; none is moved' }),
    ),
    force: Force,
  }),
  result: Started,
  errors: [...volumeErrors, 'OperationRunning', 'NotDistributed', 'PeerDisconnected'],
  subject,
  example,
});

export const stopVolumeRebalance = defineVerb({
  ...glusterChange,
  name: 'gluster.stopVolumeRebalance',
  doc: 'Stops a rebalance; what has been moved stays moved. Gluster forgets it at once: the result is the last that is known. Also clears one that has ended, or is stale.',
  params: volumeOnly,
  result: Operation,
  errors: [...volumeErrors, 'NoOperation'],
  subject,
  example,
});

export const getVolumeRebalanceStatus = defineVerb({
  ...glusterQuery,
  name: 'gluster.getVolumeRebalanceStatus',
  doc: 'Tells how far the rebalance of a volume is, or how the last one ended.',
  params: volumeOnly,
  result: Operation,
  errors: [...volumeErrors, 'NoOperation'],
  example,
});

export const startBrickRemoval = defineVerb({
  ...glusterChange,
  name: 'gluster.startBrickRemoval',
  doc: 'Starts moving the files of bricks to the other bricks of the volume, so that they can be removed. Answers once Gluster has registered it, within about 10 s. When it is completed, commitBrickRemoval takes the bricks out.',
  params: newRemoval,
  result: Started,
  errors: [...volumeErrors, 'OperationRunning', 'PeerDisconnected'],
  subject,
  example: removalExample,
});

export const stopBrickRemoval = defineVerb({
  ...glusterChange,
  name: 'gluster.stopBrickRemoval',
  doc: 'Stops the removal of bricks: they stay in the volume, and what has been moved stays moved. Gluster forgets it at once: the result is the last that is known.',
  params: removal,
  result: Operation,
  errors: [...volumeErrors, 'NoOperation'],
  subject,
  example: removalExample,
});

export const commitBrickRemoval = defineVerb({
  ...glusterChange,
  name: 'gluster.commitBrickRemoval',
  doc: 'Takes bricks out of the volume whose files have been moved. Files that failed or were skipped (`filesFailed`, `filesSkipped`) stay on the removed bricks, out of the volume: look at the status first.',
  params: removal,
  result: Done,
  errors: [...volumeErrors, 'NoOperation', 'MigrationUnfinished', 'PeerDisconnected'],
  subject,
  example: removalExample,
});

export const forceBrickRemoval = defineVerb({
  ...glusterChange,
  name: 'gluster.forceBrickRemoval',
  doc: 'Takes bricks out of the volume at once, without moving their files: every file that has no copy on another brick is lost to the volume. The way to reduce the replica count.',
  params: newRemoval,
  result: Done,
  errors: [...volumeErrors, 'OperationRunning', 'PeerDisconnected'],
  access: 'admin',
  subject,
  example: removalExample,
});

export const getBrickRemovalStatus = defineVerb({
  ...glusterQuery,
  name: 'gluster.getBrickRemovalStatus',
  doc: 'Tells how far the removal of bricks is.',
  params: removal,
  result: Operation,
  errors: [...volumeErrors, 'NoOperation'],
  example: removalExample,
});

export const getOperationStatuses = defineVerb({
  ...glusterQuery,
  name: 'gluster.getOperationStatuses',
  doc: 'Tells of every operation that Gluster knows, whoever started it, from whichever host: those that run, and those that have ended and were neither stopped nor committed.',
  params: NoParams,
  result: OpenObject({ operations: Type.Array(Operation) }),
  errors: glusterErrors,
  example: {},
});

export const operationVerbs = [
  startVolumeRebalance,
  stopVolumeRebalance,
  getVolumeRebalanceStatus,
  startBrickRemoval,
  stopBrickRemoval,
  commitBrickRemoval,
  forceBrickRemoval,
  getBrickRemovalStatus,
  getOperationStatuses,
] as const;
