/** Consistency groups on real glusterd: all or none, geo-replication paused and resumed whatever happens, a daemon killed at each point. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ErrorName } from '../../schemas/errors.ts';
import { type Client, connect, type Host, HostbusError } from '../../src/client/client.ts';
import { cleanEnvironment } from '../lab/command.ts';
import { formPool, type Lab, type LabHost, labRefusal, startLab } from '../lab/lab.ts';
import type { LabDaemon } from '../lab/lab-daemon.ts';
import { until } from '../lib/until.ts';
import { sessionStates, startSession } from './local-session.ts';

const bricksIdOf = (firstBrick: string) => createHash('sha256').update(firstBrick).digest('hex').slice(0, 16);
const wrapper = fileURLToPath(new URL('stopping-program.sh', import.meta.url));
const stoppingPath = `/root/bin:${cleanEnvironment.PATH}`;
const secondary = 'h2::copy';
/** Geo-replication's programs are slow to start where many run. */
const patient = (host: Host): Pick<Host, 'call'> => ({
  call: (method, params) => host.call(method, params, { timeout: 120_000 }),
});

describe('consistency groups', { skip: labRefusal() ?? false }, () => {
  let lab: Lab;
  let client: Client;
  let first: LabHost;
  let h1: Pick<Host, 'call'>;
  let h2: Pick<Host, 'call'>;
  let daemon: LabDaemon;

  before(async () => {
    lab = await startLab({ hosts: 2, geoReplication: true });
    const broker = lab.broker();
    await formPool(lab);
    first = lab.host(1);
    const makeBrick = async (name: string) => {
      const thin = name === 'data' || name === 'log';
      return [name, await lab.host(name === 'data' ? 1 : 2).makeBrick(name, { thin, sizeMiB: 320 })] as const;
    };
    for (const [name, brick] of await Promise.all(['data', 'log', 'copy', 'thick'].map(makeBrick))) {
      await first.gluster('volume', 'create', name, brick);
      await first.gluster('volume', 'start', name);
    }
    await startSession(first, 'data', secondary);
    client = await connect((await broker).url);
    [h1, h2] = [patient(client.host('h1')), patient(client.host('h2'))];
    await first.succeed(
      ['sh', '-ec', 'mkdir /root/bin; cat >/root/bin/gluster; chmod +x /root/bin/gluster'],
      {
        input: readFileSync(wrapper, 'utf8'),
      },
    );
    [daemon] = await Promise.all([startFirst(), lab.host(2).startDaemon({ env: access })]);
  });
  after(async () => {
    await client?.close();
    await lab?.stop();
  });

  const access = { HOSTBUS_ACCESS_USERS: 'launcher=admin' };
  const startFirst = () => first.startDaemon({ env: { ...access, PATH: stoppingPath } });

  const refused = (work: Promise<unknown>, name: ErrorName, words: RegExp) =>
    assert.rejects(work, (error) => {
      assert.ok(error instanceof HostbusError, String(error));
      assert.equal(error.name, name, error.message);
      assert.match(error.message, words);
      return true;
    });

  const mounted = (volume: string, line: string) =>
    first.succeed([
      'sh',
      '-ec',
      `mount -t glusterfs h1:/${volume} /mnt; trap 'umount /mnt' EXIT; cd /mnt; ${line}; cd /`,
    ]);
  const marks = async () =>
    [
      ...(await first.gluster('volume', 'info', 'data')).matchAll(
        /<name>(user\.hostbus\.[^<]*)<\/name>\s*<value>([^<]*)</g,
      ),
    ]
      .filter(([, , value]) => value !== 'none')
      .map(([, name]) => name);
  const isPaused = async () => (await sessionStates(first, 'data')).includes('Paused');
  // The mark goes last; and asking for a session's state keeps others from changing it meanwhile.
  const isTidy = async () => (await marks()).length === 0 && !(await isPaused());
  const groups = async () =>
    (await h2.call('gluster.listConsistencyGroupSnapshots', { group: 'shop' })).groupSnapshots;
  const volumes = ['data', 'log'];
  const named = { group: 'shop', snapshot: 'monday' };

  test('All volumes, with geo-replication paused meanwhile; any host knows them', async () => {
    const made = await h1.call('gluster.createConsistencyGroupSnapshot', {
      ...named,
      volumes,
      description: 'a=b',
    });
    assert.deepEqual(made.paused, [{ volume: 'data', secondary }]);
    assert.deepEqual(made.notResumed, []);
    assert.ok(made.startedAt < made.endedAt);
    assert.ok(await isTidy());
    const { status, description, members } = made.groupSnapshot;
    assert.deepEqual([status, description], ['complete', 'a=b']);
    assert.deepEqual(
      members.map(({ volume, snapshot }) => [volume, snapshot]),
      [
        ['data', 'shop_monday_data'],
        ['log', 'shop_monday_log'],
      ],
    );
    assert.deepEqual(await groups(), [made.groupSnapshot]);
    await refused(
      h2.call('gluster.createConsistencyGroupSnapshot', { ...named, volumes: ['log'] }),
      'SnapshotExists',
      /choose another name/,
    );
    const deleted = await h2.call('gluster.deleteConsistencyGroupSnapshot', named);
    assert.deepEqual(deleted, { deleted: ['shop_monday_data', 'shop_monday_log'] });
    assert.deepEqual(await groups(), []);
    await refused(
      h2.call('gluster.deleteConsistencyGroupSnapshot', named),
      'SnapshotNotFound',
      /has no snapshot/,
    );
    await refused(
      h2.call('gluster.restoreConsistencyGroupSnapshot', named),
      'SnapshotNotFound',
      /has no snapshot/,
    );
  });

  test('None, when one cannot be made', async () => {
    const work = h1.call('gluster.createConsistencyGroupSnapshot', {
      ...named,
      volumes: [...volumes, 'thick'],
    });
    await assert.rejects(work, (error) => {
      assert.ok(error instanceof HostbusError);
      assert.equal(error.name, 'NotThin');
      assert.equal(error.data.volume, 'thick');
      assert.deepEqual(error.data.deleted, ['shop_monday_data', 'shop_monday_log']);
      assert.deepEqual(error.data.left, []);
      return true;
    });
    assert.ok(await isTidy());
    assert.deepEqual((await h1.call('gluster.listSnapshots', {})).snapshots, []);
    await refused(
      h1.call('gluster.createConsistencyGroupSnapshot', { ...named, volumes: ['log', 'nosuch'] }),
      'VolumeNotFound',
      /nosuch/,
    );
    const long = Array.from({ length: 30 }, (_, at) => `volume-with-a-rather-long-name-${at}`);
    await refused(
      h1.call('gluster.createConsistencyGroupSnapshot', { ...named, volumes: long }),
      'InvalidParams',
      /too long/,
    );
  });

  // The states that a death can leave. Before the mark there is nothing; after pausing it is as after the first snapshot, but without
  // that; after resuming as before pausing.
  const points: [point: string, paused: boolean, status: string | undefined][] = [
    ['after volume set data user.hostbus.paused.h1', false, undefined],
    ['after snapshot create shop_monday_data', true, 'incomplete'],
    ['after snapshot create shop_monday_log', true, 'complete'],
  ];
  for (const [point, paused, status] of points) {
    test(`Killed ${point}: the next daemon resumes what was paused`, async () => {
      await killAt(point, () => h1.call('gluster.createConsistencyGroupSnapshot', { ...named, volumes }));
      assert.equal(await isPaused(), paused);
      const [found] = await groups();
      assert.equal(found?.status, status);
      if (status === 'incomplete') {
        assert.deepEqual(
          found?.members.map(({ volume }) => volume),
          ['data'],
        );
        const why = /lacking log: delete it/;
        await refused(h2.call('gluster.restoreConsistencyGroupSnapshot', named), 'SnapshotState', why);
        const again = h2.call('gluster.createConsistencyGroupSnapshot', { ...named, volumes });
        await refused(again, 'SnapshotExists', /incomplete: delete it first/);
      }
      daemon = await startFirst();
      await until('nothing is paused or marked', isTidy, 60_000);
      if (status !== undefined) await h2.call('gluster.deleteConsistencyGroupSnapshot', named);
      assert.deepEqual(await groups(), []);
    });
  }

  test('What another host has left paused is resumed when its time is over, not before', async () => {
    const hold = (until: number, bricksId: string) =>
      JSON.stringify({ bootId: 'gone', until, bricksId, secondaries: [secondary] });
    const mark = (value: string) => first.gluster('volume', 'set', 'data', 'user.hostbus.paused.h9', value);
    const look = () =>
      refused(h2.call('gluster.deleteConsistencyGroupSnapshot', named), 'SnapshotNotFound', /./);
    const own = bricksIdOf('h1:/bricks/data/brick');
    await first.gluster('volume', 'geo-replication', 'data', secondary, 'pause');

    await mark(hold(Date.now() + 3_600_000, own));
    await look();
    assert.deepEqual([await isPaused(), await marks()], [true, ['user.hostbus.paused.h9']]);
    // The mark of a volume that was restored, or cloned, holds nothing: whoever paused the session then, it stays so.
    await mark(hold(Date.now() - 1, bricksIdOf('h1:/run/gluster/snaps/0123/brick1/brick')));
    await look();
    assert.deepEqual([await isPaused(), await marks()], [true, []]);
    await mark(hold(Date.now() - 1, own));
    await look();
    assert.deepEqual([await isPaused(), await marks()], [false, []]);
  });

  test('Restored: all volumes, from any host, though the first one died half-way', async () => {
    for (const volume of volumes) await mounted(volume, 'echo old >file');
    const made = await h1.call('gluster.createConsistencyGroupSnapshot', { ...named, volumes });
    assert.deepEqual(made.paused, [{ volume: 'data', secondary }]);
    for (const volume of volumes) await mounted(volume, 'echo new >file');
    await refused(
      h1.call('gluster.restoreConsistencyGroupSnapshot', named),
      'SnapshotState',
      /Nothing was restored: stop these volumes first: data, log/,
    );
    await first.gluster('volume', 'geo-replication', 'data', secondary, 'stop');
    for (const volume of volumes) await first.gluster('volume', 'stop', volume);

    await killAt('after snapshot restore shop_monday_data', () =>
      h1.call('gluster.restoreConsistencyGroupSnapshot', named),
    );
    const [found] = await groups();
    assert.equal(found?.status, 'restoring');
    assert.deepEqual(
      found?.members.map(({ volume }) => volume),
      ['log'],
    );
    assert.deepEqual(await h2.call('gluster.restoreConsistencyGroupSnapshot', named), { volumes: ['log'] });
    // Nobody resumes what was stopped for this, though the mark came back with the volume.
    assert.deepEqual(await sessionStates(first, 'data'), ['Stopped']);
    for (const volume of volumes) await first.gluster('volume', 'start', volume);
    for (const volume of volumes) assert.equal(await mounted(volume, 'cat file'), 'old\n');
    assert.deepEqual(await groups(), []);
    assert.deepEqual(await marks(), []);
  });

  /** Kills the daemon of the first host when it has come so far with a call. */
  async function killAt(point: string, call: () => Promise<unknown>): Promise<void> {
    await first.succeed(['tee', '/root/bin/stop-at'], { input: `${point}\n` });
    const gone = call().catch((error: unknown) => error);
    await until(
      `it has come to: ${point}`,
      async () => {
        const { exitCode } = await first.exec(['rm', '/root/bin/stopped']);
        return exitCode === 0;
      },
      60_000,
    );
    await daemon.kill();
    // It is not told before the daemon is back, if at all.
    void gone;
  }
});
