/** Faults under the verbs of peers, volumes, bricks and operations. */
import { testFaults } from './test-faults.ts';
import { prepareVolumes, volumeFamilies } from './volume-rows.ts';

testFaults({ hosts: 3, families: volumeFamilies, prepare: prepareVolumes });
