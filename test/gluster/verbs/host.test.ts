/** Faults under the verbs of hooks, keys, webhooks and services. */
import { hostFamilies, prepareHost } from './host-rows.ts';
import { testFaults } from './test-faults.ts';

testFaults({ hosts: 2, families: hostFamilies, prepare: prepareHost });
