/** One lab through its life: a pool with a volume, a daemon; a power cut, a pulled cable; and nothing left. */
import assert from 'node:assert/strict';
import { readlinkSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { isAlive } from '../../rabbitmq/process-identity.ts';
import { connect } from '../../src/client/client.ts';
import { until } from '../lib/until.ts';
import { formPool, type Lab, type LabHost, labRefusal, startLab } from './lab.ts';
import { traceLab } from './traces.ts';

describe('a lab of three hosts', { skip: labRefusal() ?? false }, () => {
  let lab: Lab;
  let h1: LabHost;
  let h2: LabHost;
  let h3: LabHost;

  before(async () => {
    lab = await startLab({ hosts: 3 });
    // It takes as long as the pool: both at once.
    lab.broker().catch(() => {});
    await formPool(lab);
    h1 = lab.host(1);
    h2 = lab.host(2);
    h3 = lab.host(3);
  });
  after(() => lab?.stop());

  /** Waits until Gluster has all three bricks of the volume online, and the launcher of this host's brick has ended. */
  async function brickServes(host: LabHost): Promise<void> {
    await until(`the brick of ${host.name} serves`, async () => {
      // It may be busy.
      const status = await h1.gluster('volume', 'status', 'replicated').catch(() => '');
      const online = [
        ...status.matchAll(/<path>\/bricks\/r1\/brick<\/path>\s*<peerid>.*?<\/peerid>\s*<status>1</g),
      ];
      return online.length === 3 && host.processes('glusterfsd').length === 1;
    });
  }

  test('Each host is a machine of its own.', async () => {
    for (const host of lab.hosts) {
      assert.equal(await host.succeed(['hostname']), `${host.name}\n`);
      assert.match(
        await host.succeed(['ip', '-brief', 'address', 'show', 'eth0']),
        new RegExp(`\\b${host.address}/24`),
      );
      await host.succeed(['touch', `/tmp/of-${host.name}`, `/root/of-${host.name}`]);
    }
    // A checkout below /tmp is there, too.
    const temporary = (await h2.succeed(['ls', '/tmp'])).split('\n');
    assert.deepEqual([temporary.includes('of-h1'), temporary.includes('of-h2')], [false, true]);
    assert.deepEqual(await h2.exec(['ls', '/root/of-h1', '/root/of-h2']), {
      exitCode: 2,
      stdout: '/root/of-h2\n',
      stderr: "ls: cannot access '/root/of-h1': No such file or directory\n",
    });
  });

  test('A program gets its arguments, input and environment as they are, and its end is told.', async () => {
    const words = ['$(id)', 'a b', '', '*'];
    assert.equal(await h1.succeed(['printf', '<%s>', ...words]), '<$(id)><a b><><*>');
    assert.equal(await h1.succeed(['cat'], { input: 'over\nthere' }), 'over\nthere');
    assert.equal(
      await h1.succeed(['printenv', 'LAB_TEST', 'HOME'], { env: { LAB_TEST: 'x' } }),
      'x\n/root\n',
    );
    assert.equal((await h1.exec(['sh', '-c', 'exit 7'])).exitCode, 7);
    assert.equal((await h1.exec(['sh', '-c', 'kill -KILL $$'])).exitCode, 137);
    const missing = await h1.exec(['no-such-program']);
    assert.equal(missing.exitCode, 127);
    assert.match(missing.stderr, /no-such-program/);
    await assert.rejects(h1.succeed(['ls', '/nowhere']), /h1: ls \/nowhere ended with 2: ls: cannot access/);
  });

  test('A program that takes too long is killed.', async () => {
    await assert.rejects(
      h1.exec(['tail', '-f', '/dev/null'], { timeoutMs: 200 }),
      /h1: tail -f \/dev\/null: not done after 200 ms/,
    );
    await until('it is gone', () => h1.processes('tail').length === 0);
  });

  test("Gluster's own words are in the error.", async () => {
    await assert.rejects(
      h1.gluster('volume', 'info', 'nothing'),
      /h1: gluster volume info nothing: Volume does not exist/,
    );
  });

  test('A replicated volume survives a power cut of one host, with its data.', async () => {
    const bricks = await Promise.all(lab.hosts.map((host) => host.makeBrick('r1', { sizeMiB: 512 })));
    await h1.gluster('volume', 'create', 'replicated', 'replica', '3', ...bricks);
    await h1.gluster('volume', 'start', 'replicated');
    await h1.succeed(['mkdir', '/mnt/replicated']);
    await h1.succeed(['mount', '-t', 'glusterfs', 'localhost:/replicated', '/mnt/replicated']);
    await h1.succeed(['tee', '/mnt/replicated/file'], { input: 'before the power cut' });

    const bricksOfH2 = h2.processes('glusterfsd');
    assert.equal(bricksOfH2.length, 1);
    await h2.powerCut();
    assert.equal(h2.isOn, false);
    assert.ok(!bricksOfH2.some(isAlive));
    await assert.rejects(h2.exec(['true']), /h2 is off/);
    await h1.succeed(['tee', '/mnt/replicated/file'], { input: 'meanwhile' });

    await h2.start();
    assert.equal(h2.isOn, true);
    assert.match(await h2.gluster('volume', 'info', 'replicated'), /<statusStr>Started</);
    await brickServes(h2);
    await until(
      'it was healed',
      async () => (await h2.exec(['cat', '/bricks/r1/brick/file'])).stdout === 'meanwhile',
    );
  });

  test('A power cut can lose what was not flushed.', async () => {
    // Gluster flushes little of what it writes when it makes a volume.
    await h3.succeed(['sync']);
    const places = ['/root', '/bricks/r1'];
    for (const place of places) {
      await h3.succeed(['dd', `of=${place}/kept`, 'conv=fsync', 'status=none'], { input: 'flushed' });
      await h3.succeed(['tee', `${place}/lost`], { input: 'not flushed' });
    }
    await h3.powerCut({ loseUnflushed: true });
    await h3.start();
    for (const place of places) {
      assert.equal(await h3.succeed(['cat', `${place}/kept`]), 'flushed');
      // The name may have made it to the disk, in the wake of another flush.
      assert.equal((await h3.exec(['cat', `${place}/lost`])).stdout, '');
    }
    await brickServes(h3);
  });

  test('glusterd is killed and started; bricks live on.', async () => {
    const [brick] = h3.processes('glusterfsd');
    assert.ok(brick);
    await h3.killGlusterd();
    await assert.rejects(h3.gluster('pool', 'list'), /Connection failed/);
    await h3.startGlusterd();
    await h3.gluster('pool', 'list');
    assert.ok(isAlive(brick));
  });

  test('A pulled cable is a lost link, and comes back.', async () => {
    const connectTo = ['bash', '-c', 'exec 3<>/dev/tcp/h3/24007'];
    await h1.succeed(connectTo);
    await h3.unplug();
    assert.match(await h3.succeed(['ip', 'link', 'show', 'eth0']), /NO-CARRIER/);
    await assert.rejects(h1.succeed(connectTo, { timeoutMs: 500 }), /not done after 500 ms/);
    await h3.plug();
    await until('the link is there again', async () => {
      return (await h1.exec(connectTo, { timeoutMs: 5_000 }).catch(() => undefined))?.exitCode === 0;
    });
  });

  test('A daemon serves from inside of a host, and dies with it.', async () => {
    const daemon = await h1.startDaemon();
    const client = await connect((await lab.broker()).url);
    try {
      const { hostId } = await client.host('h1').call('ping', {});
      assert.equal(hostId, 'h1');
      assert.equal(
        readlinkSync(`/proc/${daemon.pid}/ns/pid`),
        (await h1.succeed(['readlink', '/proc/self/ns/pid'])).trim(),
      );
      assert.equal(await daemon.stop(), 0);
      const second = await h1.startDaemon();
      await h1.powerCut();
      await second.exited;
      await assert.rejects(client.host('h1').call('ping', {}));
    } finally {
      await client.close();
    }
  });

  test('Nothing is left of it.', async () => {
    await h1.start();
    const left = await traceLab(lab.state);
    const there = await left();
    for (const kind of [/^process/, /^\/dev\/loop/, /^hblab\d+-1$/, /^gluster-lab-/]) {
      assert.ok(
        there.some((trace) => kind.test(trace)),
        `${kind} in ${there.join(', ')}`,
      );
    }
    await lab.stop();
    assert.deepEqual(await left(), []);
  });
});
