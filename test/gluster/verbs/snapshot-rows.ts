/** Snapshots, alone and in groups. Each volume is one thin brick; t1 keeps a snapshot, t3 and t4 are restored. */
import type { FaultLab } from './fault-lab.ts';
import { around, ask, at, byCommand, type Change, change, type Row } from './row.ts';
import { snapshotIs, snapshots, thinBrick, volumeIs } from './states.ts';

const hostOf = { t1: 1, t2: 2, t3: 1, t4: 2 } as const;
type Thin = keyof typeof hostOf;
const kept = { snapshot: 'kept' };

const thin = (lab: FaultLab, name: Thin, status: 'started' | 'stopped') =>
  volumeIs(lab, name, { status, bricks: [thinBrick(hostOf[name], name)] });
const namesOf = (lab: FaultLab) =>
  snapshots(lab).then((all) => all.map(({ snapshot, status }) => `${snapshot} ${status}`).sort());
const ofSnapshots = (words: string, prepare: Change['prepare'], more: Partial<Change> = {}) =>
  byCommand(words, namesOf, prepare, more);

/** Restored volumes have other bricks. */
const restorable = async (lab: FaultLab, name: Thin, snapshot: string) => {
  if (!(await snapshots(lab)).some((each) => each.snapshot === snapshot)) {
    await startAnyway(lab, name);
    await lab.gluster('snapshot', 'create', snapshot, name, 'no-timestamp');
  }
  await stopAnyway(lab, name);
};
const statusOf = async (lab: FaultLab, name: string) =>
  (await lab.call('listVolumes', {})).volumes.find(({ volume }) => volume === name)?.status;
const startAnyway = async (lab: FaultLab, name: string) => {
  if ((await statusOf(lab, name)) !== 'started') await lab.gluster('volume', 'start', name);
};
const stopAnyway = async (lab: FaultLab, name: string) => {
  if ((await statusOf(lab, name)) === 'started') await lab.gluster('volume', 'stop', name);
};
const cloneLook = (lab: FaultLab) => statusOf(lab, 'cloned');

const configWords = ['snap-max-hard-limit', 'activate-on-create enable'];
const config = async (lab: FaultLab, ...words: string[]) => {
  const { activateOnCreate } = await lab.call('getSnapshotConfig', {});
  await lab.gluster('snapshot', 'config', 'snap-max-hard-limit', '256');
  if (activateOnCreate) await lab.gluster('snapshot', 'config', ...words);
};

const snapshotRows = [
  ask('listSnapshots', {}),
  ask('getSnapshot', kept),
  ask('getSnapshotConfig', {}),
  change(
    'createSnapshot',
    { volume: 't1', snapshot: 'made' },
    ofSnapshots('snapshot create', (lab) => snapshotIs(lab, 'made', 't1', 'absent')),
  ),
  change(
    'activateSnapshot',
    kept,
    ofSnapshots('snapshot activate', (lab) => snapshotIs(lab, 'kept', 't1', 'inactive')),
  ),
  change(
    'deactivateSnapshot',
    kept,
    ofSnapshots('snapshot deactivate', (lab) => snapshotIs(lab, 'kept', 't1', 'active')),
  ),
  change(
    'cloneSnapshot',
    { snapshot: 'kept', volume: 'cloned' },
    {
      prepare: async (lab) => {
        await snapshotIs(lab, 'kept', 't1', 'active');
        if ((await cloneLook(lab)) !== undefined) await lab.gluster('volume', 'delete', 'cloned');
      },
      look: cloneLook,
      moments: around('snapshot clone'),
    },
  ),
  change(
    'restoreSnapshot',
    { snapshot: 'back' },
    ofSnapshots('snapshot restore', (lab) => restorable(lab, 't3', 'back')),
  ),
  change(
    'deleteSnapshot',
    { snapshot: 'made' },
    ofSnapshots('snapshot delete', (lab) => snapshotIs(lab, 'made', 't1', 'inactive')),
  ),
  change(
    'deleteVolumeSnapshots',
    { volume: 't2' },
    ofSnapshots('snapshot delete volume', (lab) => snapshotIs(lab, 'other', 't2', 'inactive')),
  ),
  change(
    'setSnapshotConfig',
    { hardLimit: 64, activateOnCreate: true },
    {
      prepare: (lab) => config(lab, 'activate-on-create', 'disable'),
      look: async (lab) => {
        const { volumes: _, ...general } = await lab.call('getSnapshotConfig', {});
        return general;
      },
      moments: around(...configWords),
      steps: true,
    },
  ),
];

const scheduler = '/run/gluster/shared_storage/snaps/current_scheduler';
const schedule = (word: string): Change => ({
  // Without `force` all that is asked of Gluster's scheduler, which Debian does not ship, is that it is there.
  prepare: async (lab) => {
    await metaVolumeIs(lab, true);
    await lab.sh(`touch /usr/bin/snap_scheduler.py; chmod +x /usr/bin/snap_scheduler.py
      mkdir -p $(dirname ${scheduler}); echo ${word} >${scheduler}`);
  },
  look: (lab) => lab.sh(`cat ${scheduler}`),
  moments: at('fsync', 'rename'),
});
const scheduleRows = [
  change('overrideSnapshotSchedule', {}, schedule('none'), { asks: false }),
  change('resetSnapshotSchedule', {}, schedule('cli'), { asks: false }),
];

const metaPath = '/run/gluster/shared_storage';
const metaVolumeIs = async (lab: FaultLab, mounted: boolean) => {
  const meta = 'gluster_shared_storage';
  await volumeIs(lab, meta, { status: 'started', bricks: [1, 2].map((host) => `h${host}:/bricks/b/meta`) });
  const line = `localhost:/${meta} ${metaPath} glusterfs defaults,_netdev,nofail 0 0`;
  if (!mounted) return metaIsAway(lab);
  await lab.sh(`grep -q ' ${metaPath} ' /etc/fstab || echo '${line}' >>/etc/fstab
    mountpoint -q ${metaPath} || { mkdir -p ${metaPath}; mount ${metaPath}; }`);
};
const metaIsAway = async (lab: FaultLab) => {
  await lab.sh(`! mountpoint -q ${metaPath} || umount ${metaPath}; sed -i '\\# ${metaPath} #d' /etc/fstab`);
};
const metaRows = [
  change(
    'mountMetaVolume',
    {},
    {
      prepare: (lab) => metaVolumeIs(lab, false),
      prepareHost: metaIsAway,
      look: (lab) =>
        lab.sh(`grep -c ' ${metaPath} ' /etc/fstab || true; findmnt -no FSTYPE ${metaPath} || true`),
      moments: [...at('rename'), ...around(`mount ${metaPath}`)],
      steps: true,
    },
  ),
];

const shop = { group: 'shop', snapshot: 'monday' };
const groups = async (lab: FaultLab) =>
  (await lab.call('listConsistencyGroupSnapshots', {})).groupSnapshots.map(
    ({ group, status }) => `${group} ${status}`,
  );
const groupIs = async (lab: FaultLab, group: string, volumes: readonly Thin[], there: boolean) => {
  const status = (await groups(lab)).find((each) => each.startsWith(`${group} `));
  if (status === undefined ? !there : there && status.endsWith(' complete')) return;
  const named = { ...shop, group };
  if (status !== undefined) await lab.call('deleteConsistencyGroupSnapshot', named);
  for (const volume of volumes) await startAnyway(lab, volume);
  if (there) await lab.call('createConsistencyGroupSnapshot', { ...named, volumes: [...volumes] });
};
const ofGroups = (
  moments: Change['moments'],
  prepare: Change['prepare'],
  more: Partial<Change> = {},
): Change => ({
  prepare,
  look: groups,
  moments,
  steps: true,
  ...more,
});
const groupRows = [
  ask('listConsistencyGroupSnapshots', {}),
  change(
    'createConsistencyGroupSnapshot',
    { ...shop, volumes: ['t1', 't2'] },
    ofGroups(
      around('create shop_monday_t1', 'create shop_monday_t2'),
      (lab) => groupIs(lab, 'shop', ['t1', 't2'], false),
      { undo: (lab) => lab.call('deleteConsistencyGroupSnapshot', shop) },
    ),
  ),
  change(
    'deleteConsistencyGroupSnapshot',
    shop,
    ofGroups(around('delete shop_monday_t1', 'delete shop_monday_t2'), (lab) =>
      groupIs(lab, 'shop', ['t1', 't2'], true),
    ),
  ),
  change(
    'restoreConsistencyGroupSnapshot',
    { ...shop, group: 'depot' },
    ofGroups(around('restore depot_monday_t3', 'restore depot_monday_t4'), async (lab) => {
      await groupIs(lab, 'depot', ['t3', 't4'], true);
      for (const volume of ['t3', 't4']) await stopAnyway(lab, volume);
    }),
  ),
];

export async function prepareSnapshots(lab: FaultLab): Promise<void> {
  for (const [name, host] of Object.entries(hostOf)) {
    await lab.lab.host(host).makeBrick(name, { thin: true, sizeMiB: 320 });
    await thin(lab, name as Thin, 'started');
  }
  await snapshotIs(lab, 'kept', 't1', 'inactive');
}

export const snapshotFamilies: Readonly<Record<string, readonly Row[]>> = {
  snapshots: snapshotRows,
  'consistency groups': groupRows,
  'the shared storage volume': [...metaRows, ...scheduleRows],
};
