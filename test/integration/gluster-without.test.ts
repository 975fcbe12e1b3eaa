/** The Gluster verbs where there is no Gluster, or something in its place: what a caller is told. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { type Client, connect } from '../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { refusedAs } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostbus-gluster-'));
const daemons: TestDaemon[] = [];
let broker: PrivateBroker;
let client: Client;

before(async () => {
  broker = await startPrivateBroker();
  client = await connect(broker.url);
});

after(async () => {
  await client.close();
  await Promise.all(daemons.map((daemon) => daemon.kill()));
  await broker.stop();
  rmSync(directory, { recursive: true });
});

async function hostWith(hostId: string, script?: string, timeout = '1') {
  const program = join(directory, hostId);
  if (script !== undefined) writeFileSync(program, `#!/bin/sh\n${script}\n`);
  if (script !== undefined) chmodSync(program, 0o755);
  const env = {
    HOSTBUS_GLUSTER_PROGRAM: program,
    HOSTBUS_GLUSTER_TIMEOUT: timeout,
    HOSTBUS_ACCESS_ANONYMOUS: 'admin',
  };
  const daemon = await startDaemon({ hostId, brokerUrl: broker.url, env });
  daemons.push(daemon);
  return { program, daemon, host: client.host(hostId) };
}

test('Without the program the feature is not there, and every verb says so', async () => {
  const { program, host } = await hostWith('none');
  assert.deepEqual((await host.call('getHostInfo', {})).features, ['storage']);
  const error = await refusedAs('GlusterUnavailable', host.call('gluster.listVolumes', {}));
  assert.match(error.message, /not installed on this host.*install glusterfs-server/);
  assert.deepEqual(error.data, {
    command: [program, '--mode=script', '--xml', '--timeout=1', 'volume', 'info'],
    opErrno: null,
    opErrstr: null,
    // Of what was to start it.
    exitCode: 127,
    stderr: error.data.stderr,
  });
  await refusedAs('GlusterUnavailable', host.call('gluster.startVolume', { volume: 'v' }));
});

test('A program that hangs is killed, and the next one gets its turn', async () => {
  const { host } = await hostWith('hangs', '[ "$5" = start ] && exec sleep 1000; echo rubbish; exit 3');
  const hung = host.call('gluster.startVolume', { volume: 'v' });
  const next = host.call('gluster.stopVolume', { volume: 'v' });
  await refusedAs('GlusterTimeout', hung);
  const rubbish = await refusedAs('GlusterError', next);
  assert.deepEqual([rubbish.data.exitCode, rubbish.data.opErrstr], [3, 'rubbish']);
});

test('Output without end, and XML that is cut off, are errors with a name', async () => {
  const floods = await hostWith('floods', 'exec yes "$(printf %09999d 0)"', '60');
  await refusedAs('GlusterError', floods.host.call('gluster.listPeers', {}));
  const cut = await hostWith('cut', 'echo "<?xml version=\\"1.0\\"?><cliOutput><opRet>0</opRet>"');
  const error = await refusedAs('GlusterError', cut.host.call('gluster.listPeers', {}));
  assert.match(error.message, /cannot be read/);
  assert.equal(JSON.stringify(error.data).includes('src/'), false);
});

test('Changes run one at a time; a look does not wait for them', async () => {
  const { host } = await hostWith(
    'slow',
    `[ "$5" != start ] || { mkdir ${directory}/held || exit 9; sleep 0.3; rmdir ${directory}/held; }
echo '<?xml version="1.0"?><cliOutput><opRet>0</opRet><volInfo><volumes/></volInfo></cliOutput>'`,
  );
  let looked = false;
  const changes = ['a', 'b', 'c'].map((volume) => host.call('gluster.startVolume', { volume }));
  const look = host.call('gluster.listVolumes', {}).then(() => {
    looked = true;
  });
  await Promise.all(changes.slice(0, 2));
  assert.ok(looked);
  await Promise.all([...changes, look]);
});

test('A daemon that is killed takes the program with it', async () => {
  const { host, daemon } = await hostWith('doomed', 'echo $$ >"$0.pid"; exec sleep 1000');
  host.call('gluster.listPeers', {}).catch(() => {});
  const pid = await until('it runs', async () => {
    const text = await readFile(join(directory, 'doomed.pid'), 'utf8').catch(() => '');
    return text.endsWith('\n') && Number(text);
  });
  await daemon.kill();
  await until('it is gone', async () => {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    return state === '' || / [ZX] /.test(state);
  });
});
