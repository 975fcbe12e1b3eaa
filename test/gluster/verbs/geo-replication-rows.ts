/** Geo-replication between two volumes of one pool, and the mount broker. */
import { until } from '../../lib/until.ts';
import type { FaultLab } from './fault-lab.ts';
import { around, ask, type Change, change, type Row } from './row.ts';
import { brick, volumeIs } from './states.ts';

const session = { volume: 'data', remoteHost: 'h2', remoteVolume: 'copy' };
const words = ['volume', 'geo-replication', 'data', 'h2::copy'];
type State = 'absent' | 'created' | 'stopped' | 'running' | 'paused';

async function stateOf(lab: FaultLab): Promise<State> {
  const { sessions } = await lab.call('listGeoReplications', { volume: 'data' });
  const [found] = sessions;
  if (found === undefined) return 'absent';
  const { status } = found;
  return status === 'created' || status === 'stopped' || status === 'paused' ? status : 'running';
}

/** By the shortest way. */
const sessionIs = (wanted: State) => async (lab: FaultLab) => {
  const run = (...more: string[]) => lab.gluster(...words, ...more);
  const state = await stateOf(lab);
  if (state === wanted) return;
  if (wanted === 'absent' || wanted === 'created') {
    if (state === 'running' || state === 'paused') await run('stop', 'force');
    if (state !== 'absent') await run('delete');
    if (wanted === 'created') await run('create', 'push-pem');
  } else {
    if (state === 'absent') await run('create', 'push-pem');
    if (state === 'paused') await run('resume');
    else if (state !== 'running') await run('start');
    if (wanted === 'stopped') await run('stop', 'force');
    if (wanted === 'paused') await run('pause');
  }
  await until(`the session is ${wanted}`, async () => (await stateOf(lab)) === wanted);
};
const changes = (word: string, state: State): Change => ({
  prepare: sessionIs(state),
  look: stateOf,
  moments: around(`h2::copy ${word}`),
});

const option = 'sync_jobs';
const configured = (value: string, word: string): Change => ({
  prepare: async (lab) => {
    if ((await stateOf(lab)) === 'absent') await sessionIs('created')(lab);
    await lab.gluster(...words, 'config', option, value);
  },
  look: async (lab) => (await lab.call('getGeoReplicationConfig', session)).options[option],
  moments: around(word),
});

const sessionRows = [
  change('createGeoReplication', { ...session, pushKeys: true }, changes('create', 'absent')),
  change('startGeoReplication', session, changes('start', 'created')),
  change('pauseGeoReplication', session, changes('pause', 'running')),
  change('resumeGeoReplication', session, changes('resume', 'paused')),
  change('stopGeoReplication', session, changes('stop', 'running')),
  change('deleteGeoReplication', session, changes('delete', 'stopped')),
  change('setGeoReplicationConfig', { ...session, option, value: '5' }, configured('4', 'config sync_jobs')),
  change('resetGeoReplicationConfig', { ...session, option }, configured('5', 'config !sync_jobs')),
  ask('listGeoReplications', {}),
  ask('getGeoReplicationStatus', session),
  ask('getGeoReplicationConfig', session),
];

const keys = '/var/lib/glusterd/geo-replication';
const broker = { volume: 'copy', user: 'geouser', group: 'geogroup' };
const hostRows = [
  change(
    'getGeoReplicationKeys',
    {},
    {
      prepare: (lab) => lab.sh(`rm -f ${keys}/common_secret.pem.pub`),
      look: (lab) => lab.sh(`grep -c ssh- ${keys}/common_secret.pem.pub || true`),
      moments: around('gsec_create'),
    },
  ),
  change('setUpMountBroker', broker, {
    prepare: (lab) =>
      lab.sh(`if id geouser; then userdel --remove geouser; fi; if getent group geogroup; then groupdel geogroup; fi
        rm -rf /var/mountbroker-root; sed -i '/mountbroker/d' /etc/glusterfs/glusterd.vol`),
    look: (lab) =>
      lab.sh(`id -Gn geouser 2>/dev/null || getent group geogroup | cut -d: -f1
        grep mountbroker /etc/glusterfs/glusterd.vol | sort || true`),
    moments: around('groupadd', 'useradd', 'gluster-mountbroker setup', 'gluster-mountbroker add'),
    steps: true,
  }),
];

export async function prepareGeoReplication(lab: FaultLab): Promise<void> {
  for (const host of lab.lab.hosts) {
    // Gluster makes those that are missing, of a kind that takes seconds.
    await lab.sh(
      `mkdir -p ${keys}; for k in secret tar_ssh; do ssh-keygen -q -t ed25519 -N '' -f ${keys}/$k.pem; done`,
      host,
    );
  }
  await lab.h1.succeed(['gluster', 'system::', 'execute', 'gsec_create']);
  await volumeIs(lab, 'data', { status: 'started', bricks: [brick(1, 'data')] });
  await volumeIs(lab, 'copy', { status: 'started', bricks: [brick(2, 'copy')] });
}

/** Without sessions: these need no gsyncd. */
export const brokerFamilies = { 'the mount broker and keys': hostRows };

export const geoReplicationFamilies: Readonly<Record<string, readonly Row[]>> = {
  ...brokerFamilies,
  'geo-replication': sessionRows,
};
