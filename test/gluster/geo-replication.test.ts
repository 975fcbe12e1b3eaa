/**
 * Geo-replication between two pools: h1 and h2 have the volume `data`, h3 has the copies. Real SSH, real rsync. The tests follow one session
 * through its life: each goes on where the one before has left it.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { isAlive, signalProcess } from '../../rabbitmq/process-identity.ts';
import type { GeoReplicationStatus } from '../../schemas/gluster-geo-replication.ts';
import { type LabHost, labRefusal } from '../lab/lab.ts';
import { type GlusterHosts, refusedAs, startGlusterHosts } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';

describe('geo-replication', { skip: labRefusal() ?? false }, () => {
  let hosts: GlusterHosts;
  let h1: LabHost;
  let h3: LabHost;
  const session = { volume: 'data', remoteHost: 'h3', remoteVolume: 'copy' };
  const patient = 60_000;

  before(async () => {
    hosts = await startGlusterHosts(3, {}, true);
    h1 = hosts.lab.host(1);
    h3 = hosts.lab.host(3);
    await Promise.all(hosts.lab.hosts.map(prepare));
    await h1.gluster('peer', 'probe', 'h2');
    await until('h1 sees h2', async () =>
      (await h1.gluster('peer', 'status')).includes('<stateStr>Peer in Cluster</stateStr>'),
    );
    const copies = ['copy', 'second'].map((name) => ['volume', 'create', name, `h3:/bricks/b/${name}`]);
    for (const copy of copies) await h3.gluster(...copy);
    await h1.gluster('volume', 'create', 'data', 'h1:/bricks/b/data', 'h2:/bricks/b/data');
    await Promise.all([
      startVolume(h1, 'data').then(() => h1.succeed(['mount', '-t', 'glusterfs', 'h1:/data', '/mnt'])),
      startVolume(h3, 'copy').then(() => startVolume(h3, 'second')),
    ]);
  });

  after(() => hosts[Symbol.asyncDispose]());

  async function prepare(host: LabHost): Promise<void> {
    // The remote volume must not be smaller.
    await host.makeBrick('b', { sizeMiB: host.name === 'h3' ? 4096 : 1024 });
  }

  async function startVolume(host: LabHost, volume: string): Promise<void> {
    await host.gluster('volume', 'start', volume);
  }

  const startSshd = (host: LabHost) => host.succeed(['/usr/sbin/sshd']);

  async function killSshd(host: LabHost): Promise<void> {
    const found = host.processes('sshd');
    for (const each of found) signalProcess(each, 'SIGKILL');
    await until('sshd is gone', () => !found.some(isAlive));
  }

  const at = (host: string) => hosts.client.host(host);
  const call = (verb: string, params: object = session, host = 'h1') =>
    at(host).call(
      `gluster.${verb}` as 'gluster.startGeoReplication',
      params as typeof session,
      // Geo-replication's programs are slow to start where many run.
      { timeout: 120_000 },
    ) as Promise<unknown>;
  const statusOf = async (which: object = session) =>
    (await call('getGeoReplicationStatus', which)) as GeoReplicationStatus;
  const sessions = async (params: object = {}) =>
    ((await call('listGeoReplications', params)) as { sessions: GeoReplicationStatus[] }).sessions;
  /**
   * What the workers of the session have written down, looked at from outside: each look through Gluster starts several Pythons, which would take
   * the time that the copying needs.
   */
  async function untilWorkers(what: string, pattern: RegExp, timeoutMs = patient): Promise<void> {
    const directories = [h1, hosts.lab.host(2)].map(
      (host) => `${rootOf(host)}/var/lib/glusterd/geo-replication/data_h3_copy`,
    );
    await until(
      `the workers are ${what}`,
      () => directories.every((directory) => pattern.test(workerStatus(directory))),
      timeoutMs,
    );
  }
  function workerStatus(directory: string): string {
    const file = readdirSync(directory).find((name) => name.startsWith('brick_') && name.endsWith('.status'));
    return file === undefined ? '' : readFileSync(`${directory}/${file}`, 'utf8');
  }
  const rootOf = (host: LabHost) => `/proc/${host.processes('glusterd')[0]?.pid}/root`;

  const write = (name: string, text: string) => h1.succeed(['tee', `/mnt/${name}`], { input: text });
  function arrived(name: string, text: string, volume = 'copy'): Promise<unknown> {
    const path = `${rootOf(h3)}/bricks/b/${volume}/${name}`;
    return until(
      `${name} has arrived`,
      () => existsSync(path) && readFileSync(path, 'utf8') === text,
      patient,
    );
  }

  test('Without a session every verb says so', async () => {
    assert.deepEqual(await sessions(), []);
    assert.deepEqual(await sessions({ volume: 'data' }), []);
    await refusedAs('VolumeNotFound', call('listGeoReplications', { volume: 'nosuch' }));
    const none = await refusedAs('GeoReplicationState', call('getGeoReplicationStatus'));
    assert.match(none.message, /data and h3::copy/);
    await refusedAs('GeoReplicationState', call('startGeoReplication'));
    await refusedAs('GeoReplicationState', call('getGeoReplicationConfig'));
    const unknown = { ...session, volume: 'nosuch' };
    await refusedAs('VolumeNotFound', call('createGeoReplication', unknown));
  });

  test('A session is created, with the keys given to the remote hosts, and configured', async () => {
    const create = () => call('createGeoReplication', { ...session, pushKeys: true });
    const { keys } = (await call('getGeoReplicationKeys', {})) as { keys: string[] };
    assert.equal(keys.length, 4);
    const login = '/root/.ssh/authorized_keys';
    await h3.succeed(['mv', login, `${login}.away`]);
    const noLogin = await refusedAs('GlusterError', create());
    assert.match(noLogin.message, /Passwordless ssh login/);
    await h3.succeed(['mv', `${login}.away`, login]);
    await create();
    await refusedAs('GeoReplicationState', create());
    const [created] = await sessions();
    assert.deepEqual(
      [created?.remoteHost, created?.remoteVolume, created?.remoteUser, created?.status],
      ['h3', 'copy', 'root', 'created'],
    );
    const options = async () =>
      ((await call('getGeoReplicationConfig')) as { options: Record<string, string> }).options;
    const set = (option: string, value: string) =>
      call('setGeoReplicationConfig', { ...session, option, value });
    await set('change-interval', '1');
    await set('rsync_options', '--compress');
    await refusedAs('InvalidParams', set('sync_jobs', 'many'));
    assert.deepEqual(
      await options().then(({ change_interval, rsync_options }) => [change_interval, rsync_options]),
      ['1', '--compress'],
    );
    await call('resetGeoReplicationConfig', { ...session, option: 'rsync_options' });
    assert.equal((await options()).rsync_options, '');
  });

  test('What is written here arrives there', async () => {
    await write('before', 'there before the start\n');
    await call('startGeoReplication');
    await arrived('before', 'there before the start\n');
    await write('live', 'written while it runs\n');
    await arrived('live', 'written while it runs\n');
    const { bricks } = await statusOf();
    assert.ok(bricks.some(({ status, crawl }) => status === 'active' && crawl !== undefined));
    assert.deepEqual(bricks.map(({ brick }) => brick).sort(), ['h1:/bricks/b/data', 'h2:/bricks/b/data']);
    await refusedAs('GeoReplicationState', call('startGeoReplication'));
    await refusedAs('GeoReplicationState', call('deleteGeoReplication'));
    await refusedAs('GeoReplicationState', call('resumeGeoReplication'));
  });

  test('A checkpoint is reached', async () => {
    const before = Math.floor(Date.now() / 1000) * 1000;
    await call('setGeoReplicationConfig', { ...session, option: 'checkpoint', value: 'now' });
    // Only a later change tells a brick that all before it has been done: more every few seconds, so many that each brick has one.
    const reachedWithin = (timeoutMs: number) =>
      untilWorkers('at the checkpoint', /"checkpoint_completed": "Yes"/, timeoutMs).then(
        () => true,
        () => false,
      );
    for (let round = 1; ; round += 1) {
      await h1.succeed([
        'sh',
        '-c',
        `touch /mnt/after-${round}-1 /mnt/after-${round}-2 /mnt/after-${round}-3 /mnt/after-${round}-4`,
      ]);
      if (await reachedWithin(4000)) break;
      assert.ok(round < 30, 'the checkpoint is not reached');
    }
    const { bricks: reached } = await statusOf();
    for (const { checkpoint } of reached) {
      assert.equal(checkpoint?.completed, true);
      assert.ok(Date.parse(checkpoint?.setAt ?? '') >= before, checkpoint?.setAt);
      assert.ok(Date.parse(checkpoint?.completedAt ?? '') >= before, checkpoint?.completedAt);
    }
  });

  test('Paused, nothing goes; resumed, all of it', async () => {
    await call('pauseGeoReplication');
    await refusedAs('GeoReplicationState', call('pauseGeoReplication'));
    assert.equal((await statusOf()).status, 'paused');
    await write('paused', 'written while paused\n');
    await call('resumeGeoReplication');
    await arrived('paused', 'written while paused\n');
  });

  test('Without SSH there it is faulty, and goes on by itself', async () => {
    await killSshd(h3);
    await untilWorkers('faulty', /"worker_status": "Faulty"/);
    assert.equal((await statusOf()).status, 'faulty');
    await write('faulty', 'written while faulty\n');
    await startSshd(h3);
    await arrived('faulty', 'written while faulty\n');
    await untilWorkers('active', /"worker_status": "Active"/);
    assert.equal((await statusOf()).status, 'active');
  });

  test('Stopped and deleted, both volumes keep their files', async () => {
    await call('stopGeoReplication');
    await refusedAs('GeoReplicationState', call('stopGeoReplication'));
    await refusedAs('GeoReplicationState', call('pauseGeoReplication'));
    assert.equal((await statusOf()).status, 'stopped');
    await call('deleteGeoReplication', { ...session, resetSyncTime: true });
    await refusedAs('GeoReplicationState', call('deleteGeoReplication'));
    assert.deepEqual(await sessions(), []);
    await h3.succeed(['test', '-s', '/bricks/b/copy/live']);
    await h1.succeed(['test', '-s', '/mnt/live']);
  });

  test('The mount broker lets a user receive a volume', async () => {
    const broker = { volume: 'second', user: 'geouser', group: 'geogroup' };
    const ready = { hosts: [{ host: 'localhost', connected: true, ready: true }] };
    assert.deepEqual(await call('setUpMountBroker', broker, 'h3'), ready);
    assert.deepEqual(await call('setUpMountBroker', broker, 'h3'), ready);
    assert.match(await h3.succeed(['id', 'geouser']), /gid=\d+\(geogroup\)/);
    const volfile = await h3.succeed(['cat', '/etc/glusterfs/glusterd.vol']);
    assert.equal(volfile.match(/mountbroker-geo-replication\.geouser second\n/g)?.length, 1);
    await refusedAs('GlusterError', call('setUpMountBroker', { ...broker, user: 'root' }, 'h3'));
    await refusedAs('InvalidParams', call('setUpMountBroker', { ...broker, group: '-x' }, 'h3'));
    await h3.killGlusterd();
    // It asks gsyncd a dozen questions first, which takes longer than others on a busy machine.
    await h3.startGlusterd().catch(() => h3.startGlusterd());

    await takeKeys();
    const second = { ...session, remoteVolume: 'second', remoteUser: 'geouser' };
    await call('createGeoReplication', second);
    await call('startGeoReplication', second);
    await arrived('before', 'there before the start\n', 'second');
    assert.equal(
      (await sessions()).find(({ remoteVolume }) => remoteVolume === 'second')?.remoteUser,
      'geouser',
    );
    await call('stopGeoReplication', second);
  });

  /** As for sessions of which Gluster may not give the keys to the remote hosts itself. */
  async function takeKeys(): Promise<void> {
    const { keys } = (await call('getGeoReplicationKeys', {})) as { keys: string[] };
    const update = (params: object) =>
      call('updateGeoReplicationKeys', params, 'h3') as Promise<{ added: number }>;
    await refusedAs('InvalidParams', update({ keys: ['ssh-rsa AAAA root@h1'] }));
    await refusedAs('GlusterError', update({ keys, user: 'nosuch' }));
    const ofUser = { keys, user: 'geouser' };
    await h3.succeed(['ln', '-s', '/root/.ssh', '/home/geouser/.ssh']);
    assert.match((await refusedAs('GlusterError', update(ofUser))).message, /symbolic link/);
    await h3.succeed(['rm', '/home/geouser/.ssh']);
    assert.deepEqual(await update(ofUser), { added: 4 });
    assert.deepEqual(await update(ofUser), { added: 0 });
    const file = '/home/geouser/.ssh/authorized_keys';
    assert.equal((await h3.succeed(['stat', '--format=%a %U %G', file])).trim(), '600 geouser geogroup');
    await h3.succeed(['tee', file], { input: 'ssh-rsa AAAA mine' });
    assert.deepEqual(await update(ofUser), { added: 4 });
    assert.equal(await h3.succeed(['cat', file]), ['ssh-rsa AAAA mine', ...keys, ''].join('\n'));
  }

  test('The shared storage is mounted, now and at each boot', async () => {
    const mount = () => call('mountMetaVolume', {});
    await refusedAs('VolumeNotFound', mount());
    await h1.gluster('volume', 'create', 'gluster_shared_storage', 'h1:/bricks/b/meta', 'h2:/bricks/b/meta');
    await startVolume(h1, 'gluster_shared_storage');
    const path = '/run/gluster/shared_storage';
    assert.deepEqual(await mount(), { path, mounted: true });
    assert.deepEqual(await mount(), { path, mounted: false });
    await h1.succeed(['touch', `${path}/x`]);
    // As after a crash between the table and the mount.
    await h1.succeed(['umount', path]);
    assert.deepEqual(await mount(), { path, mounted: true });
    const lines = (await h1.succeed(['cat', '/etc/fstab'])).split('\n').filter((line) => line.includes(path));
    assert.deepEqual(lines, [
      `localhost:/gluster_shared_storage ${path} glusterfs defaults,_netdev,nofail 0 0`,
    ]);
  });
});
