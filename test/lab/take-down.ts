/** The end of a host and of a lab, from what is on disk alone: for its owner, its guard, and `down` after both are dead. */
import { once } from 'node:events';
import { execa } from 'execa';
import { isAlive, type ProcessIdentity, signalProcess } from '../../rabbitmq/process-identity.ts';
import { until } from '../lib/until.ts';
import { disconnectHost, removeBridge } from './bridge.ts';
import { cleanEnvironment } from './command.ts';
import { diskOf, findInit, isAbandoned, type LabState, labNames, readLab, removeLab } from './lab-state.ts';
import { detach, loopOf, loopsAbove } from './loop-devices.ts';

/**
 * Ends all processes of the lab and removes all that it has on this machine. May be repeated, and done twice at once; a lab that is
 * not there is no error. Its directory goes last: until then the rest can be found again.
 */
export async function takeDown(name: string): Promise<void> {
  const state = readLab(name);
  if (state === undefined) return;
  const hosts = Array.from({ length: state.hosts }, (_, at) => at + 1);
  await Promise.all(hosts.map((host) => cutPower(state, host)));
  await removeBridge(state);
  await removeLab(state);
}

/** Takes down what dead owners have left. */
export async function takeDownAbandoned(): Promise<void> {
  for (const name of labNames()) {
    const state = readLab(name);
    if (state !== undefined && isAbandoned(state)) await takeDown(name);
  }
}

/** Kills the host and gives free what outlives its processes; its disk stays. It is no error when it is off. */
export async function cutPower(state: LabState, host: number): Promise<void> {
  const init = findInit(state.name, host);
  if (init !== undefined) {
    signalProcess(init, 'SIGKILL');
    // PID 1 is gone only after the kernel has ended every process of its namespace.
    await until(`host ${host} of lab ${state.name} is off`, () => !isAlive(init));
  }
  await disconnectHost(state, host);
  await freeDisk(diskOf(state.name, host));
}

/**
 * Kills a host, then has XFS forget what it has not written yet: on the host's disk, and so in all files and devices on
 * it. In this order, since a host without power answers nobody that its disk fails.
 */
export async function killAndLose(init: ProcessIdentity): Promise<void> {
  const forget = 'read -r go && exec xfs_io -x -c shutdown /var/lib/hostbus-lab/disks';
  // In the host's mount namespace, which holds the disk, but not in its PID namespace: it outlives the host.
  const keeper = execa(
    'nsenter',
    ['--target', `${init.pid}`, '--mount', '--', 'sh', '-c', `echo; ${forget}`],
    {
      env: cleanEnvironment,
      extendEnv: false,
    },
  );
  // It fails on its own when it does not get that far.
  await Promise.race([once(keeper.stdout, 'data'), keeper]);
  signalProcess(init, 'SIGKILL');
  await until(`process ${init.pid} is gone`, () => !isAlive(init));
  keeper.stdin.end('go\n');
  await keeper;
}

/** Detaches what is on the disk, and waits until the kernel has let go of the disk itself. */
async function freeDisk(image: string): Promise<void> {
  await until(`the loop devices on ${image} are free`, async () => {
    const disk = await loopOf(image);
    if (disk === undefined) return true;
    for (const loop of await loopsAbove(disk.device)) await detach(loop);
    return (await loopOf(image)) === undefined;
  });
}
