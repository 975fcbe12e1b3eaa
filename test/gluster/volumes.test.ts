/** Peers and volumes, through the broker, on real Gluster hosts. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { signalProcess } from '../../rabbitmq/process-identity.ts';
import type { VerbName, VerbTypes } from '../../schemas/verbs.ts';
import { labRefusal } from '../lab/lab.ts';
import { type GlusterHosts, refusedAs, startGlusterHosts } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';

let hosts: GlusterHosts;

describe('peers and volumes', { skip: labRefusal() ?? false }, () => {
  before(async () => {
    hosts = await startGlusterHosts(3);
    await Promise.all(hosts.lab.hosts.map((host) => host.makeBrick('b1')));
  });

  after(() => hosts?.[Symbol.asyncDispose]());

  type Gluster<V extends string> = Extract<VerbName, `gluster.${V}`>;
  const on = <V extends string>(host: string, verb: V, params: VerbTypes[Gluster<V>]['params']) =>
    hosts.client.host(host).call(`gluster.${verb}` as Gluster<V>, params) as Promise<
      VerbTypes[Gluster<V>]['result']
    >;
  const call = <V extends string>(verb: V, params: VerbTypes[Gluster<V>]['params']) => on('h1', verb, params);
  const bricksOn = (name: string, ...numbers: number[]) => numbers.map((n) => `h${n}:/bricks/b1/${name}`);
  const shell = (host: number, script: string) => hosts.lab.host(host).succeed(['sh', '-c', script]);

  async function startedVolume(
    volume: string,
    params: Omit<VerbTypes['gluster.createVolume']['params'], 'volume'>,
  ) {
    const made = await call('createVolume', { volume, ...params });
    await call('startVolume', { volume });
    return made;
  }

  test('The host tells that it has Gluster', async () => {
    const { features } = await hosts.client.host('h1').call('getHostInfo', {});
    assert.ok(features.includes('gluster'));
  });

  test('A pool is made, and told the same by every host', async () => {
    assert.deepEqual(
      (await call('listPeers', {})).peers.map(({ local, connected }) => [local, connected]),
      [[true, true]],
    );
    assert.deepEqual(await call('addPeer', { host: 'h2' }), { added: true });
    assert.deepEqual(await call('addPeer', { host: 'h2' }), { added: false });
    assert.deepEqual(await call('addPeer', { host: 'h1' }), { added: false });
    const { uuid } = await on('h2', 'getLocalPeer', {});
    assert.deepEqual(await call('removePeer', { peer: uuid }), {});
    await refusedAs('GlusterError', call('removePeer', { peer: uuid }));
    for (const host of ['h2', 'h3']) await call('addPeer', { host });
    await until('all see all', async () => {
      const all = await Promise.all(['h1', 'h2', 'h3'].map((host) => on(host, 'listPeers', {})));
      return all.every(
        ({ peers }) => peers.length === 3 && peers.every((p) => p.connected && p.state === 'inCluster'),
      );
    });
    const error = await refusedAs('PeerDisconnected', call('addPeer', { host: 'h9' }));
    assert.equal(error.data.opErrno, 107);
    assert.deepEqual((error.data.command as string[]).slice(-3), ['peer', 'probe', 'h9']);
  });

  test('Words that Gluster would take as options, or as two, never reach it', async () => {
    await refusedAs('InvalidParams', call('addPeer', { host: '--help' }));
    await refusedAs('InvalidParams', call('getVolume', { volume: '--version' }));
    await refusedAs('InvalidParams', call('stopVolume', { volume: 'all' }));
    await refusedAs(
      'InvalidParams',
      call('createVolume', { volume: 'v', bricks: ['h1:/bricks/b1/a force'] }),
    );
    await refusedAs('InvalidParams', call('setVolumeOption', { volume: 'v', option: 'a.b', value: '--xml' }));
  });

  test('A glusterd that is dead, and one that hangs, are told apart', async () => {
    const host = hosts.lab.host(3);
    const impatient = await host.startDaemon({
      hostId: 'impatient',
      env: { HOSTBUS_ACCESS_ANONYMOUS: 'admin', HOSTBUS_GLUSTER_TIMEOUT: '2' },
    });
    await host.killGlusterd();
    const dead = await refusedAs('GlusterUnavailable', on('h3', 'listPeers', {}));
    assert.match(String(dead.data.opErrstr), /Connection failed/);
    await host.startGlusterd();
    const [glusterd] = host.processes('glusterd');
    assert.ok(glusterd);
    signalProcess(glusterd, 'SIGSTOP');
    try {
      await refusedAs('GlusterTimeout', on('impatient', 'listPeers', {}));
    } finally {
      signalProcess(glusterd, 'SIGCONT');
    }
    await impatient.stop();
    await until('h3 is back', async () => {
      const { peers } = await call('listPeers', {});
      return peers.every(({ connected }) => connected);
    });
  });

  const kinds = [
    ['d', { bricks: bricksOn('d', 1, 2, 3) }, ['distribute', 3, 1, 0, 0]],
    ['r', { bricks: bricksOn('r', 1, 2, 3), replica: 3 }, ['replicate', 1, 3, 0, 0]],
    ['a', { bricks: bricksOn('a', 1, 2, 3), replica: 3, arbiter: true }, ['replicate', 1, 3, 1, 0]],
    ['e', { bricks: bricksOn('e', 1, 2, 3), disperse: 3, redundancy: 1 }, ['disperse', 1, 1, 0, 3]],
    [
      'dr',
      { bricks: [...bricksOn('dr1', 1, 2, 3), ...bricksOn('dr2', 1, 2, 3)], replica: 3 },
      ['distributedReplicate', 2, 3, 0, 0],
    ],
    [
      'de',
      { bricks: [...bricksOn('de1', 1, 2, 3), ...bricksOn('de2', 1, 2, 3)], disperse: 3, redundancy: 1 },
      ['distributedDisperse', 2, 1, 0, 3],
    ],
  ] as const;

  for (const [volume, layout, [type, distribute, replica, arbiter, disperse]] of kinds) {
    test(`A volume lives: ${type}${arbiter > 0 ? ' with arbiter' : ''}`, async () => {
      const params = { ...layout, bricks: [...layout.bricks] };
      const made = await startedVolume(volume, params);
      assert.equal(made.status, 'created');
      assert.equal(made.type, type);
      assert.deepEqual(
        [made.distributeCount, made.replicaCount, made.arbiterCount, made.disperseCount],
        [distribute, replica, arbiter, disperse],
      );
      assert.deepEqual(
        made.bricks.map(({ brick }) => brick),
        params.bricks,
      );
      const told = await on('h2', 'getVolume', { volume });
      assert.deepEqual({ ...made, status: 'started' }, told);
      const { bricks } = await call('getVolumeStatus', { volume });
      assert.ok(bricks.length === params.bricks.length && bricks.every(({ online }) => online));
      assert.deepEqual(await call('isVolumeEmpty', { volume }), { volume, empty: true });

      const df = async () => {
        const text = await shell(1, `df --block-size=1 --output=size,used,avail /mnt/${volume} | tail -1`);
        return text.trim().split(/\s+/).map(Number);
      };
      await shell(1, `mkdir -p /mnt/${volume} && mount -t glusterfs h1:/${volume} /mnt/${volume}`);
      await shell(1, `dd if=/dev/zero of=/mnt/${volume}/file bs=1M count=20 conv=fsync status=none`);
      assert.deepEqual(await call('isVolumeEmpty', { volume }), { volume, empty: false });
      const { capacity, used, available } = await call('getVolumeCapacity', { volume });
      const [size = 0, dfUsed = 0, dfAvailable = 0] = await df();
      assert.equal(capacity, size);
      // Bricks of other volumes on the same disks write a little all the time.
      assert.ok(Math.abs(used - dfUsed) < 4e6 && Math.abs(available - dfAvailable) < 4e6);
      await shell(1, `umount /mnt/${volume}`);

      await refusedAs('GlusterError', call('deleteVolume', { volume }));
      await call('stopVolume', { volume });
      assert.equal((await call('getVolume', { volume })).status, 'stopped');
      await call('deleteVolume', { volume });
      await refusedAs('VolumeNotFound', call('getVolume', { volume }));
    });
  }

  test('What Gluster refuses has a name, and its own words', async () => {
    await startedVolume('x', { bricks: bricksOn('x', 1) });
    await refusedAs('VolumeExists', call('createVolume', { volume: 'x', bricks: bricksOn('x2', 1) }));
    await refusedAs('PeerDisconnected', call('createVolume', { volume: 'y', bricks: ['h9:/bricks/b1/y'] }));
    const root = await refusedAs(
      'GlusterError',
      call('createVolume', { volume: 'y', bricks: ['h1:/opt/y'] }),
    );
    assert.match(String(root.data.opErrstr), /root partition/);
    const forced = await call('createVolume', { volume: 'y', bricks: ['h1:/opt/y'], force: true });
    assert.equal(forced.status, 'created');
    await refusedAs('GlusterError', call('getVolumeStatus', { volume: 'y' }));
    await refusedAs('GlusterError', call('getVolumeCapacity', { volume: 'y' }));
    const none = { volume: 'nosuch' };
    for (const verb of [
      'getVolume',
      'deleteVolume',
      'startVolume',
      'stopVolume',
      'getVolumeStatus',
      'listVolumeOptions',
      'getVolumeHealInfo',
      'startVolumeHeal',
      'startVolumeProfile',
      'stopVolumeProfile',
      'getVolumeProfile',
      'getVolumeCapacity',
      'isVolumeEmpty',
      'resetVolumeOption',
    ] as const) {
      await refusedAs('VolumeNotFound', call(verb, none));
    }
    const names = (await call('listVolumes', {})).volumes.map(({ volume }) => volume);
    assert.deepEqual(names.sort(), ['x', 'y']);
    await call('deleteVolume', { volume: 'y' });
  });

  test('Options are set, told, and put back', async () => {
    const optionOf = async (name: string) => {
      const { options } = await call('listVolumeOptions', { volume: 'x' });
      return options.find(({ option }) => option === name);
    };
    const option = 'performance.cache-size';
    const before = await optionOf(option);
    assert.equal(before?.isDefault, true);
    await call('setVolumeOption', { volume: 'x', option, value: '128MB' });
    assert.deepEqual(await optionOf(option), { option, value: '128MB', isDefault: false });
    assert.equal((await call('getVolume', { volume: 'x' })).options[option], '128MB');
    await call('resetVolumeOption', { volume: 'x', option });
    assert.deepEqual(await optionOf(option), before);
    const wrong = call('setVolumeOption', { volume: 'x', option: 'no.such', value: '1' });
    assert.match((await refusedAs('GlusterError', wrong)).message, /does not exist/);
    const { options } = await call('listVolumeOptions', {});
    assert.ok(options.length > 100 && options.some((known) => known.option === option && known.description));
  });

  test('Changes from two hosts at once wait for each other', async () => {
    const set = (host: string, n: number) =>
      on(host, 'setVolumeOption', { volume: 'x', option: `user.${host}-${n}`, value: String(n) });
    await Promise.all([1, 2, 3, 4].flatMap((n) => ['h1', 'h2', 'h3'].map((host) => set(host, n))));
    const { options } = await call('getVolume', { volume: 'x' });
    assert.equal(Object.keys(options).filter((name) => name.startsWith('user.')).length, 12);
  });

  test('Status tells disks, clients and memory of every brick', async () => {
    const volume = 'z';
    await startedVolume(volume, { bricks: bricksOn('z', 1, 2, 3), replica: 3 });
    const status = (detail: 'detail' | 'clients' | 'memory') => call('getVolumeStatus', { volume, detail });
    const { services } = await call('getVolumeStatus', { volume });
    assert.equal(services.filter(({ kind, online }) => kind === 'selfHealDaemon' && online).length, 3);
    const disks = (await status('detail')).bricks.map(({ disk }) => disk);
    assert.ok(
      disks.length === 3 && disks.every((disk) => disk?.fileSystem === 'xfs' && (disk.size ?? 0) > 9e8),
    );
    const { bricks } = await status('clients');
    assert.ok(bricks.length === 3 && bricks.every(({ clients = [] }) => clients.length > 0));
    const memory = (await status('memory')).bricks.map((brick) => brick.memory?.inUse ?? 0);
    assert.ok(memory.length === 3 && memory.every((inUse) => inUse > 1e5), String(memory));
  });

  test('A profile counts what clients do', async () => {
    const volume = 'z';
    await refusedAs('GlusterError', call('getVolumeProfile', { volume }));
    await call('startVolumeProfile', { volume });
    await shell(1, 'mkdir -p /mnt/z && mount -t glusterfs h1:/z /mnt/z');
    await shell(1, 'dd if=/dev/zero of=/mnt/z/f bs=64k count=16 conv=fsync status=none');
    const { bricks } = await call('getVolumeProfile', { volume });
    assert.equal(bricks.length, 3);
    for (const { cumulative } of bricks) {
      assert.ok(cumulative !== undefined && cumulative.bytesWritten >= 16 * 65_536);
      assert.ok(cumulative.operations.some(({ operation, count }) => operation === 'write' && count > 0));
    }
    await call('stopVolumeProfile', { volume });
  });

  test('A brick that is down: what is to be healed is told, and healed', async () => {
    const volume = 'z';
    const victim = hosts.lab
      .host(2)
      .processes('glusterfsd')
      .find(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('/bricks/b1/z'));
    assert.ok(victim);
    signalProcess(victim, 'SIGKILL');
    const brickOf = async (host: string) => {
      const { bricks } = await call('getVolumeStatus', { volume });
      return bricks.find(({ brick }) => brick.startsWith(`${host}:`));
    };
    await until('Gluster has noticed', async () => (await brickOf('h2'))?.online === false);
    await shell(1, 'echo more >>/mnt/z/f; touch /mnt/z/g; sync -f /mnt/z');
    const health = async () => {
      const { bricks } = await call('getVolumeHealInfo', { volume });
      return new Map(bricks.map((brick) => [brick.brick.split(':')[0], brick]));
    };
    const hurt = await until('something is to be healed', async () => {
      const seen = await health();
      return (seen.get('h1')?.pending ?? 0) > 0 && seen;
    });
    assert.deepEqual(hurt.get('h2'), { brick: 'h2:/bricks/b1/z', connected: false });
    // With files it is not empty, whatever is down; without, nobody can say.
    assert.equal((await call('isVolumeEmpty', { volume })).empty, false);
    await shell(1, 'rm /mnt/z/f /mnt/z/g');
    await refusedAs('PeerDisconnected', call('isVolumeEmpty', { volume }));
    await shell(1, 'touch /mnt/z/h');
    await call('startVolume', { volume, force: true });
    await until('the brick is back', async () => (await brickOf('h2'))?.online);
    await until('the self-heal daemons are at work again', () =>
      call('startVolumeHeal', { volume }).then(
        () => true,
        () => false,
      ),
    );
    await until(
      'all is healed',
      async () =>
        [...(await health()).values()].every(({ connected, entries }) => connected && entries === 0),
      60_000,
    );
    await call('startVolumeHeal', { volume, full: true });
    await refusedAs('GlusterError', call('startVolumeHeal', { volume: 'x' }));
  });

  test('Bricks are added, replaced and reset', async () => {
    const names = (volume: { bricks: { brick: string }[] }) => volume.bricks.map(({ brick }) => brick);
    const wider = await call('addBricks', { volume: 'x', bricks: bricksOn('x', 2) });
    assert.deepEqual([wider.distributeCount, names(wider)], [2, bricksOn('x', 1, 2)]);
    await refusedAs('GlusterError', call('addBricks', { volume: 'z', bricks: bricksOn('z9', 1) }));
    const replaced = await call('replaceBrick', {
      volume: 'z',
      brick: 'h3:/bricks/b1/z',
      newBrick: 'h3:/bricks/b1/z-new',
    });
    assert.ok(
      names(replaced).includes('h3:/bricks/b1/z-new') && !names(replaced).includes('h3:/bricks/b1/z'),
    );
    const brick = 'h3:/bricks/b1/z-new';
    await refusedAs('GlusterError', call('resetBrick', { volume: 'z', brick: 'h3:/no', action: 'start' }));
    await call('resetBrick', { volume: 'z', brick, action: 'start' });
    const isOnline = async () => {
      const { bricks } = await call('getVolumeStatus', { volume: 'z' });
      return bricks.find((each) => each.brick === brick)?.online;
    };
    await until('it is off line', async () => (await isOnline()) === false);
    await refusedAs('GlusterError', call('resetBrick', { volume: 'z', brick, action: 'commit' }));
    await call('resetBrick', { volume: 'z', brick, action: 'commit', force: true });
    await until('it is on line', isOnline);
    await startedVolume('w', { bricks: bricksOn('w', 1, 2), replica: 2 });
    const grown = await call('addBricks', {
      volume: 'w',
      bricks: bricksOn('w', 3),
      replica: 3,
      arbiter: true,
    });
    assert.deepEqual([grown.replicaCount, grown.arbiterCount], [3, 1]);
    assert.equal(grown.bricks.at(-1)?.arbiter, true);
  });

  test('A daemon that is killed while it looks into a volume leaves no mount and no client', async () => {
    const host = hosts.lab.host(2);
    // Seen from inside, since the daemon is no child of the host's first process.
    const clients = async () => {
      const all = await host.succeed(['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "']);
      return all.split('--volfile-id=z /mnt').length - 1;
    };
    // Nobody will answer it.
    on('h2', 'getVolumeCapacity', { volume: 'z' }).catch(() => {});
    await until('the client runs', async () => (await clients()) > 0);
    await hosts.daemons[1]?.kill();
    await until('the client is gone', async () => (await clients()) === 0);
    assert.doesNotMatch(await host.succeed(['cat', '/proc/mounts']), / \/mnt fuse/);
  });
});
