/** The verbs of `schemas/gluster-consistency-groups.ts`. */
import { nanoid } from 'nanoid';
import { type ErrorName, HostbusError } from '../../schemas/errors.ts';
import type { consistencyGroupVerbs, GroupSnapshot } from '../../schemas/gluster-consistency-groups.ts';
import { maxDescriptionBytes } from '../../schemas/gluster-snapshots.ts';
import type { ImplementationsOf, TaskContext } from '../tasks/task-context.ts';
import { type CommandOptions, type GlusterCommands, refused, understand } from './command.ts';
import {
  describeMembership,
  groupSnapshotsOf,
  type Membership,
  memberName,
  membersAmong,
} from './group-members.ts';
import type { Held, HeldSessions } from './held-sessions.ts';
import { refusal } from './refusals.ts';
import {
  createSnapshot,
  deleteSnapshot,
  invalidParams,
  parseSnapshots,
  restoreSnapshot,
} from './snapshots.ts';
import { type MarkedVolume, readMarks, setMark } from './volume-marks.ts';

const restoreMark = 'restore';

interface Parts {
  readonly commands: GlusterCommands;
  readonly held: HeldSessions;
}

export function consistencyGroupImplementations(
  parts: Parts,
): ImplementationsOf<typeof consistencyGroupVerbs> {
  return {
    'gluster.createConsistencyGroupSnapshot': (params, task) => create(parts, params, task),
    'gluster.listConsistencyGroupSnapshots': async ({ group }, task) => {
      const { groupSnapshots } = await readGroups(parts, task);
      return { groupSnapshots: groupSnapshots.filter((each) => group === undefined || each.group === group) };
    },
    'gluster.restoreConsistencyGroupSnapshot': (params, task) => restore(parts, params, task),
    'gluster.deleteConsistencyGroupSnapshot': (params, task) => remove(parts, params, task),
  };
}

interface Named {
  readonly group: string;
  readonly snapshot: string;
}

interface Groups {
  readonly groupSnapshots: readonly GroupSnapshot[];
  readonly volumes: ReadonlyMap<string, MarkedVolume>;
  /** An error that has what Gluster told, beside our own words. */
  refuse(name: ErrorName, message: string): HostbusError;
}

async function readGroups({ commands }: Parts, options: CommandOptions): Promise<Groups> {
  const reply = await commands.reply(['snapshot', 'info'], options);
  if (reply.opRet !== 0) throw refusal(reply);
  const members = membersAmong(understand(reply, parseSnapshots));
  const volumes = await readMarks(commands, options);
  return {
    groupSnapshots: groupSnapshotsOf(members, (volume) => volumes.get(volume)?.marks.get(restoreMark)),
    volumes,
    refuse: (name, message) => refused(reply, message, name),
  };
}

/** Those of one name: one, but where two hosts made one each at the same time, of other volumes. */
function ofName({ groupSnapshots }: Groups, { group, snapshot }: Named): GroupSnapshot[] {
  return groupSnapshots.filter((each) => each.group === group && each.snapshot === snapshot);
}

interface ToMake extends Named {
  readonly volumes: readonly string[];
  readonly description?: string;
}

async function create(parts: Parts, params: ToMake, task: TaskContext) {
  const membership: Membership = { ...params, id: nanoid() };
  checkLengths(membership);
  await parts.held.finishAbandoned(task);
  const groups = await readGroups(parts, task);
  const missing = params.volumes.find((volume) => !groups.volumes.has(volume));
  if (missing !== undefined) throw groups.refuse('VolumeNotFound', `There is no volume ${missing}`);
  const [existing] = ofName(groups, params);
  if (existing !== undefined) {
    const way = existing.status === 'complete' ? 'choose another name' : 'delete it first';
    throw groups.refuse(
      'SnapshotExists',
      `Group ${params.group} has a snapshot ${params.snapshot}, ${existing.status}: ${way}`,
    );
  }
  task.phase('pausing');
  const held = await parts.held.pause(params.volumes, task);
  try {
    task.phase('taking');
    const taken = await take(parts, membership, held, task);
    task.phase('resuming');
    return { ...taken, paused: [...held.sessions], notResumed: await parts.held.resume(held, task) };
  } catch (error) {
    task.phase('resuming');
    await parts.held.resume(held, task);
    task.phase('deleting');
    throw await undone(parts, membership, error, task);
  }
}

/** The members' names and descriptions have to fit into what Gluster keeps of them. */
function checkLengths(membership: Membership): void {
  const long = membership.volumes.find((volume) => memberName(membership, volume).length > 255);
  if (long !== undefined) {
    throw invalidParams('/volumes', `${memberName(membership, long)} is too long for the name of a snapshot`);
  }
  if (Buffer.byteLength(describeMembership(membership)) > maxDescriptionBytes) {
    throw invalidParams(
      '/volumes',
      'and the description together are too long for the description of a snapshot',
    );
  }
}

async function take(parts: Parts, membership: Membership, held: Held, task: TaskContext) {
  const { volumes } = membership;
  const description = describeMembership(membership);
  const startedAt = new Date().toISOString();
  for (const [at, volume] of volumes.entries()) {
    if (held.sessions.length > 0 && Date.now() > held.untilMs) throw tookTooLong(volume);
    try {
      const snapshot = memberName(membership, volume);
      await createSnapshot(parts.commands, { volume, snapshot, description }, task);
    } catch (error) {
      throw error instanceof HostbusError ? withData(error, { volume }) : error;
    }
    task.progress(at + 1, volumes.length, 'snapshots');
  }
  const endedAt = new Date().toISOString();
  const groups = await readGroups(parts, task);
  const groupSnapshot = groups.groupSnapshots.find(({ id }) => id === membership.id);
  if (groupSnapshot?.status === 'complete') return { groupSnapshot, startedAt, endedAt };
  throw groups.refuse('SnapshotState', 'Snapshots were deleted while others of the group were being made');
}

function tookTooLong(volume: string): HostbusError {
  const message = `There was no snapshot of ${volume} yet when geo-replication had been paused for as long as it may be`;
  return new HostbusError('GlusterTimeout', message, {
    command: null,
    opErrno: null,
    opErrstr: null,
    exitCode: null,
    stderr: null,
  });
}

/** Deletes what was made of a group snapshot that failed; returns the failure, which then tells what became of the rest. */
async function undone(
  parts: Parts,
  membership: Membership,
  failure: unknown,
  task: TaskContext,
): Promise<unknown> {
  if (!(failure instanceof HostbusError)) return failure;
  const deleted: string[] = [];
  const left: string[] = [];
  try {
    const { groupSnapshots } = await readGroups(parts, task);
    const made = groupSnapshots.find(({ id }) => id === membership.id)?.members ?? [];
    // Gluster goes on with what was not answered in time: it may be there only later.
    const unanswered = failure.name === 'GlusterTimeout' ? failure.data.volume : undefined;
    if (typeof unanswered === 'string' && !made.some(({ volume }) => volume === unanswered)) {
      left.push(memberName(membership, unanswered));
    }
    for (const { snapshot } of made) {
      const gone = await wasDeleted(parts, snapshot, task);
      (gone ? deleted : left).push(snapshot);
    }
  } catch (error) {
    task.log.warn({ err: error }, 'could not look for what was made of a group snapshot that failed');
    left.push(...membership.volumes.map((volume) => memberName(membership, volume)));
  }
  const end =
    left.length === 0
      ? `No snapshot of the group is left: ${deleted.length} made before ${deleted.length === 1 ? 'was' : 'were'} deleted again`
      : `Snapshots may be left (${left.join(', ')}): gluster.deleteConsistencyGroupSnapshot deletes them`;
  return withData(failure, { deleted, left }, end);
}

/** @param words - said after the message */
function withData(error: HostbusError, data: Record<string, unknown>, words?: string): HostbusError {
  const message = words === undefined ? error.message : `${error.message}. ${words}`;
  return new HostbusError(error.name, message, { ...error.data, ...data }, { cause: error });
}

async function wasDeleted({ commands }: Parts, snapshot: string, task: TaskContext): Promise<boolean> {
  try {
    await deleteSnapshot(commands, snapshot, task);
    return true;
  } catch (error) {
    if (error instanceof HostbusError && error.name === 'SnapshotNotFound') return true;
    task.log.warn({ err: error, snapshot }, 'could not delete a snapshot of a group that failed');
    return false;
  }
}

async function restore(parts: Parts, named: Named, task: TaskContext): Promise<{ volumes: string[] }> {
  const { commands, held } = parts;
  await held.finishAbandoned(task);
  const groups = await readGroups(parts, task);
  const { id, members } = restorable(groups, named);
  // Marks on all before the first is restored: by them an interrupted restoring is told from a group that never was complete.
  for (const { volume } of members) {
    if (groups.volumes.get(volume)?.marks.get(restoreMark) === id) continue;
    await setMark(commands, volume, restoreMark, id, task);
  }
  const volumes: string[] = [];
  for (const { volume, snapshot } of members) {
    try {
      await restoreSnapshot(commands, snapshot, task);
    } catch (error) {
      if (!(error instanceof HostbusError)) throw error;
      const words = `${volumes.length} of ${members.length} volumes were restored: call again to go on`;
      throw withData(error, { volume, restored: volumes }, words);
    }
    volumes.push(volume);
    task.progress(volumes.length, members.length, 'volumes');
  }
  // They have the marks of then, which hold nothing now.
  await held.finishAbandoned(task);
  return { volumes };
}

/** @throws {HostbusError} it cannot be restored as it is */
function restorable(groups: Groups, named: Named): GroupSnapshot {
  const { group, snapshot } = named;
  const [found, ...others] = ofName(groups, named);
  if (found === undefined) throw notFound(groups, named);
  const what = `Snapshot ${snapshot} of group ${group}`;
  if (found.status === 'incomplete' || others.length > 0) {
    const there = new Set(found.members.map(({ volume }) => volume));
    const lacking = found.volumes.filter((volume) => !there.has(volume));
    const how = others.length > 0 ? 'is there twice' : `is incomplete, lacking ${lacking.join(', ')}`;
    throw groups.refuse(
      'SnapshotState',
      `${what} ${how}: delete it, or restore its members alone with gluster.restoreSnapshot`,
    );
  }
  const started = found.members.filter(({ volume }) => groups.volumes.get(volume)?.started === true);
  if (started.length > 0) {
    const names = started.map(({ volume }) => volume).join(', ');
    throw groups.refuse('SnapshotState', `Nothing was restored: stop these volumes first: ${names}`);
  }
  return found;
}

async function remove(parts: Parts, named: Named, task: TaskContext): Promise<{ deleted: string[] }> {
  await parts.held.finishAbandoned(task);
  const groups = await readGroups(parts, task);
  const found = ofName(groups, named);
  if (found.length === 0) throw notFound(groups, named);
  const deleted: string[] = [];
  for (const { snapshot } of found.flatMap(({ members }) => members)) {
    try {
      await deleteSnapshot(parts.commands, snapshot, task);
    } catch (error) {
      if (!(error instanceof HostbusError)) throw error;
      throw withData(error, { deleted }, 'Call again to go on');
    }
    deleted.push(snapshot);
  }
  return { deleted };
}

function notFound(groups: Groups, { group, snapshot }: Named): HostbusError {
  const message = `Group ${group} has no snapshot ${snapshot}; gluster.listConsistencyGroupSnapshots tells what there is`;
  return groups.refuse('SnapshotNotFound', message);
}
