/**
 * What callers are told while a program or a peer hangs, a link is down, a host has lost its power, or many change one volume at once.
 * What becomes of each verb when its daemon dies, or glusterd is dead or hangs: verbs/.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { isAlive, signalProcess } from '../../rabbitmq/process-identity.ts';
import type { VerbName, VerbTypes } from '../../schemas/verbs.ts';
import { connect, HostbusError, HostUnreachable, OutcomeUnknown } from '../../src/client/client.ts';
import { formPool, labRefusal } from '../lab/lab.ts';
import type { LabDaemon } from '../lab/lab-daemon.ts';
import { childrenOf, commandOf, whileHung } from '../lib/gluster-faults.ts';
import { type GlusterHosts, refusedAs, startGlusterHosts } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';

const volume = 'v';
const timeoutS = 1;

let hosts: GlusterHosts;
/** On h1, beside its daemon of the same name; it waits for Gluster for a second only. */
let impatient: LabDaemon;

describe('faults around Gluster', { skip: labRefusal() ?? false }, () => {
  before(async () => {
    hosts = await startGlusterHosts(3, {
      HOSTBUS_BROKER_HEARTBEAT: '2',
      HOSTBUS_GLUSTER_OPERATION_IDLE_INTERVAL: '3600',
    });
    const { lab } = hosts;
    const env = {
      HOSTBUS_GLUSTER_TIMEOUT: String(timeoutS),
      HOSTBUS_GLUSTER_OPERATION_IDLE_INTERVAL: '3600',
    };
    impatient = await lab.host(1).startDaemon({ hostId: 'impatient', env });
    const [bricks] = await Promise.all([
      Promise.all(lab.hosts.map((host) => host.makeBrick('b1'))),
      formPool(lab),
    ]);
    await on('h1', 'createVolume', { volume, bricks });
    await on('h1', 'startVolume', { volume });
  });

  after(() => hosts?.[Symbol.asyncDispose]());

  type Gluster<V extends string> = Extract<VerbName, `gluster.${V}`>;
  type Call<V extends string> = Promise<VerbTypes[Gluster<V>]['result']>;
  const on = <V extends string>(hostId: string, verb: V, params: VerbTypes[Gluster<V>]['params']) =>
    hosts.client.host(hostId).call(`gluster.${verb}` as Gluster<V>, params, { timeout: 60_000 }) as Call<V>;
  const set = (hostId: string, option: string, value: string) =>
    on(hostId, 'setVolumeOption', { volume, option, value });
  const optionOf = async (hostId: string, option: string) =>
    (await on(hostId, 'getVolume', { volume })).options[option];
  const doneUnlessBusy = (call: Promise<unknown>) =>
    call.then(
      () => true,
      (error: unknown) => {
        if (error instanceof HostbusError && error.name === 'GlusterBusy') return false;
        throw error;
      },
    );
  const poolIs = (connected: number) =>
    until(
      `h1 sees ${connected} hosts`,
      async () => {
        const { peers } = await on('h1', 'listPeers', {});
        return peers.filter((peer) => peer.connected && peer.state === 'inCluster').length === connected;
      },
      40_000,
    );

  test('The program itself hangs: it is killed and reaped', async () => {
    await whileHung(hosts.lab.host(1), async () => {
      const call = on('impatient', 'listVolumes', {});
      const program = await until('gluster runs', () => commandOf(impatient, 'volume info'));
      signalProcess(program, 'SIGSTOP');
      const error = await refusedAs('GlusterTimeout', call);
      assert.equal(error.data.exitCode, null);
      assert.equal(isAlive(program), false);
      assert.deepEqual(childrenOf(impatient), []);
    });
    await on('impatient', 'listVolumes', {});
  });

  test('Twenty callers on each of three hosts: each is done, or told that Gluster is busy', async () => {
    const { url } = await hosts.lab.broker();
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(url)));
    const calls = clients.flatMap((client, at) =>
      ['h1', 'h2', 'h3'].map(async (hostId) => {
        const value = `${hostId}-${at}`;
        const params = { volume, option: 'user.winner', value };
        const call = client.host(hostId).call('gluster.setVolumeOption', params, { timeout: 120_000 });
        const error = await call.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        return { value, error };
      }),
    );
    const ends = await Promise.all(calls);
    await Promise.all(clients.map((client) => client.close()));
    const failed = ends.filter(({ error }) => error !== undefined);
    assert.ok(
      failed.every(({ error }) => error instanceof HostbusError && error.name === 'GlusterBusy'),
      failed.map(({ error }) => String(error)).join('\n'),
    );
    const done = ends.filter(({ error }) => error === undefined).map(({ value }) => value);
    const [winner = '', ...others] = await Promise.all(
      ['h1', 'h2', 'h3'].map((hostId) => optionOf(hostId, 'user.winner')),
    );
    assert.deepEqual(others, [winner, winner]);
    assert.ok(done.includes(winner), `${winner} is none of ${done.join()}`);
  });

  test('A peer hangs: looks answer, a change ends in time, and the truth is in Gluster', async () => {
    await whileHung(hosts.lab.host(2), async () => {
      await refusedAs('GlusterTimeout', set('impatient', 'user.peer', 'slow'));
      const { peers } = await on('impatient', 'listPeers', {});
      assert.equal(peers.length, 3);
      assert.equal((await on('impatient', 'getVolume', { volume })).status, 'started');
    });
    await set('h1', 'user.peer', 'back');
    await poolIs(3);
    for (const hostId of ['h1', 'h2', 'h3']) {
      await until(`${hostId} knows`, async () => (await optionOf(hostId, 'user.peer')) === 'back');
    }
  });

  test('A host without its network: the others go on, and it learns what it has missed', async () => {
    const host = hosts.lab.host(3);
    await host.unplug();
    const change = set('h1', 'user.link', 'during');
    // Whether Gluster has noticed or not.
    assert.equal((await on('h1', 'listPeers', {})).peers.length, 3);
    assert.equal((await on('h1', 'getVolume', { volume })).status, 'started');
    // Done, or cut off by the loss; before h1 has noticed, it waits.
    await change.catch((error: unknown) => assert.ok(error instanceof HostbusError, String(error)));
    await poolIs(2);
    await assert.rejects(on('h3', 'listPeers', {}), HostUnreachable);
    const bricks = ['h1:/bricks/b1/w', 'h3:/bricks/b1/w'];
    await refusedAs('PeerDisconnected', on('h1', 'createVolume', { volume: 'w', bricks }));
    await until('h1 may change the volume', () => doneUnlessBusy(set('h1', 'user.link', 'lost')));
    const { bricks: seen } = await on('h1', 'getVolumeStatus', { volume });
    assert.ok(!seen.some(({ brick, online }) => brick.startsWith('h3:') && online));
    await host.plug();
    await poolIs(3);
    await until('h3 is back, and knows', () =>
      optionOf('h3', 'user.link').then(
        (value) => value === 'lost',
        (error: unknown) => {
          if (error instanceof HostUnreachable) return false;
          throw error;
        },
      ),
    );
  });

  test('Power cut of the host that runs a command: its caller finds out, the others go on', async () => {
    const host = hosts.lab.host(2);
    const daemon = hosts.daemons[1];
    assert.ok(daemon);
    // glusterd takes a second for it, at least.
    const lost = on('h2', 'startVolumeRebalance', { volume }).then(
      () => undefined,
      (error: unknown) => error,
    );
    await until('the command runs', () => commandOf(daemon, 'volume rebalance'));
    await host.powerCut();
    await until('the broker has noticed', () =>
      on('h2', 'listPeers', {}).then(
        () => false,
        (error: unknown) => error instanceof HostUnreachable,
      ),
    );
    await poolIs(2);
    // Each of the others holds the dead host's lock until it has noticed itself.
    await until('h1 may change the volume', () => doneUnlessBusy(set('h1', 'user.power', 'on')), 60_000);
    assert.equal(await optionOf('h3', 'user.power'), 'on');
    await host.start();
    await host.startDaemon();
    assert.ok((await lost) instanceof OutcomeUnknown, String(await lost));
    await poolIs(3);
    await until('h2 knows what it has missed', async () => (await optionOf('h2', 'user.power')) === 'on');
  });
});
