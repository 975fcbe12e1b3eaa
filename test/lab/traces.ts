/** All that a lab has on this machine, to see that nothing of it is left. Other labs may come and go meanwhile. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { identify, isAlive, type ProcessIdentity, withDescendants } from '../../rabbitmq/process-identity.ts';
import { bridgeOf, cableOf } from './bridge.ts';
import { diskOf, findInit, type LabState, labDir } from './lab-state.ts';
import { type LoopDevice, listLoops, loopOf, loopsAbove } from './loop-devices.ts';

/** Remembers what there is of the lab now; the result says what of it is still there, in words. */
export async function traceLab(state: LabState): Promise<() => Promise<string[]>> {
  const hosts = Array.from({ length: state.hosts }, (_, at) => at + 1);
  const processes = hosts.flatMap((host) => {
    const init = findInit(state.name, host);
    return init === undefined ? [] : withDescendants(init);
  });
  // What waits for them outside, the guard, their launchers: the lab's directory or name is in their words.
  processes.push(...processesNaming(state.name));
  const loops: LoopDevice[] = [];
  for (const host of hosts) {
    const disk = await loopOf(diskOf(state.name, host));
    if (disk !== undefined) loops.push(disk, ...(await loopsAbove(disk.device)));
  }
  const links = [bridgeOf(state), ...hosts.map((host) => cableOf(state, host))];
  return async () => {
    const loopsNow = await listLoops();
    return [
      ...processes.filter(isAlive).map(({ pid }) => `process ${pid}`),
      ...processesNaming(state.name).map(({ pid }) => `process ${pid} names it`),
      ...loops.filter((loop) => loopsNow.some((now) => isSame(loop, now))).map(({ path }) => path),
      ...links.filter((link) => existsSync(`/sys/class/net/${link}`)),
      ...mountsNaming(labDir(state.name)),
      ...readdirSync(tmpdir()).filter((entry) => entry.includes(state.name)),
    ];
  };
}

function isSame(one: LoopDevice, other: LoopDevice): boolean {
  return one.path === other.path && one.backDevice === other.backDevice && one.backInode === other.backInode;
}

function processesNaming(name: string): ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((entry) => ['cmdline', 'environ'].some((file) => readProc(entry, file).includes(name)))
    .map((entry) => identify(Number(entry)))
    .filter((identity) => identity !== undefined);
}

function mountsNaming(dir: string): string[] {
  return readProc('self', 'mountinfo')
    .split('\n')
    .filter((line) => line.includes(dir));
}

/** Empty when the process has gone. */
function readProc(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}
