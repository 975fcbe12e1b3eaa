import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Compile } from 'typebox/compile';
import { HostbusError } from '../../../schemas/errors.ts';
import { GeoReplicationStatus, setGeoReplicationConfig } from '../../../schemas/gluster-geo-replication.ts';
import { updateGeoReplicationKeys } from '../../../schemas/gluster-geo-replication-hosts.ts';
import { parseConfig, refuseWord } from '../../../src/gluster/geo-replication.ts';
import { parseSessions } from '../../../src/gluster/geo-replication-status.ts';
import { parseBrokerTable } from '../../../src/gluster/mount-broker.ts';
import { parseXml } from '../../../src/lib/xml.ts';
import { savedOutput, savedReply } from '../../lib/gluster-output.ts';

const sessionsOf = (name: string) => parseSessions(savedReply(name).body);
/** Gluster tells times in its host's time zone. */
const local = (time: string) => new Date(time).toISOString();

test('A session that runs, with a checkpoint that is reached', () => {
  const [session, ...others] = sessionsOf('georep-status');
  assert.deepEqual(others, []);
  assert.ok(Compile(GeoReplicationStatus).Check(session));
  const { bricks, ...summary } = session;
  assert.deepEqual(summary, {
    volume: 'm1',
    remoteHost: 'gp3',
    remoteVolume: 's1',
    remoteUser: 'root',
    remoteVolumeUuid: 'db8adace-14be-4ff0-9f35-0469001fdc3f',
    status: 'active',
  });
  assert.equal(bricks.length, 2);
  assert.deepEqual(bricks[0], {
    brick: 'gp1:/bricks/b1/b',
    hostUuid: '2ca6838d-0fea-47ee-955c-403f73f2b7ba',
    status: 'active',
    crawl: 'changelog',
    pendingEntries: 0,
    pendingData: 0,
    pendingMetadata: 0,
    failures: 0,
    syncedAt: local('2026-11-20T12:46:20'),
    checkpoint: {
      setAt: local('2026-11-20T12:43:18'),
      completed: true,
      completedAt: local('2026-11-20T12:44:49'),
    },
  });
});

test('Sessions that do not run, or cannot', () => {
  const statuses = ['created', 'faulty', 'all', 'checkpoint'].map((name) =>
    sessionsOf(`georep-status-${name}`).map(({ status }) => status),
  );
  assert.deepEqual(statuses, [['created'], ['faulty'], ['active'], ['active']]);
  const [faulty] = sessionsOf('georep-status-faulty');
  assert.deepEqual(Object.keys(faulty?.bricks[0] ?? {}), ['brick', 'hostUuid', 'status']);
  const [waiting] = sessionsOf('georep-status-checkpoint');
  assert.deepEqual(waiting?.bricks[0]?.checkpoint, {
    setAt: local('2026-11-20T13:14:37'),
    completed: false,
  });
});

test('The session is as bad as its worst brick; the words of older versions, and other users', () => {
  const text = savedOutput('georep-status.xml')
    .replaceAll('secondary', 'slave')
    .replaceAll('primary', 'master')
    .replace('<slave_user>root', '<slave_user>joe')
    .replace('ssh://gp3', 'ssh://joe@gp3')
    .replace('Active', 'Passive')
    .replace('Active', 'Initializing...')
    .replace('Changelog Crawl', 'Hybrid Crawl');
  const [session] = parseSessions(parseXml(text));
  assert.deepEqual(
    [session?.remoteUser, session?.remoteHost, session?.status, session?.bricks[0]?.crawl],
    ['joe', 'gp3', 'initializing', 'hybrid'],
  );
});

test('The configuration; a word that is no number never becomes an option that is one', () => {
  const options = parseConfig(savedReply('georep-config').body);
  assert.equal(options.get('change_interval'), '5');
  assert.equal(options.get('rsync_options'), '');
  for (const [option, value] of [
    ['change-interval', 'abc'],
    ['change_interval', '1.5'],
    ['sync_jobs', '-1'],
    ['checkpoint', 'tomorrow'],
  ] as const) {
    assert.throws(
      () => refuseWord(options, option, value),
      (error) => error instanceof HostbusError && error.name === 'InvalidParams',
      option,
    );
  }
  refuseWord(options, 'change-interval', '1');
  refuseWord(options, 'checkpoint', 'now');
  refuseWord(options, 'rsync-options', '--compress');
  refuseWord(options, 'nosuch', 'x');
  const accepts = Compile(setGeoReplicationConfig.params);
  const params = { volume: 'v', remoteHost: 'h', remoteVolume: 's', option: 'sync_jobs', value: '3' };
  assert.ok(accepts.Check(params));
  for (const wrong of [
    { option: '!sync_jobs' },
    { option: '--xml' },
    { value: 'a\nb' },
    { remoteHost: 'h::x' },
    { remoteHost: 'root@h' },
    { remoteUser: '-x' },
    { remoteUser: 'a b' },
  ]) {
    assert.ok(!accepts.Check({ ...params, ...wrong }), JSON.stringify(wrong));
  }
});

test('Only keys that are bound to the programs of geo-replication are taken', () => {
  const accepts = Compile(updateGeoReplicationKeys.params);
  const key = 'ssh-rsa AAAAB3NzaC1yc2E= root@h1';
  const gsyncd = 'command="/usr/lib/x86_64-linux-gnu/glusterfs/gsyncd"';
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell reads it.
  const tar = 'command="tar ${SSH_ORIGINAL_COMMAND#* }"';
  for (const right of [`${gsyncd} ${key}`, `${gsyncd}  ${key}`, `${tar} ${key}`]) {
    assert.ok(accepts.Check({ keys: [right] }), right);
  }
  for (const wrong of [
    key,
    `command="/bin/sh" ${key}`,
    `command="/tmp/gsyncd" ${key}`,
    `command="/usr/../tmp/gsyncd" ${key}`,
    `command="/usr/lib/gsyncd; sh" ${key}`,
    `${gsyncd} ${key}\n${key}`,
    `${gsyncd},command="sh" ${key}`,
  ]) {
    assert.ok(!accepts.Check({ keys: [wrong] }), wrong);
  }
});

test('The table of gluster-mountbroker', () => {
  const table = `+-----------+-------------+-------------------------------+
|    NODE   | NODE STATUS |                  SETUP STATUS |
+-----------+-------------+-------------------------------+
|     h2    |        DOWN |                   NOT OK: N/A |
| localhost |          UP | NOT OK: User Group not exists |
|     h3    |          UP |                            OK |
+-----------+-------------+-------------------------------+
`;
  assert.deepEqual(parseBrokerTable(table), [
    { host: 'h2', connected: false, ready: false },
    { host: 'localhost', connected: true, ready: false, message: 'User Group not exists' },
    { host: 'h3', connected: true, ready: true },
  ]);
  assert.equal(parseBrokerTable('Traceback'), undefined);
});
