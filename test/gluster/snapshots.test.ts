/** Snapshots on real glusterd: what is read in them, what comes back, and each refusal. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ErrorName } from '../../schemas/errors.ts';
import { type Client, connect, HostbusError } from '../../src/client/client.ts';
import { formPool, type Lab, type LabHost, labRefusal, startLab } from '../lab/lab.ts';
import { until } from '../lib/until.ts';

const skip = labRefusal() ?? false;

describe('snapshots', { skip }, () => {
  let lab: Lab;
  let client: Client;
  let host: LabHost;
  let call: ReturnType<Client['host']>['call'];

  before(async () => {
    lab = await startLab({ hosts: 3 });
    const broker = lab.broker();
    await formPool(lab);
    host = lab.host(1);
    await Promise.all(
      lab.hosts.slice(0, 2).map(async (each) => {
        for (const name of ['data', 'cold']) await each.makeBrick(name, { thin: true, sizeMiB: 400 });
        if (each === host) await each.makeBrick('thick', { sizeMiB: 400 });
      }),
    );
    for (const name of ['data', 'cold']) {
      await host.gluster('volume', 'create', name, `h1:/bricks/${name}/brick`, `h2:/bricks/${name}/brick`);
    }
    await host.gluster('volume', 'create', 'thick', 'h1:/bricks/thick/brick');
    for (const name of ['data', 'cold', 'thick']) await host.gluster('volume', 'start', name);
    client = await connect((await broker).url);
    await host.startDaemon({ env: { HOSTBUS_ACCESS_USERS: 'launcher=admin' } });
    const h1 = client.host('h1');
    call = (method, params) => h1.call(method, params, { timeout: 120_000 });
  });
  after(async () => {
    await client?.close();
    await lab?.stop();
  });

  const refused = (work: Promise<unknown>, name: ErrorName, words: RegExp = /./) =>
    assert.rejects(work, (error) => {
      assert.ok(error instanceof HostbusError, String(error));
      assert.equal(error.name, name, error.message);
      assert.match(error.message, words);
      return true;
    });

  /** Runs a shell's line on the host with the volume or snapshot mounted at /mnt, through Gluster's own FUSE client. */
  const mounted = (what: string, line: string) =>
    host.succeed([
      'sh',
      '-ec',
      `mount -t glusterfs h1:/${what} /mnt; trap 'umount /mnt' EXIT; cd /mnt; ${line}; cd /`,
    ]);

  test('It keeps what the volume had, while the volume goes on', async () => {
    await mounted('data', 'for i in 1 2 3 4; do echo old >file$i; done');
    const { uuid } = await call('gluster.createSnapshot', {
      volume: 'data',
      snapshot: 'monday',
      description: 'before <the> "update" & more',
    });
    const { snapshots } = await call('gluster.listSnapshots', {});
    assert.equal(snapshots.length, 1);
    const { createdAt = '', ...rest } = snapshots[0] ?? {};
    assert.ok(Math.abs(Date.now() - Date.parse(createdAt)) < 60_000, createdAt);
    assert.deepEqual(rest, {
      snapshot: 'monday',
      uuid,
      volume: 'data',
      description: 'before <the> "update" & more',
      status: 'inactive',
    });
    await mounted('data', 'for i in 1 2 3 4; do echo new >file$i; done; echo more >file5');

    await call('gluster.activateSnapshot', { snapshot: 'monday' });
    assert.equal(await mounted('snaps/monday/data', 'cat file*'), 'old\n'.repeat(4));
    assert.equal(await mounted('data', 'cat file*'), `${'new\n'.repeat(4)}more\n`);
    const { status, bricks, remaining } = await call('gluster.getSnapshot', { snapshot: 'monday' });
    assert.equal(status, 'active');
    assert.equal(remaining, 255);
    assert.deepEqual(
      bricks.map(({ running, size }) => [running, size]),
      [
        [true, 400 << 20],
        [true, 400 << 20],
      ],
    );
  });

  test('A clone is a volume of its own', async () => {
    const made = await call('gluster.cloneSnapshot', { snapshot: 'monday', volume: 'trial' });
    assert.equal(made.volume, 'trial');
    await host.gluster('volume', 'start', 'trial');
    assert.equal(
      await mounted('trial', 'cat file*; echo mine >file1; cat file1'),
      `${'old\n'.repeat(4)}mine\n`,
    );
    assert.match(await mounted('data', 'cat file1'), /new/);
    await refused(call('gluster.cloneSnapshot', { snapshot: 'monday', volume: 'trial' }), 'SnapshotExists');
    await call('gluster.deactivateSnapshot', { snapshot: 'monday' });
    await refused(
      call('gluster.cloneSnapshot', { snapshot: 'monday', volume: 'trial2' }),
      'SnapshotState',
      /not activated/,
    );
    await refused(call('gluster.deactivateSnapshot', { snapshot: 'monday' }), 'SnapshotState');
    const { status, bricks } = await call('gluster.getSnapshot', { snapshot: 'monday' });
    assert.deepEqual([status, bricks.some(({ running }) => running)], ['inactive', false]);
  });

  test('Restoring needs a stopped volume, and uses the snapshot up', async () => {
    await refused(call('gluster.restoreSnapshot', { snapshot: 'monday' }), 'SnapshotState', /stopped/);
    await host.gluster('volume', 'stop', 'data');
    assert.deepEqual(await call('gluster.restoreSnapshot', { snapshot: 'monday' }), { volume: 'data' });
    await host.gluster('volume', 'start', 'data');
    assert.equal(await mounted('data', 'cat file*'), 'old\n'.repeat(4));
    assert.deepEqual(await call('gluster.listSnapshots', { volume: 'data' }), { snapshots: [] });
  });

  test('What is not there, or there already', async () => {
    const snapshot = 'nosuch';
    await refused(call('gluster.getSnapshot', { snapshot }), 'SnapshotNotFound');
    await refused(call('gluster.activateSnapshot', { snapshot }), 'SnapshotNotFound');
    await refused(call('gluster.deactivateSnapshot', { snapshot }), 'SnapshotNotFound');
    await refused(call('gluster.restoreSnapshot', { snapshot }), 'SnapshotNotFound');
    await refused(call('gluster.deleteSnapshot', { snapshot }), 'SnapshotNotFound');
    await refused(call('gluster.cloneSnapshot', { snapshot, volume: 'v' }), 'SnapshotNotFound');
    const volume = 'nosuch';
    await refused(call('gluster.createSnapshot', { snapshot, volume }), 'VolumeNotFound');
    await refused(call('gluster.listSnapshots', { volume }), 'VolumeNotFound');
    await refused(call('gluster.deleteVolumeSnapshots', { volume }), 'VolumeNotFound');
    await refused(call('gluster.getSnapshotConfig', { volume }), 'VolumeNotFound');
    await refused(call('gluster.createSnapshot', { volume: 'thick', snapshot: 's' }), 'NotThin');
    await call('gluster.createSnapshot', { volume: 'cold', snapshot: 'one' });
    await refused(call('gluster.createSnapshot', { volume: 'data', snapshot: 'one' }), 'SnapshotExists');
    await call('gluster.activateSnapshot', { snapshot: 'one', force: true });
    await refused(call('gluster.activateSnapshot', { snapshot: 'one' }), 'SnapshotState', /already/);
    await call('gluster.deleteSnapshot', { snapshot: 'one' });
    assert.deepEqual(await call('gluster.deleteVolumeSnapshots', { volume: 'cold' }), { deleted: [] });
  });

  test('Names and words that Gluster would take for something else go no further than our own door', async () => {
    const create = (more: object) =>
      client.host('h1').callUntyped('gluster.createSnapshot', { volume: 'cold', snapshot: 's', ...more });
    for (const snapshot of ['all', 'volume', '-s', '--version', 'a b', 'a/b', '', 'x'.repeat(256)]) {
      await refused(create({ snapshot }), 'InvalidParams');
    }
    const descriptions = ['--version', 'two\nlines', 'é'.repeat(600), 'hostbus-group {}'];
    for (const description of descriptions) await refused(create({ description }), 'InvalidParams');
    await refused(
      call('gluster.setSnapshotConfig', { volume: 'cold', softLimitPercent: 50 }),
      'InvalidParams',
      /softLimitPercent/,
    );
  });

  test('Limits, deletion of the oldest, active from the start', async () => {
    const set = await call('gluster.setSnapshotConfig', {
      hardLimit: 8,
      softLimitPercent: 50,
      autoDelete: true,
      activateOnCreate: true,
    });
    const { volumes, ...general } = set;
    assert.deepEqual(general, {
      hardLimit: 8,
      softLimitPercent: 50,
      autoDelete: true,
      activateOnCreate: true,
    });
    assert.ok(
      volumes.some(({ volume, effectiveHardLimit }) => volume === 'cold' && effectiveHardLimit === 8),
    );
    const own = await call('gluster.setSnapshotConfig', { volume: 'cold', hardLimit: 3 });
    assert.deepEqual(own.volumes, [{ volume: 'cold', hardLimit: 3, effectiveHardLimit: 3, softLimit: 1 }]);

    await call('gluster.createSnapshot', { volume: 'cold', snapshot: 's1' });
    // Gluster counts their age in seconds.
    const { createdAt } = await call('gluster.getSnapshot', { snapshot: 's1' });
    await until('another second', () => Date.now() >= Date.parse(createdAt) + 1000);
    await call('gluster.createSnapshot', { volume: 'cold', snapshot: 's2' });
    const left = await until('the oldest is deleted', async () => {
      const { snapshots } = await call('gluster.listSnapshots', { volume: 'cold' });
      return snapshots.length === 1 ? snapshots : undefined;
    });
    assert.deepEqual(
      left.map(({ snapshot, status }) => [snapshot, status]),
      [['s2', 'active']],
    );

    await call('gluster.setSnapshotConfig', { autoDelete: false, activateOnCreate: false });
    for (const snapshot of ['s3', 's4']) await call('gluster.createSnapshot', { volume: 'cold', snapshot });
    await refused(call('gluster.createSnapshot', { volume: 'cold', snapshot: 's5' }), 'SnapshotLimit');
    const { deleted } = await call('gluster.deleteVolumeSnapshots', { volume: 'cold' });
    assert.deepEqual(deleted.sort(), ['s2', 's3', 's4']);
    await refused(
      call('gluster.setSnapshotConfig', { volume: 'cold', hardLimit: 200 }),
      'GlusterError',
      /Expected range 1 - 8/,
    );
  });

  test('A brick or a peer that is down', async () => {
    await call('gluster.createSnapshot', { volume: 'cold', snapshot: 'kept' });
    const second = lab.host(2);
    await second.killGlusterd();
    await refused(call('gluster.createSnapshot', { volume: 'cold', snapshot: 'none' }), 'PeerDisconnected');
    // The peer that has missed the deletion brings the snapshot back.
    await call('gluster.deleteSnapshot', { snapshot: 'kept' });
    assert.deepEqual((await call('gluster.listSnapshots', {})).snapshots, []);
    await second.startGlusterd();
    await until('the snapshot is back', async () => {
      const { snapshots } = await call('gluster.listSnapshots', {});
      return snapshots.some(({ snapshot }) => snapshot === 'kept');
    });
  });

  test("Without Gluster's scheduler there is no schedule to override", async () => {
    const { exitCode } = await host.exec(['sh', '-c', 'command -v snap_scheduler.py']);
    assert.notEqual(exitCode, 0, 'this host has the scheduler: test more than its absence');
    const words = /snap_scheduler\.py, is not installed/;
    await refused(call('gluster.overrideSnapshotSchedule', {}), 'GlusterError', words);
    await refused(call('gluster.resetSnapshotSchedule', {}), 'GlusterError', words);
  });
});
