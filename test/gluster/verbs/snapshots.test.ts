/** Faults under the verbs of snapshots, groups of them, and the shared storage volume. */
import { prepareSnapshots, snapshotFamilies } from './snapshot-rows.ts';
import { testFaults } from './test-faults.ts';

testFaults({ hosts: 2, families: snapshotFamilies, prepare: prepareSnapshots });
