/** The Gluster verbs, a list for each family. */
import { brickVerbs } from './gluster-bricks.ts';
import { consistencyGroupVerbs } from './gluster-consistency-groups.ts';
import { operationVerbs } from './gluster-operations.ts';
import { peerVerbs } from './gluster-peers.ts';
import { snapshotVerbs } from './gluster-snapshots.ts';
import { volumeStatusVerbs } from './gluster-volume-status.ts';
import { volumeVerbs } from './gluster-volumes.ts';
import type { Verb } from './verb.ts';

export const glusterVerbs = [
  ...peerVerbs,
  ...volumeVerbs,
  ...volumeStatusVerbs,
  ...brickVerbs,
  ...snapshotVerbs,
  ...consistencyGroupVerbs,
  ...operationVerbs,
] as const satisfies readonly Verb[];
