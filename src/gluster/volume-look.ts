/** What only a client of a volume can tell: how large it is, and whether it has files. */
import { readdir, statfs } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type { volumeStatusVerbs } from '../../schemas/gluster-volume-status.ts';
import { ClientFailed, withVolumeMounted } from '../programs/glusterfs.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import { volumeStatus } from './volume-status.ts';

export interface Looks {
  /** Gluster's client: a name that is looked for in PATH, or a path. */
  readonly clientProgram: string;
  readonly timeoutS: number;
}

type LookVerbs = Pick<
  ImplementationsOf<typeof volumeStatusVerbs>,
  'gluster.getVolumeCapacity' | 'gluster.isVolumeEmpty'
>;

/** Gluster's own directory in a volume that has the trash feature. */
const ownEntries = new Set(['.trashcan']);

export function volumeLooks(commands: GlusterCommands, looks: Looks): LookVerbs {
  return {
    'gluster.getVolumeCapacity': async ({ volume }, task) => {
      await volumeStatus(commands, volume, 'bricks', task);
      const { bsize, blocks, bfree, bavail, files, ffree } = await look(looks, volume, task, (path) =>
        statfs(path),
      );
      return {
        volume,
        capacity: blocks * bsize,
        used: (blocks - bfree) * bsize,
        available: bavail * bsize,
        inodesTotal: files,
        inodesFree: ffree,
      };
    },
    'gluster.isVolumeEmpty': async ({ volume }, task) => {
      // Looked at before: a brick that goes down in between makes reading fail, or is seen by the second look.
      const before = await volumeStatus(commands, volume, 'bricks', task);
      const names = await look(looks, volume, task, (path) => readdir(path));
      const empty = names.every((name) => ownEntries.has(name));
      if (!empty) return { volume, empty };
      const after = await volumeStatus(commands, volume, 'bricks', task);
      const down = [...before.bricks, ...after.bricks].find(({ online }) => !online);
      if (down === undefined && after.bricks.length === before.bricks.length) return { volume, empty };
      const which = down === undefined ? 'A brick' : `Brick ${down.brick}`;
      const message = `${which} of volume ${volume} is down: no file is seen, but it may hold some. Start it (gluster.startVolume with force)`;
      throw new HostbusError('PeerDisconnected', message, clientData(volume));
    },
  };
}

async function look<T>(
  { clientProgram, timeoutS }: Looks,
  volume: string,
  { log }: CommandOptions,
  see: (path: string) => Promise<T>,
): Promise<T> {
  try {
    return await withVolumeMounted(volume, { program: clientProgram, log, timeoutMs: timeoutS * 1000 }, see);
  } catch (error) {
    if (!(error instanceof ClientFailed)) throw error;
    const name = {
      missing: 'GlusterUnavailable',
      timeout: 'GlusterTimeout',
      failed: 'GlusterError',
    } as const;
    throw new HostbusError(name[error.kind], error.message, clientData(volume, error), { cause: error });
  }
}

function clientData(volume: string, error?: ClientFailed): Record<string, unknown> {
  return {
    command: error?.command ?? ['gluster', 'volume', 'status', volume],
    opErrno: null,
    opErrstr: null,
    exitCode: error?.exitCode ?? null,
    stderr: error?.stderr.slice(-1000) ?? '',
  };
}
