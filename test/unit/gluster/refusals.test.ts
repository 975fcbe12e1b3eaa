import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorName } from '../../../schemas/errors.ts';
import { failure, isBusy, refusal } from '../../../src/gluster/refusals.ts';
import { GlusterFailed, readReply } from '../../../src/programs/gluster.ts';
import { savedOutput, savedReply } from '../../lib/gluster-output.ts';

const saved: [file: string, command: string, name: ErrorName][] = [
  ['conc-2-volume_set_w1_user.z_1', 'volume set w1 user.z 1', 'GlusterBusy'],
  ['conc-snap-2', 'snapshot create s2 v1', 'GlusterBusy'],
  ['info-unknown', 'volume info nosuch', 'VolumeNotFound'],
  ['status-unknown', 'volume status nosuch', 'VolumeNotFound'],
  ['rebal-unknown', 'volume rebalance nosuch start', 'VolumeNotFound'],
  ['rb-unknown', 'volume remove-brick nosuch', 'VolumeNotFound'],
  ['snap-create-novol', 'snapshot create s nosuchvol', 'VolumeNotFound'],
  ['create-gddown', 'volume create v', 'PeerDisconnected'],
  ['addbrick-gddown', 'volume add-brick v', 'PeerDisconnected'],
  ['peer-probe-unknown', 'peer probe nosuchhost', 'PeerDisconnected'],
  ['snap-create-brick-down', 'snapshot create s v1', 'PeerDisconnected'],
  ['snap-create-quorum', 'snapshot create s v1', 'PeerDisconnected'],
  ['rb-start-again', 'volume remove-brick d1', 'OperationRunning'],
  ['rebal-start-again', 'volume rebalance d1 start', 'OperationRunning'],
  ['rebal-start-during-rb', 'volume rebalance d1 start', 'OperationRunning'],
  ['rb-start-during-rebal', 'volume remove-brick d1', 'OperationRunning'],
  ['volstop-during-rb', 'volume stop d1', 'OperationRunning'],
  ['snap-during-rb', 'snapshot create s d1', 'OperationRunning'],
  ['rb-stop-again', 'volume remove-brick d1', 'NoOperation'],
  ['rb-commit-after-stop', 'volume remove-brick d1', 'NoOperation'],
  ['rebal-single', 'volume rebalance one start', 'NotDistributed'],
  ['rb-commit-early', 'volume remove-brick d1', 'MigrationUnfinished'],
  ['rb-commit-failed', 'volume remove-brick d1', 'MigrationUnfinished'],
  ['snap-activate-missing', 'snapshot activate nosuch', 'SnapshotNotFound'],
  ['snap-info-missing', 'snapshot info nosuch', 'SnapshotNotFound'],
  ['snap-delete-missing', 'snapshot delete nosuch', 'SnapshotNotFound'],
  ['snap-clone-missing', 'snapshot clone x nosuch', 'SnapshotNotFound'],
  ['snap-list-novol', 'snapshot list nosuch', 'VolumeNotFound'],
  ['snap-deactivate-again', 'snapshot deactivate s2', 'SnapshotState'],
  ['snap-config-bad', 'snapshot config v1', 'GlusterError'],
  ['snap-create-dup', 'snapshot create s2 v1', 'SnapshotExists'],
  ['snap-clone-dup', 'snapshot clone c1 s2', 'SnapshotExists'],
  ['snap-create-over-hard', 'snapshot create s9 v1', 'SnapshotLimit'],
  ['snap-create-notlvm', 'snapshot create s vp', 'NotThin'],
  ['snap-restore-running', 'snapshot restore s1', 'SnapshotState'],
  ['snap-clone-inactive', 'snapshot clone c s2', 'SnapshotState'],
  ['snap-activate-again', 'snapshot activate s2', 'SnapshotState'],
  ['snap-georep-running', 'snapshot create s m1', 'GeoReplicationState'],
  ['georep-start-again', 'volume geo-replication m1 gp3::s1 start', 'GeoReplicationState'],
  ['georep-pause-again', 'volume geo-replication m1 gp3::s1 pause', 'GeoReplicationState'],
  ['volstop-georep', 'volume stop m1', 'GeoReplicationState'],
  ['detach-gddown', 'peer detach gp2', 'GlusterError'],
  ['peer-detach-again', 'peer detach gx2', 'GlusterError'],
  ['volume-create-rootfs', 'volume create v', 'GlusterError'],
];

for (const [file, command, name] of saved) {
  test(`${command}: ${name} (${file})`, () => {
    const reply = savedReply(file, command.split(' '));
    assert.notEqual(reply.opRet, 0);
    const error = refusal(reply);
    assert.equal(error.name, name, error.message);
    assert.equal(isBusy(reply), name === 'GlusterBusy');
    assert.deepEqual(error.data, {
      command: reply.command,
      opErrno: reply.opErrno,
      opErrstr: reply.opErrstr,
      exitCode: 0,
      stderr: '',
    });
  });
}

test('A command without an answer tells what is known', () => {
  const command = ['gluster', 'pool', 'list'];
  const of = (stdout: string) => {
    try {
      readReply(command, { exitCode: 1, stdout, stderr: 'why\n' });
    } catch (error) {
      assert.ok(error instanceof GlusterFailed);
      return failure(error);
    }
    return assert.fail('it is an answer');
  };
  assert.equal(of(savedOutput('no-daemon.txt')).name, 'GlusterUnavailable');
  assert.equal(of('Error : Request timed out').name, 'GlusterTimeout');
  const unknown = of(savedOutput('unknown-word.txt'));
  assert.equal(unknown.name, 'GlusterError');
  assert.match(String(unknown.data.opErrstr), /^unrecognized word/);
  assert.deepEqual(
    { ...unknown.data, opErrstr: '' },
    { command, opErrno: null, opErrstr: '', exitCode: 1, stderr: 'why' },
  );
});
