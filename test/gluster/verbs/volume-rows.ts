/** Peers, volumes, bricks, and what moves data. h1 and h2 are a pool, h3 comes and goes. */
import { until } from '../../lib/until.ts';
import type { FaultLab } from './fault-lab.ts';
import { operationRows, prepareOperations } from './operation-rows.ts';
import { around, ask, at, byCommand, type Change, change, type Row } from './row.ts';
import {
  brick,
  emptyBrick,
  findVolume,
  pair,
  started,
  volumeIs,
  volumeIsAbsent,
  volumeLook,
} from './states.ts';

/** Always there, and started. */
const volume = 'v';
const option = 'cluster.lookup-optimize';

const peers = async (lab: FaultLab) => (await lab.call('listPeers', {})).peers.map(({ host }) => host).sort();
const h3Is = (wanted: boolean) => async (lab: FaultLab) => {
  if ((await peers(lab)).includes('h3') !== wanted) {
    await lab.gluster('peer', ...(wanted ? ['probe', 'h3'] : ['detach', 'h3']));
  }
  await until(`h3 is ${wanted ? 'in' : 'out'}`, async () => {
    const seen = (await lab.call('listPeers', {}, 'h3')).peers.filter(
      ({ connected, state }) => connected && state === 'inCluster',
    );
    const mine = (await lab.call('listPeers', {})).peers.find(({ host }) => host === 'h3');
    return wanted ? seen.length === 3 && mine?.state === 'inCluster' : seen.length === 1;
  });
};

const peerRows = [
  ask('listPeers', {}),
  ask('getLocalPeer', {}),
  change(
    'addPeer',
    { host: 'h3' },
    { prepare: h3Is(false), look: peers, moments: around('peer probe'), peer: 3 },
  ),
  change(
    'removePeer',
    { peer: 'h3' },
    { prepare: h3Is(true), look: peers, moments: around('peer detach'), peer: 3 },
  ),
];

/** A change of a volume of its own. */
const ofVolume = (name: string, words: string, prepare: Change['prepare'], more: Partial<Change> = {}) =>
  byCommand(words, volumeLook(name), prepare, more);
const made = { volume: 'made', bricks: pair('made') };
const absent = async (lab: FaultLab) => {
  await volumeIsAbsent(lab, made.volume);
  for (const each of made.bricks) await emptyBrick(lab, each);
};
const options = async (lab: FaultLab, ...words: string[]) => {
  await started(volume)(lab);
  await lab.gluster('volume', ...words);
};
const profiled = async (lab: FaultLab, wanted: boolean) => {
  await started(volume)(lab);
  const isOn = (await findVolume(lab, volume))?.options['diagnostics.latency-measurement'] === 'on';
  if (isOn !== wanted) await lab.gluster('volume', 'profile', volume, wanted ? 'start' : 'stop');
};
const mirrored = (lab: FaultLab) =>
  volumeIs(lab, 'mirror', { status: 'started', bricks: pair('mirror'), replica: 2 });

const volumeRows = [
  ask('listVolumes', {}),
  ask('getVolume', { volume }),
  ask('listVolumeOptions', { volume }),
  ask('getVolumeStatus', { volume }),
  ask('getVolumeHealInfo', { volume: 'mirror' }),
  ask('getVolumeProfile', { volume }),
  ask('getVolumeCapacity', { volume }),
  ask('isVolumeEmpty', { volume }),
  change('createVolume', made, ofVolume('made', 'volume create', absent)),
  change(
    'deleteVolume',
    { volume: 'made' },
    ofVolume('made', 'volume delete', (lab) => volumeIs(lab, 'made', { ...made, status: 'created' })),
  ),
  change(
    'startVolume',
    { volume: 'begun' },
    ofVolume('begun', 'volume start', (lab) =>
      volumeIs(lab, 'begun', { bricks: pair('begun'), status: 'stopped' }),
    ),
  ),
  change('stopVolume', { volume: 'begun' }, ofVolume('begun', 'volume stop', started('begun'))),
  change(
    'setVolumeOption',
    { volume, option, value: 'off' },
    ofVolume(volume, 'volume set', (lab) => options(lab, 'reset', volume, option), { sample: true }),
  ),
  change(
    'resetVolumeOption',
    { volume, option },
    ofVolume(volume, 'volume reset', (lab) => options(lab, 'set', volume, option, 'off')),
  ),
  change(
    'startVolumeHeal',
    { volume: 'mirror' },
    ofVolume('mirror', 'volume heal', mirrored, { traceless: true }),
  ),
  change(
    'startVolumeProfile',
    { volume },
    ofVolume(volume, 'volume profile', (lab) => profiled(lab, false)),
  ),
  change(
    'stopVolumeProfile',
    { volume },
    ofVolume(volume, 'volume profile', (lab) => profiled(lab, true)),
  ),
];

const disk = { device: '/dev/faults', mountPoint: '/bricks/fresh', force: true };
const emptyDisk = (lab: FaultLab) =>
  lab.sh(`
    image=/var/lib/hostbus-lab/disks/faults.img
    mountpoint -q ${disk.mountPoint} && umount ${disk.mountPoint}
    sed -i '\\# ${disk.mountPoint} #d' /etc/fstab
    [ -e $image ] || truncate --size 400M $image
    [ -e ${disk.device} ] || ln -s $(losetup --find --show $image) ${disk.device}
    wipefs --all --quiet ${disk.device}
    # So that there is something to be taken off.
    mkfs.ext4 -q ${disk.device} 1M`);
const diskLook = (lab: FaultLab) =>
  lab.sh(`grep -c ' ${disk.mountPoint} ' /etc/fstab || true; findmnt -no FSTYPE ${disk.mountPoint} || true`);
const shards = { volume: 'grown', bricks: [brick(1, 'grown2')] };
const replaced = { volume: 'mirror', brick: brick(2, 'mirror'), newBrick: brick(2, 'mirror2') };
const resetLook = async (lab: FaultLab) =>
  (await lab.call('getVolumeStatus', { volume: 'mirror' })).bricks.map(({ online }) => online);

const brickRows = [
  ask('listStorageDevices', {}, { asks: false }),
  change(
    'addBricks',
    shards,
    ofVolume('grown', 'volume add-brick', async (lab) => {
      await started('grown')(lab);
      await emptyBrick(lab, shards.bricks[0] ?? '');
    }),
  ),
  change(
    'replaceBrick',
    replaced,
    ofVolume('mirror', 'volume replace-brick', async (lab) => {
      await mirrored(lab);
      await emptyBrick(lab, replaced.newBrick);
    }),
  ),
  change(
    'resetBrick',
    { volume: 'mirror', brick: brick(2, 'mirror'), action: 'start' },
    {
      prepare: async (lab) => {
        await mirrored(lab);
        if ((await resetLook(lab)).every(Boolean)) return;
        await lab.gluster(
          'volume',
          'reset-brick',
          'mirror',
          brick(2, 'mirror'),
          brick(2, 'mirror'),
          'commit',
          'force',
        );
        await until('all bricks run', async () => (await resetLook(lab)).every(Boolean));
      },
      look: resetLook,
      moments: around('volume reset-brick'),
    },
  ),
  change(
    'createBrick',
    disk,
    {
      prepare: emptyDisk,
      prepareHost: emptyDisk,
      look: diskLook,
      moments: [...around('wipefs --all', 'mkfs.xfs', `mount ${disk.mountPoint}`), ...at('rename')],
      steps: true,
      sample: true,
    },
    { asks: false, missing: 'GlusterUnavailable' },
  ),
];

/** What the verbs that only look need. */
export async function prepareVolumes(lab: FaultLab): Promise<void> {
  await started(volume)(lab);
  await mirrored(lab);
  await prepareOperations(lab);
}

export const volumeFamilies: Readonly<Record<string, readonly Row[]>> = {
  peers: peerRows,
  volumes: volumeRows,
  bricks: brickRows,
  operations: operationRows,
};
