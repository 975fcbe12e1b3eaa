/** The Gluster verbs, a list for each family. */
import { brickVerbs } from './gluster-bricks.ts';
import { consistencyGroupVerbs } from './gluster-consistency-groups.ts';
import { geoReplicationVerbs } from './gluster-geo-replication.ts';
import { geoReplicationHostVerbs } from './gluster-geo-replication-hosts.ts';
import { hookVerbs } from './gluster-hooks.ts';
import { operationVerbs } from './gluster-operations.ts';
import { peerVerbs } from './gluster-peers.ts';
import { serviceVerbs } from './gluster-services.ts';
import { snapshotVerbs } from './gluster-snapshots.ts';
import { volumeStatusVerbs } from './gluster-volume-status.ts';
import { volumeVerbs } from './gluster-volumes.ts';
import { webhookVerbs } from './gluster-webhooks.ts';
import type { Verb } from './verb.ts';

export const glusterVerbs = [
  ...peerVerbs,
  ...volumeVerbs,
  ...volumeStatusVerbs,
  ...brickVerbs,
  ...snapshotVerbs,
  ...consistencyGroupVerbs,
  ...operationVerbs,
  ...geoReplicationVerbs,
  ...geoReplicationHostVerbs,
  ...hookVerbs,
  ...serviceVerbs,
  ...webhookVerbs,
] as const satisfies readonly Verb[];
