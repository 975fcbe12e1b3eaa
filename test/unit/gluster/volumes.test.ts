import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusal } from '../../../src/gluster/refusals.ts';
import { parseKnownOptions, parseOptions, parseVolumes } from '../../../src/gluster/volumes.ts';
import { savedReply } from '../../lib/gluster-output.ts';

const volumes = parseVolumes(savedReply('vol-info-all').body);

test('Every type of volume, with its counts', () => {
  assert.deepEqual(
    volumes.map((volume) => [
      volume.volume,
      volume.type,
      volume.status,
      volume.bricks.length,
      volume.distributeCount,
      volume.replicaCount,
      volume.arbiterCount,
      volume.disperseCount,
      volume.redundancyCount,
    ]),
    [
      ['a1', 'replicate', 'started', 3, 1, 3, 1, 0, 0],
      ['d1', 'distribute', 'started', 3, 3, 1, 0, 0, 0],
      ['e1', 'disperse', 'started', 3, 1, 1, 0, 3, 1],
      ['e2', 'distributedDisperse', 'started', 6, 2, 1, 0, 3, 1],
      ['r1', 'distributedReplicate', 'started', 6, 2, 3, 0, 0, 0],
      ['r2', 'replicate', 'created', 2, 1, 2, 0, 0, 0],
    ],
  );
});

test('A volume, whole', () => {
  const { bricks, ...arbiter } = volumes[0] ?? assert.fail();
  assert.deepEqual(arbiter, {
    volume: 'a1',
    uuid: '0c867136-aa64-4840-a97f-f95aa053bf0e',
    type: 'replicate',
    status: 'started',
    distributeCount: 1,
    replicaCount: 3,
    arbiterCount: 1,
    disperseCount: 0,
    redundancyCount: 0,
    transport: 'tcp',
    snapshotCount: 0,
    options: {
      'cluster.granular-entry-heal': 'on',
      'storage.fips-mode-rchecksum': 'on',
      'transport.address-family': 'inet',
      'nfs.disable': 'on',
      'performance.client-io-threads': 'off',
    },
  });
  assert.deepEqual(bricks[2], {
    brick: 'gx3:/bricks/b1/a/b',
    hostUuid: 'd88c2747-5b55-4f54-abf5-d3b9f8acfd0b',
    arbiter: true,
  });
});

test('No volume', () => {
  assert.deepEqual(parseVolumes(savedReply('volinfo-none').body), []);
});

test('Options in force: those set, defaults, and those without a value', () => {
  const options = parseOptions(savedReply('vol-get').body);
  assert.equal(options.length, 342);
  const of = (name: string) => options.find(({ option }) => option === name);
  assert.deepEqual(of('nfs.disable'), { option: 'nfs.disable', value: 'on', isDefault: false });
  assert.deepEqual(of('cluster.min-free-disk'), {
    option: 'cluster.min-free-disk',
    value: '10%',
    isDefault: true,
  });
  assert.deepEqual(of('cluster.rsync-hash-regex'), { option: 'cluster.rsync-hash-regex', isDefault: true });
});

test('Options that there are: a document that is no answer otherwise', () => {
  const options = parseKnownOptions(savedReply('set-help-xml').body);
  assert.equal(options.length, 8);
  assert.deepEqual(options[2], {
    option: 'cluster.min-free-disk',
    defaultValue: '10%',
    description:
      'Percentage/Size of disk space, after which the process starts balancing out the cluster, and logs will appear in log files',
  });
  assert.equal(options[5]?.defaultValue, undefined);
});

for (const [file, name] of [
  ['vol-create-again', 'VolumeExists'],
  ['vol-create-nohost', 'PeerDisconnected'],
  ['vol-create-root', 'GlusterError'],
  ['vol-status-notstarted', 'GlusterError'],
  ['vol-set-bad', 'GlusterError'],
  ['vol-delete-started', 'GlusterError'],
  ['add-brick-bad', 'GlusterError'],
  ['reset-brick-commit', 'GlusterError'],
  ['replace-brick-unknown', 'GlusterError'],
  ['heal-unknown', 'VolumeNotFound'],
  ['heal-dist', 'GlusterError'],
] as const) {
  test(`${file}: ${name}`, () => assert.equal(refusal(savedReply(file, ['volume'])).name, name));
}
