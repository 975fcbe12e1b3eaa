/** The end of a lab, from what is on disk alone: for its owner, its guard, and `down` after both are dead. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive, signalProcess } from '../../rabbitmq/process-identity.ts';
import { until } from '../lib/until.ts';
import { removeBridge } from './bridge.ts';
import { isAbandoned, labDir, labNames, livingProcess, readLab } from './lab-state.ts';
import { detach, loopOf, loopsAbove } from './loop-devices.ts';

/**
 * Ends all processes of the lab and removes all that it has on this machine. May be repeated, and done twice at once; a lab that is
 * not there is no error. The directory goes last: until then the rest can be found again.
 */
export async function takeDown(name: string): Promise<void> {
  const dir = labDir(name);
  const keeper = livingProcess(join(dir, 'keeper'));
  if (keeper !== undefined) {
    signalProcess(keeper, 'SIGKILL');
    // PID 1 is gone only after the kernel has ended every process of its namespace.
    await until(`the keeper of lab ${name} is gone`, () => !isAlive(keeper));
  }
  await freePool(join(dir, 'pool.img'));
  const state = readLab(name);
  if (state !== undefined) await removeBridge(state);
  await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

/** Detaches what is on the pool, and waits until the kernel has let go of the pool itself. */
async function freePool(image: string): Promise<void> {
  await until(`the loop devices on ${image} are free`, async () => {
    const pool = await loopOf(image);
    if (pool === undefined) return true;
    for (const loop of await loopsAbove(pool.device)) await detach(loop);
    return (await loopOf(image)) === undefined;
  });
}

/** Takes down what dead owners have left, and returns the names of those labs. */
export async function takeDownAbandoned(): Promise<string[]> {
  const abandoned = labNames().filter((name) => {
    const state = readLab(name);
    return state !== undefined && isAbandoned(state);
  });
  for (const name of abandoned) await takeDown(name);
  return abandoned;
}
