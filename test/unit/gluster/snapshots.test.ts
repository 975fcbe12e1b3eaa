import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  parseConfig,
  parseOneSnapshot,
  parseSnapshotBricks,
  parseSnapshots,
} from '../../../src/gluster/snapshots.ts';
import { parseXml } from '../../../src/lib/xml.ts';
import { savedOutput, savedReply } from '../../lib/gluster-output.ts';

const bodyOf = (name: string) => savedReply(name).body;

test('Snapshots of all volumes', () => {
  const first = {
    snapshot: 's1',
    uuid: '17659235-439c-430c-a9e8-a3245f10edc3',
    volume: 'v1',
    createdAt: '2026-11-20T12:16:47.000Z',
    status: 'inactive',
  };
  const second = {
    snapshot: 's2',
    uuid: '23e26cbd-063d-4ba7-a3bf-f16f51c4edac',
    volume: 'v1',
    description: 'before change',
    createdAt: '2026-11-20T12:17:15.000Z',
    status: 'inactive',
  };
  assert.deepEqual(parseSnapshots(bodyOf('snap-info-all')), [first, second]);
  assert.deepEqual(parseSnapshots(bodyOf('snap-info-vol')), [first, second]);
  assert.deepEqual(parseSnapshots(bodyOf('snap-info-empty')), []);
  assert.deepEqual(parseOneSnapshot(bodyOf('snap-info-active')), {
    ...second,
    status: 'active',
    remaining: 254,
  });
});

test('The time of a snapshot, with and without an offset', () => {
  const at = (time: string) => {
    const text = savedOutput('snap-info-active.xml').replace('2026-11-20 12:17:15 +0000', time);
    return parseOneSnapshot(parseXml(text)).createdAt;
  };
  assert.equal(at('2026-11-20 14:17:15 +0200'), '2026-11-20T12:17:15.000Z');
  assert.equal(at('2026-11-20 12:17:15'), '2026-11-20T12:17:15.000Z');
  assert.throws(() => at('yesterday'), /is no time/);
});

test('Bricks of a snapshot: active, inactive, and of one that is not there', () => {
  assert.deepEqual(parseSnapshotBricks(bodyOf('snap-status-active'))[0], {
    brick: 'gp1:/run/gluster/snaps/83fb00c3d7c44a9b8043b792577018a5/brick1/b',
    running: true,
    pid: 916,
    volumeGroup: 'glabvg',
    size: 1024 ** 3,
    dataPercent: 0.49,
  });
  assert.equal(parseSnapshotBricks(bodyOf('snap-status-lab'))[1]?.size, 600 * 1024 ** 2);
  assert.deepEqual(parseSnapshotBricks(bodyOf('snap-status-deactivated'))[2], {
    brick: 'gp3:/run/gluster/snaps/83fb00c3d7c44a9b8043b792577018a5/brick3/b',
    running: false,
  });
  assert.deepEqual(parseSnapshotBricks(bodyOf('snap-status-missing')), []);
});

test('Limits for snapshots', () => {
  assert.deepEqual(parseConfig(bodyOf('snap-config-after')), {
    hardLimit: 10,
    softLimitPercent: 50,
    autoDelete: false,
    activateOnCreate: true,
    volumes: [{ volume: 'v1', hardLimit: 4, effectiveHardLimit: 4, softLimit: 2 }],
  });
  assert.equal(parseConfig(bodyOf('snap-config')).activateOnCreate, false);
});
