/**
 * What remembers consistency groups: each member is a Gluster snapshot whose description says
 * `hostbus-group {"group":…,"snapshot":…,"id":…,"volumes":[…]}`. So any host can read them, nothing can be lost but with the
 * snapshots, and one whose making was cut short shows by the volumes that it lacks.
 */
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import type { GroupSnapshot } from '../../schemas/gluster-consistency-groups.ts';
import { groupDescriptionPrefix, type Snapshot } from '../../schemas/gluster-snapshots.ts';

const Membership = Compile(
  Type.Object({
    group: Type.String(),
    snapshot: Type.String(),
    id: Type.String(),
    volumes: Type.Array(Type.String()),
    description: Type.Optional(Type.String()),
  }),
);

/** What each member says. */
export interface Membership {
  readonly group: string;
  readonly snapshot: string;
  readonly id: string;
  readonly volumes: readonly string[];
  readonly description?: string;
}

export interface Member extends Snapshot {
  readonly membership: Membership;
}

export function memberName({ group, snapshot }: { group: string; snapshot: string }, volume: string): string {
  return `${group}_${snapshot}_${volume}`;
}

export function describeMembership(membership: Membership): string {
  return groupDescriptionPrefix + JSON.stringify(membership);
}

/** The snapshots that are members of a group. A description that cannot be read makes no member. */
export function membersAmong(snapshots: readonly Snapshot[]): Member[] {
  return snapshots.flatMap((snapshot) => {
    const membership = readMembership(snapshot.description);
    return membership?.volumes.includes(snapshot.volume) === true ? [{ ...snapshot, membership }] : [];
  });
}

function readMembership(description = ''): Membership | undefined {
  if (!description.startsWith(groupDescriptionPrefix)) return undefined;
  try {
    const value: unknown = JSON.parse(description.slice(groupDescriptionPrefix.length));
    return Membership.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Puts together what belongs together, in the order in which Gluster tells it.
 *
 * @param restoreMark - the id of the group snapshot that a volume is about to be restored to; it goes with the restoring
 */
export function groupSnapshotsOf(
  members: readonly Member[],
  restoreMark: (volume: string) => string | undefined,
): GroupSnapshot[] {
  const byId = Map.groupBy(members, ({ membership }) => JSON.stringify(membership));
  return [...byId.values()].map((own) => groupSnapshotOf(own, restoreMark));
}

function groupSnapshotOf(
  own: readonly Member[],
  restoreMark: (volume: string) => string | undefined,
): GroupSnapshot {
  const membership = own[0]?.membership;
  if (membership === undefined) throw new TypeError('a group snapshot has members');
  const { group, snapshot, id, volumes, description } = membership;
  const members = volumes.flatMap((volume) => own.find((member) => member.volume === volume) ?? []);
  const complete = members.length === volumes.length;
  // All were marked while it was complete: what lacks has been restored.
  const restoring = members.every(({ volume }) => restoreMark(volume) === id);
  return {
    group,
    snapshot,
    id,
    status: complete ? 'complete' : restoring ? 'restoring' : 'incomplete',
    volumes: [...volumes],
    members: members.map((member) => ({
      volume: member.volume,
      snapshot: member.snapshot,
      uuid: member.uuid,
      createdAt: member.createdAt,
      status: member.status,
    })),
    ...(description === undefined ? {} : { description }),
  };
}
