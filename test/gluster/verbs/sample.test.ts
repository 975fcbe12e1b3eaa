/** Faults under verbs that stand for all: one for each way in which a change is made. All verbs: `npm run test:faults`. */
import { brokerFamilies } from './geo-replication-rows.ts';
import { hostFamilies, prepareHost } from './host-rows.ts';
import { snapshotFamilies } from './snapshot-rows.ts';
import { testFaults } from './test-faults.ts';
import { volumeFamilies } from './volume-rows.ts';

if (process.env.HOSTBUS_TEST_FAULTS !== 'all') {
  testFaults({
    hosts: 3,
    families: { ...volumeFamilies, ...snapshotFamilies, ...hostFamilies, ...brokerFamilies },
    prepare: prepareHost,
    sample: true,
  });
}
