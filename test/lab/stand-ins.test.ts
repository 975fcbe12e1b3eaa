/** What stands in for the real thing: snapshots on the stand-in for LVM, glusterd's sleeps. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../lib/until.ts';
import { type Lab, type LabHost, labRefusal, startLab } from './lab.ts';

describe('stand-ins', { skip: labRefusal() ?? false }, () => {
  let lab: Lab;
  let host: LabHost;

  before(async () => {
    lab = await startLab({ hosts: 1 });
    host = lab.host(1);
  });
  after(() => lab?.stop());

  test('A snapshot holds the data of its moment, and is there after a power cut.', async () => {
    const brick = await host.makeBrick('thin', { thin: true });
    await host.gluster('volume', 'create', 'thin', brick);
    await host.gluster('volume', 'start', 'thin');
    await host.succeed(['tee', '/bricks/thin/brick/file'], { input: 'then' });
    await host.gluster('snapshot', 'create', 'snap', 'thin', 'no-timestamp');
    await host.succeed(['tee', '/bricks/thin/brick/file'], { input: 'now' });
    await host.gluster('snapshot', 'activate', 'snap');
    await host.powerCut();
    await host.start();
    const find = ['find', '/run/gluster/snaps', '-name', 'file'];
    const file = await until(
      'the snapshot is mounted',
      async () => (await host.exec(find)).stdout.trim() || false,
    );
    assert.equal(await host.succeed(['cat', file]), 'then');
    assert.equal(await host.succeed(['cat', '/bricks/thin/brick/file']), 'now');
    // A snapshot that is deleted while glusterd is still starting its brick sends glusterd into a loop without end.
    await until('both bricks serve', async () => {
      const status = await host.gluster('snapshot', 'status', 'snap').catch(() => '');
      return /<brick_running>Yes/i.test(status) && host.processes('glusterfsd').length === 2;
    });
    await host.gluster('snapshot', 'delete', 'snap');
    assert.match(await host.succeed(['lab-lv', 'list']), /^thin \/dev\/loop\d+ thinpool -\n$/);
  });

  test('The stand-in for LVM says what it is, and refuses what LVM refuses.', async () => {
    assert.match(await host.succeed(['lvs', '--version']), /stand-in of the hostbus lab, no LVM/);
    await host.succeed(['lab-lv', 'create', 'thick', '300', 'thick']);
    await host.succeed(['lab-lv', 'create', 'full', '300']);
    const refused: [argv: string[], words: RegExp][] = [
      [['lvs', '-o', 'pool_lv', '/dev/sda'], /Failed to find logical volume/],
      [['lvcreate', '-s', '/dev/lab/thick', '-n', 's'], /thick volume needs a size/],
      [['lvcreate', '-s', '/dev/lab/full', '-n', 'thick'], /already exists/],
      [['lvremove', '-f', '/dev/lab/nothing'], /Failed to find logical volume/],
      [['lvcreate', '--thinpool', 'x'], /Unknown option/],
    ];
    for (const [argv, words] of refused) {
      const { exitCode, stderr } = await host.exec(argv);
      assert.equal(exitCode, 5, argv.join(' '));
      assert.match(stderr, words);
    }
    await host.succeed(['touch', '/var/lib/hostbus-lab/disks/fail-lvcreate']);
    assert.match(
      (await host.exec(['lvcreate', '-s', '/dev/lab/full', '-n', 's'])).stderr,
      /Insufficient free space/,
    );
    await host.succeed(['mkfs.xfs', '-q', '/dev/lab/full']);
    await host.succeed(['mount', '/dev/lab/full', '/mnt']);
    assert.match(
      (await host.exec(['lvremove', '-f', '/dev/lab/full'])).stderr,
      /contains a filesystem in use/,
    );
    await host.succeed(['umount', '/mnt']);
    await host.succeed(['lvremove', '-f', '/dev/lab/full']);
    await host.succeed(['lvremove', '-f', '/dev/lab/thick']);
  });

  test('glusterd does not sleep for 5 s after it has started a rebalance.', async () => {
    const bricks = [
      await host.makeBrick('d1', { sizeMiB: 300 }),
      await host.makeBrick('d2', { sizeMiB: 300 }),
    ];
    await host.gluster('volume', 'create', 'distributed', ...bricks);
    await host.gluster('volume', 'start', 'distributed');
    const startedMs = performance.now();
    await host.gluster('volume', 'rebalance', 'distributed', 'start');
    assert.ok(performance.now() - startedMs < 5_000);
    await until('it is completed', async () => {
      const status = await host.gluster('volume', 'rebalance', 'distributed', 'status');
      return status.includes('<statusStr>completed</statusStr>');
    });
  });
});
