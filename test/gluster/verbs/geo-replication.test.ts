/** Faults under the verbs of geo-replication. */
import { geoReplicationFamilies, prepareGeoReplication } from './geo-replication-rows.ts';
import { testFaults } from './test-faults.ts';

testFaults({
  hosts: 2,
  geoReplication: true,
  families: geoReplicationFamilies,
  prepare: prepareGeoReplication,
});
