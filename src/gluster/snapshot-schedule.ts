/**
 * Who makes snapshots by schedule: a word in a file on the shared storage volume, which Gluster's own scheduler reads before it
 * lets itself be turned on: `none`, `cli` for itself, anything else for somebody else.
 */
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HostbusError } from '../../schemas/errors.ts';
import type { overrideSnapshotSchedule, resetSnapshotSchedule } from '../../schemas/gluster-snapshots.ts';
import { errnoCode, removeFile, replaceFile, temporaryPath } from '../lib/atomic-file.ts';
import { ProgramFailed } from '../programs/run.ts';
import { schedulerInstalled, turnSchedulerOff } from '../programs/snap-scheduler.ts';
import type { ImplementationsOf, TaskContext } from '../tasks/task-context.ts';

const sharedStorage = '/run/gluster/shared_storage';
const directory = `${sharedStorage}/snaps`;
const schedulerFile = `${directory}/current_scheduler`;
const tagOf = (hostId: string) => `hostbus-${hostId}`;

type Verbs = readonly [typeof overrideSnapshotSchedule, typeof resetSnapshotSchedule];

/** @param hostId - all hosts write into the same directory */
export function scheduleImplementations(hostId: string): ImplementationsOf<Verbs> {
  return {
    'gluster.overrideSnapshotSchedule': async ({ force = false }, task) => {
      await setScheduler('hostbus', hostId);
      if (force) await schedulerOff(task);
      return {};
    },
    'gluster.resetSnapshotSchedule': async () => {
      await setScheduler('none', hostId);
      return {};
    },
  };
}

/** The word is replaced in one step: the scheduler finds the old or the new one. */
async function setScheduler(word: string, hostId: string): Promise<void> {
  if (!schedulerInstalled()) {
    throw failed(
      "Gluster's scheduler of snapshots, snap_scheduler.py, is not installed on this host: there is no schedule to override or reset",
    );
  }
  try {
    if (!(await isMountPoint(sharedStorage)))
      throw failed(`Nothing is mounted at ${sharedStorage}: mount the volume gluster_shared_storage there`);
    await replaceFile(schedulerFile, `${word}\n`, tagOf(hostId));
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
    throw failed(
      `There is no ${directory}: mount the shared storage volume, and run \`snap_scheduler.py init\` once`,
    );
  }
}

/** What a daemon of this host that died while it wrote has left. */
export async function tidySchedule(hostId: string): Promise<void> {
  if (schedulerInstalled()) await removeFile(temporaryPath(schedulerFile, tagOf(hostId)));
}

async function isMountPoint(path: string): Promise<boolean> {
  const [inside, outside] = await Promise.all([stat(path), stat(dirname(path))]);
  return inside.dev !== outside.dev;
}

async function schedulerOff({ log }: TaskContext): Promise<void> {
  try {
    await turnSchedulerOff(log);
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    throw failed(`The scheduler is told to stay off, but could not be turned off: ${error.message}`, error);
  }
}

function failed(message: string, cause?: ProgramFailed): HostbusError {
  const data = {
    command: ['snap_scheduler.py', 'disable_force'],
    opErrno: null,
    opErrstr: null,
    exitCode: cause?.exitCode ?? null,
    stderr: cause?.stderr ?? '',
  };
  return new HostbusError('GlusterError', message, data, cause === undefined ? {} : { cause });
}
