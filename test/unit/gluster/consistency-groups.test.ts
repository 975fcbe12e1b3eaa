import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  describeMembership,
  groupSnapshotsOf,
  type Member,
  membersAmong,
} from '../../../src/gluster/group-members.ts';
import { parseRunningSessions } from '../../../src/gluster/held-sessions.ts';
import { parseSnapshots } from '../../../src/gluster/snapshots.ts';
import { parseMarks } from '../../../src/gluster/volume-marks.ts';
import { parseXml } from '../../../src/lib/xml.ts';
import { savedOutput, savedReply } from '../../lib/gluster-output.ts';

const memberOf = (volume: string, volumes: string[], id = 'x1'): Member => {
  const membership = { group: 'shop', snapshot: 'monday', id, volumes };
  return {
    snapshot: `shop_monday_${volume}`,
    uuid: '17659235-439c-430c-a9e8-a3245f10edc3',
    volume,
    description: describeMembership(membership),
    createdAt: '2026-11-20T12:16:47.000Z',
    status: 'inactive',
    membership,
  };
};
const nobodyRestores = () => undefined;

test('Members are known by their description', () => {
  const snapshots = parseSnapshots(savedReply('snap-info-group').body);
  assert.equal(snapshots.length, 2);
  const [group, ...others] = groupSnapshotsOf(membersAmong(snapshots), nobodyRestores);
  assert.deepEqual(others, []);
  assert.equal(group?.status, 'incomplete');
  assert.equal(group?.description, 'a<b');
  assert.deepEqual(group?.volumes, ['data', 'log']);
  assert.deepEqual(
    group?.members.map(({ snapshot }) => snapshot),
    ['shop_monday_data'],
  );
});

test('What a description says is believed only when it is right', () => {
  const [member] = [memberOf('data', ['data'])];
  const described = (description: string) => membersAmong([{ ...member, description }]).length;
  assert.equal(described(member.description ?? ''), 1);
  assert.equal(described('hostbus-group {'), 0);
  assert.equal(described('hostbus-group {"group":"shop"}'), 0);
  assert.equal(described('my hostbus-group {"group":"shop"}'), 0);
  // The snapshot of another volume, with a description that was copied.
  assert.equal(described(describeMembership({ ...member.membership, volumes: ['log'] })), 0);
});

test('Complete, incomplete, being restored', () => {
  const [data, log] = [memberOf('data', ['data', 'log']), memberOf('log', ['data', 'log'])];
  const statusOf = (members: Member[], marks: Record<string, string> = {}) =>
    groupSnapshotsOf(members, (volume) => marks[volume]).map(({ status }) => status);
  assert.deepEqual(statusOf([log, data]), ['complete']);
  assert.deepEqual(statusOf([log, data], { data: 'x1', log: 'x1' }), ['complete']);
  assert.deepEqual(statusOf([log]), ['incomplete']);
  assert.deepEqual(statusOf([log], { data: 'x1' }), ['incomplete']);
  assert.deepEqual(statusOf([log], { log: 'another' }), ['incomplete']);
  assert.deepEqual(statusOf([log], { log: 'x1' }), ['restoring']);
  // Two of one name are told apart, and neither completes the other.
  assert.deepEqual(statusOf([data, memberOf('log', ['data', 'log'], 'x2')]), ['incomplete', 'incomplete']);
  assert.deepEqual(
    groupSnapshotsOf([log, data], nobodyRestores)[0]?.members.map(({ volume }) => volume),
    ['data', 'log'],
  );
});

test('Marks of volumes; a clone has those of its origin, and other bricks', () => {
  const [data, trial] = parseMarks(savedReply('volume-info-marks').body).sort((a, b) =>
    a.volume.localeCompare(b.volume),
  );
  assert.deepEqual([data?.volume, data?.started, data?.replicated], ['data', true, false]);
  assert.deepEqual([trial?.volume, trial?.started], ['trial', false]);
  const marks = [
    [
      'paused.h1',
      '{"bootId":"b1","until":1795254855000,"bricksId":"0011223344556677","secondaries":["root@h2::copy"]}',
    ],
  ];
  assert.deepEqual([...(data?.marks ?? [])], marks);
  assert.deepEqual([...(trial?.marks ?? [])], marks);
  assert.notEqual(data?.bricksId, trial?.bricksId);
});

test('Sessions that run, as Gluster names them from 10 on, and before', () => {
  const text = savedOutput('georep-status-vol.xml');
  const running = (xml: string) => parseRunningSessions(parseXml(xml));
  assert.deepEqual(running(text), ['gp3::s1']);
  assert.deepEqual(running(text.replaceAll('primary', 'master').replaceAll('secondary', 'slave')), [
    'gp3::s1',
  ]);
  const ofUser = text
    .replaceAll('ssh://', 'ssh://geo@')
    .replaceAll('<secondary_user>root', '<secondary_user>geo');
  assert.deepEqual(running(ofUser), ['geo@gp3::s1']);
  for (const state of ['Passive', 'Faulty', 'Initializing...', 'Hybrid Crawl']) {
    assert.deepEqual(running(text.replaceAll('Active', state)), ['gp3::s1']);
  }
  for (const name of ['georep-status-paused', 'georep-status-stopped']) {
    assert.deepEqual(running(savedOutput(`${name}.xml`)), []);
  }
});
