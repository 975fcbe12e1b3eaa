import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseUnits } from '../../../src/gluster/services.ts';

/** In the form that systemctl(1) describes. */
const shown = `Id=glusterd.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
MainPID=812

Id=glustereventsd.service
LoadState=loaded
ActiveState=failed
UnitFileState=disabled
MainPID=0

Id=ctdb.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
MainPID=0
`;

test('Units as systemctl shows them', () => {
  assert.deepEqual(parseUnits(shown, ['glusterd', 'glustereventsd', 'ctdb']), [
    {
      service: 'glusterd',
      running: true,
      installed: true,
      state: 'active',
      startsAtBoot: true,
      pid: 812,
    },
    {
      service: 'glustereventsd',
      running: false,
      installed: true,
      state: 'failed',
      startsAtBoot: false,
    },
    { service: 'ctdb', running: false, installed: false, state: 'inactive', startsAtBoot: false },
  ]);
  assert.deepEqual(parseUnits('', ['glusterd']), []);
});
