/** Devices as disks for bricks: loop devices of a real host, real file systems, its own /etc/fstab. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { type LabHost, labRefusal } from '../lab/lab.ts';
import { type GlusterHosts, refusedAs, startGlusterHosts } from '../lib/gluster-hosts.ts';

let hosts: GlusterHosts;
let host: LabHost;

describe('disks for bricks', { skip: labRefusal() ?? false }, () => {
  before(async () => {
    hosts = await startGlusterHosts(1);
    host = hosts.lab.host(1);
  });

  after(() => hosts?.[Symbol.asyncDispose]());

  const create = (device: string, mountPoint: string, force = false) =>
    hosts.client.host('h1').call('gluster.createBrick', { device, mountPoint, force });
  const list = async () => (await hosts.client.host('h1').call('gluster.listStorageDevices', {})).devices;
  const find = async (device: string) => (await list()).find((each) => each.device === device);
  const run = (...argv: string[]) => host.succeed(argv);

  async function loopDevice(name: string): Promise<string> {
    const image = `/var/lib/hostbus-lab/disks/${name}.img`;
    await run('truncate', '--size', '400M', image);
    return (await run('losetup', '--find', '--show', image)).trim();
  }

  test('A device that holds nothing becomes a disk for bricks, now and at each boot', async () => {
    await host.exec(['sh', '-c', 'printf "# mine\\n/dev/nosuch /nowhere ext4 noauto 0 0" >/etc/fstab']);
    const device = await loopDevice('plain');
    assert.deepEqual(await find(device), {
      device,
      kind: 'loop',
      size: 400 * 1024 * 1024,
      readOnly: false,
      rotational: (await find(device))?.rotational,
      mountPoints: [],
      signatures: [],
      available: true,
    });
    const made = await create(device, '/bricks/plain');
    const { fileSystemUuid } = made;
    assert.deepEqual(made, {
      device,
      mountPoint: '/bricks/plain',
      fileSystem: 'xfs',
      fileSystemUuid,
      size: 400 * 1024 * 1024,
    });
    assert.equal((await run('findmnt', '-no', 'FSTYPE', '/bricks/plain')).trim(), 'xfs');
    assert.equal(
      await run('cat', '/etc/fstab'),
      `# mine\n/dev/nosuch /nowhere ext4 noauto 0 0\nUUID=${fileSystemUuid} /bricks/plain xfs noatime,inode64,nofail 0 0\n`,
    );
    const seen = await find(device);
    assert.deepEqual(seen?.mountPoints, ['/bricks/plain']);
    assert.deepEqual(seen?.signatures, [{ type: 'xfs', uuid: fileSystemUuid }]);
    assert.equal(seen?.available, false);

    const volume = { volume: 'v', bricks: ['h1:/bricks/plain/v'] };
    await hosts.client.host('h1').call('gluster.createVolume', volume);

    const inUse = await refusedAs('DeviceInUse', create(device, '/bricks/other', true));
    assert.deepEqual(inUse.data.mountPoints, ['/bricks/plain']);
  });

  test('Cut short before it was mounted, it goes on, and what the file system holds stays', async () => {
    const device = await loopDevice('short');
    const { fileSystemUuid } = await create(device, '/bricks/short');
    await run('touch', '/bricks/short/mine');
    await run('umount', '/bricks/short');
    assert.equal((await create(device, '/bricks/short', true)).fileSystemUuid, fileSystemUuid);
    await run('test', '-e', '/bricks/short/mine');
    const lines = (await run('cat', '/etc/fstab')).split('\n');
    assert.equal(lines.filter((line) => line.includes('/bricks/short')).length, 1);

    // Another device does not take its place in the table.
    await run('umount', '/bricks/short');
    await refusedAs('InvalidPath', create(await loopDevice('other'), '/bricks/short', true));
    // Cut short before the table had it: the device holds something.
    await run('sed', '-i', '/bricks.short/d', '/etc/fstab');
    const held = await refusedAs('DeviceInUse', create(device, '/bricks/short'));
    assert.deepEqual(held.data.signatures, [{ type: 'xfs', uuid: fileSystemUuid }]);
  });

  test('What a device holds is destroyed with force only', async () => {
    const device = await loopDevice('held');
    await run('mkfs.ext4', '-q', '-L', 'precious', device);
    const held = await refusedAs('DeviceInUse', create(device, '/bricks/held'));
    assert.match(held.message, /ext4.*force/);
    await run('mount', '-t', 'ext4', device, '/mnt');
    await refusedAs('DeviceInUse', create(device, '/bricks/held', true));
    await run('umount', '/mnt');
    await create(device, '/bricks/held', true);
    assert.deepEqual(
      (await find(device))?.signatures?.map(({ type }) => type),
      ['xfs'],
    );
  });

  test('A device in use that nothing is mounted from here is refused', async () => {
    const device = await loopDevice('busy');
    await run('mkfs.ext4', '-q', device);
    // In a mount namespace of its own, as a container has.
    const script = `mount ${device} /mnt && echo mounted && exec sleep 1000`;
    const { argv, env } = host.commandLine(['unshare', '--mount', 'sh', '-c', script]);
    const [program = '', ...args] = argv;
    const holder = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(holder.stdout, 'data');
      await refusedAs('DeviceInUse', create(device, '/bricks/busy', true));
      const seen = await find(device);
      assert.deepEqual(seen?.mountPoints, []);
      assert.equal(seen?.available, false);
    } finally {
      const gone = once(holder, 'exit');
      holder.kill('SIGKILL');
      await gone;
    }
  });

  test('What is no free device, or no free mount point, is refused', async () => {
    const device = await loopDevice('spare');
    await run('mkdir', '-p', '/bricks/full/of');
    await refusedAs('InvalidPath', create(device, '/bricks/full'));
    await refusedAs('InvalidPath', create(device, '/etc/hostname'));
    await refusedAs('InvalidPath', create('/dev/nosuch', '/bricks/x'));
    await refusedAs('InvalidPath', create('/dev/null', '/bricks/x'));
    await refusedAs('InvalidPath', create('/dev/../etc/hostname', '/bricks/x'));
    await refusedAs('InvalidParams', create('/dev/sda; true', '/bricks/x'));
    await refusedAs('InvalidParams', create(device, '/bricks/../etc'));
    await refusedAs('InvalidParams', create(device, '/bricks/a b'));
    assert.equal((await find(device))?.available, true);
  });

  test('A program that is missing is named', async () => {
    const device = await loopDevice('missing');
    await run('mv', '/usr/sbin/mkfs.xfs', '/usr/sbin/mkfs.xfs.away');
    try {
      const error = await refusedAs('GlusterUnavailable', create(device, '/bricks/missing'));
      assert.match(error.message, /mkfs\.xfs is not installed/);
      assert.equal((error.data.command as string[])[0], 'mkfs.xfs');
    } finally {
      await run('mv', '/usr/sbin/mkfs.xfs.away', '/usr/sbin/mkfs.xfs');
    }
  });
});
