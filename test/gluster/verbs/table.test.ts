import assert from 'node:assert/strict';
import { test } from 'node:test';
import { glusterVerbs } from '../../../schemas/gluster-verbs.ts';
import { geoReplicationFamilies } from './geo-replication-rows.ts';
import { hostFamilies } from './host-rows.ts';
import { snapshotFamilies } from './snapshot-rows.ts';
import { volumeFamilies } from './volume-rows.ts';

const rows = [volumeFamilies, snapshotFamilies, hostFamilies, geoReplicationFamilies]
  .flatMap((families) => Object.values(families))
  .flat();

test('Every verb of Gluster has its row in the tables of faults', () => {
  assert.deepEqual(
    rows.map(({ verb }) => `gluster.${verb}`).sort(),
    glusterVerbs.map(({ name }) => name).sort(),
  );
});

test('A verb that changes something is cut short in the middle', () => {
  for (const { name, query } of glusterVerbs) {
    const row = rows.find(({ verb }) => `gluster.${verb}` === name);
    assert.equal(row?.change === undefined, query || row?.refused !== undefined, name);
  }
});
