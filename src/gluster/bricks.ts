/** The verbs of `schemas/gluster-bricks.ts` that Gluster does. */
import type { addBricks, brickVerbs, resetBrick } from '../../schemas/gluster-bricks.ts';
import type { ParamsOf } from '../../schemas/verb.ts';
import type { ImplementationsOf } from '../tasks/task-context.ts';
import { createBrick, listStorageDevices } from './brick-devices.ts';
import type { CommandOptions, GlusterCommands } from './command.ts';
import { countWords, forced, getVolume } from './volumes.ts';

export function brickImplementations(commands: GlusterCommands): ImplementationsOf<typeof brickVerbs> {
  const change = async (volume: string, args: readonly string[], task: CommandOptions) => {
    await commands.run(args, task, () => undefined);
    return getVolume(commands, volume, task);
  };
  return {
    'gluster.addBricks': (params, task) => change(params.volume, addWords(params), task),
    'gluster.replaceBrick': ({ volume, brick, newBrick }, task) =>
      change(volume, ['volume', 'replace-brick', volume, brick, newBrick, 'commit', 'force'], task),
    'gluster.resetBrick': (params, task) => change(params.volume, resetWords(params), task),
    'gluster.createBrick': (params, { log }) => createBrick(params, log),
    'gluster.listStorageDevices': async (_params, { log }) => ({ devices: await listStorageDevices(log) }),
  };
}

function addWords(params: ParamsOf<typeof addBricks>): string[] {
  const { volume, bricks, replica, arbiter = false, force } = params;
  const counts = [...countWords('replica', replica), ...(arbiter ? ['arbiter', '1'] : [])];
  return ['volume', 'add-brick', volume, ...counts, ...bricks, ...forced(force)];
}

function resetWords(params: ParamsOf<typeof resetBrick>): string[] {
  const { volume, brick, action, newBrick = brick, force } = params;
  const words = ['volume', 'reset-brick', volume, brick];
  return action === 'start' ? [...words, 'start'] : [...words, newBrick, 'commit', ...forced(force)];
}
