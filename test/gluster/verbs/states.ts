/** Volumes and the like in the state that a verb needs, whatever it was before. */
import { until } from '../../lib/until.ts';
import { rebalanceProcesses } from '../moving-data.ts';
import type { FaultLab } from './fault-lab.ts';

export const brick = (host: number, name: string) => `h${host}:/bricks/b/${name}`;
/** On a thin logical volume, so that there can be snapshots. */
export const thinBrick = (host: number, name: string) => `h${host}:/bricks/${name}/brick`;

export const pair = (name: string) => [brick(1, name), brick(2, name)];

interface WantedVolume {
  readonly status: 'created' | 'started' | 'stopped';
  readonly bricks: readonly string[];
  readonly replica?: number;
}

export async function findVolume(lab: FaultLab, name: string) {
  return (await lab.call('listVolumes', {})).volumes.find(({ volume }) => volume === name);
}

/** What changes of a volume. */
export const volumeLook = (name: string) => async (lab: FaultLab) => {
  const found = await findVolume(lab, name);
  if (found === undefined) return 'absent';
  const { status, bricks, options } = found;
  return { status, bricks: bricks.map((each) => each.brick), options };
};

export async function volumeIs(lab: FaultLab, name: string, want: WantedVolume): Promise<void> {
  const found = await findVolume(lab, name);
  const same = found?.bricks.map((each) => each.brick).join() === want.bricks.join();
  if (!same || want.status === 'created') {
    if (found?.status === want.status && same) return;
    await volumeIsAbsent(lab, name);
    for (const each of want.bricks) await emptyBrick(lab, each);
    const replica = want.replica === undefined ? [] : ['replica', `${want.replica}`];
    await lab.gluster('volume', 'create', name, ...replica, ...want.bricks, 'force');
    if (want.status !== 'created') await lab.gluster('volume', 'start', name);
    if (want.status === 'stopped') await lab.gluster('volume', 'stop', name, 'force');
  } else if (want.status === 'started' && found.status !== 'started') {
    await lab.gluster('volume', 'start', name);
  } else if (want.status === 'stopped' && found.status === 'started') {
    await lab.gluster('volume', 'stop', name, 'force');
  }
}

export async function volumeIsAbsent(lab: FaultLab, name: string): Promise<void> {
  const found = await findVolume(lab, name);
  if (found?.status === 'started') await lab.gluster('volume', 'stop', name, 'force');
  if (found !== undefined) await lab.gluster('volume', 'delete', name);
}

/** A brick that was in a volume is not taken again as it is. */
export async function emptyBrick(lab: FaultLab, each: string): Promise<void> {
  const [host = '', path = ''] = each.split(':');
  await lab.sh(`rm -rf ${path}`, lab.lab.host(Number(host.slice(1))));
}

export async function operationLook(lab: FaultLab, volume: string): Promise<string[]> {
  const { operations } = await lab.call('getOperationStatuses', {});
  return operations.filter((each) => each.volume === volume).map(({ kind }) => kind);
}

/** No rebalance, and none that is still about to end. */
export async function operationIsAbsent(
  lab: FaultLab,
  volume: string,
  ...stop: readonly string[]
): Promise<void> {
  if ((await operationLook(lab, volume)).length > 0) await lab.gluster('volume', ...stop);
  await until(`nothing moves in ${volume}`, async () => {
    const running = await Promise.all(lab.lab.hosts.map((host) => rebalanceProcesses(host, volume)));
    return running.flat().length === 0;
  });
}

export const snapshots = async (lab: FaultLab) => (await lab.call('listSnapshots', {})).snapshots;

export async function snapshotIs(
  lab: FaultLab,
  name: string,
  volume: string,
  status: 'absent' | 'active' | 'inactive',
): Promise<void> {
  const found = (await snapshots(lab)).find(({ snapshot }) => snapshot === name);
  if (found === undefined && status !== 'absent')
    await lab.gluster('snapshot', 'create', name, volume, 'no-timestamp');
  if (found !== undefined && status === 'absent') await lab.gluster('snapshot', 'delete', name);
  if (status === 'active' && found?.status !== 'active') await lab.gluster('snapshot', 'activate', name);
  if (status === 'inactive' && found?.status === 'active') await lab.gluster('snapshot', 'deactivate', name);
}

/** A started volume of a brick on each of h1 and h2. */
export const started = (name: string) => (lab: FaultLab) =>
  volumeIs(lab, name, { status: 'started', bricks: pair(name) });
