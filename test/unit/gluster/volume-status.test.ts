import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseHealInfo, parseProfile } from '../../../src/gluster/volume-health.ts';
import { parseVolumeStatus } from '../../../src/gluster/volume-status.ts';
import { GlusterFailed, readReply } from '../../../src/programs/gluster.ts';
import { savedOutput, savedReply } from '../../lib/gluster-output.ts';

const statusOf = (name: string) => parseVolumeStatus(savedReply(name).body);

test('Bricks and services', () => {
  const { volume, bricks, services } = statusOf('vol-status-r1');
  assert.equal(volume, 'r1');
  assert.equal(bricks.length, 6);
  assert.deepEqual(bricks[0], {
    brick: 'gx1:/bricks/b1/r/b',
    hostUuid: '5c0b239b-d94c-45c8-94a8-1afd24651b42',
    online: true,
    port: 55286,
    pid: 894,
  });
  assert.deepEqual(services[1], {
    kind: 'selfHealDaemon',
    host: 'gx2',
    hostUuid: 'e6d91566-3bfc-442a-8f5f-aedd683a13de',
    online: true,
    pid: 512,
  });
});

test('A brick that is down has neither port nor process', () => {
  assert.deepEqual(statusOf('vol-status-reset').bricks[0], {
    brick: 'gx1:/bricks/b1/r/bn',
    hostUuid: '5c0b239b-d94c-45c8-94a8-1afd24651b42',
    online: false,
  });
});

test('Detail: the file systems, of bricks that are down too', () => {
  const { bricks } = statusOf('vol-status-brickdown');
  assert.equal(bricks[1]?.online, false);
  assert.deepEqual(bricks[1]?.disk, {
    size: 1006632960,
    free: 961716224,
    device: '/dev/loop2',
    blockSize: 4096,
    mountOptions: 'rw,noatime,inode64,logbufs=8,logbsize=32k,noquota',
    fileSystem: 'xfs',
    inodesTotal: 524288,
    inodesFree: 522355,
  });
});

test('Clients, of bricks only', () => {
  const { bricks, services } = statusOf('vol-status-clients');
  assert.equal(bricks.length, 6);
  assert.deepEqual(services, []);
  assert.equal(bricks[0]?.clients?.length, 4);
  assert.deepEqual(bricks[0]?.clients?.[0], {
    address: '10.91.0.1:49133',
    bytesRead: 8332,
    bytesWritten: 9328,
    opVersion: 100000,
  });
});

test('Memory of one brick', () => {
  const { bricks } = statusOf('mem1');
  assert.deepEqual(
    bricks.map(({ brick, memory }) => [brick, Object.keys(memory ?? {})]),
    [['gx2:/bricks/b1/d/b', ['arena', 'inUse', 'free', 'mapped', 'releasable']]],
  );
});

test('What is to be healed, and that of a brick that is down it is not known', () => {
  assert.deepEqual(parseHealInfo(savedReply('heal-info-summary-pending').body).slice(1, 3), [
    { brick: 'gx2:/bricks/b1/r/b', connected: false },
    {
      brick: 'gx3:/bricks/b1/r/b',
      hostUuid: 'd88c2747-5b55-4f54-abf5-d3b9f8acfd0b',
      connected: true,
      entries: 1,
      pending: 1,
      splitBrain: 0,
      healing: 0,
    },
  ]);
  assert.deepEqual(
    parseHealInfo(savedReply('heal-info-summary').body).map(({ entries }) => entries),
    [0, 0, 0, 0, 0, 0],
  );
});

test('The start of a heal answers in plain text', () => {
  const command = ['gluster', 'volume', 'heal', 'v'];
  const read = (file: string, exitCode: number, plain: boolean) =>
    readReply(command, { exitCode, stdout: savedOutput(file), stderr: '' }, plain);
  assert.equal(read('heal-start.txt', 0, true).opRet, 0);
  const refused = read('heal-start-dist.txt', 1, true);
  assert.equal(refused.opRet, -1);
  assert.match(refused.opErrstr, /Self-heal-daemon is disabled/);
  assert.throws(() => read('heal-start.txt', 0, false), GlusterFailed);
  assert.throws(() => read('no-daemon.txt', 1, true), GlusterFailed);
});

test('A profile: sizes that occurred, operations, latencies in seconds', () => {
  const bricks = parseProfile(savedReply('profile-peek').body);
  assert.equal(bricks.length, 6);
  const [first] = bricks;
  assert.equal(first?.brick, 'gx1:/bricks/b1/r/bn');
  assert.ok(first?.interval !== undefined);
  const written = bricks.find(({ cumulative }) => (cumulative?.blocks.length ?? 0) > 0)?.cumulative;
  assert.ok(written !== undefined && written.bytesWritten > 0 && written.duration > 0);
  assert.ok(written.blocks.every(({ reads, writes }) => reads + writes > 0));
  const all = bricks.flatMap(({ cumulative }) => cumulative?.operations ?? []);
  const write = all.find(({ operation }) => operation === 'write');
  assert.ok(write !== undefined && write.count > 0);
  assert.ok(write.averageLatency > 1e-6 && write.averageLatency < 1, String(write.averageLatency));
});
