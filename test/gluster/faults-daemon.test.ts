/** Daemons that die in the middle of a change, and many callers on several hosts who change one volume: Gluster keeps the truth. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Operation } from '../../schemas/gluster-operations.ts';
import type { VerbName, VerbTypes } from '../../schemas/verbs.ts';
import { connect, HostbusError } from '../../src/client/client.ts';
import { formPool, type LabHost, labRefusal } from '../lab/lab.ts';
import type { LabDaemon } from '../lab/lab-daemon.ts';
import { childrenOf, commandOf, isAsked, whileHung } from '../lib/gluster-faults.ts';
import { type GlusterHosts, startGlusterHosts } from '../lib/gluster-hosts.ts';
import { until } from '../lib/until.ts';

const callTimeoutMs = 120_000;
/** Looks for operations take locks, too, by which the moments of these tests are told. */
const env = { HOSTBUS_GLUSTER_OPERATION_IDLE_INTERVAL: '3600' };

let hosts: GlusterHosts;
let daemon: LabDaemon;

type Verb = Extract<VerbName, `gluster.${string}`> extends `gluster.${infer V}` ? V : never;
type Types<V extends Verb> = VerbTypes[`gluster.${V}`];

function on<V extends Verb>(hostId: string, verb: V, params: Types<V>['params']) {
  const call = hosts.client.host(hostId).callUntyped(`gluster.${verb}`, params, { timeout: callTimeoutMs });
  return call as Promise<Types<V>['result']>;
}

const look = async (hostId: string, volume: string) =>
  (await on(hostId, 'listVolumes', {})).volumes.find((found) => found.volume === volume);
const brick = (host: string, name: string) => `${host}:/bricks/b1/${name}`;
const errorOf = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: unknown) => error,
  );

interface Change {
  readonly verb: Verb;
  /** On Gluster's command line. */
  readonly words: string;
  start(): Promise<unknown>;
  /** Looks whether Gluster has done it. */
  done(): Promise<boolean>;
  /** What Gluster says to who asks for what is done; without it, it is done again. */
  readonly again: RegExp | undefined;
}

/** The life of a volume. */
function lifeOf(volume: string): Change[] {
  const option = 'cluster.lookup-optimize';
  const [first, second, third] = ['h1', 'h2', 'h3'].map((host) => brick(host, volume)) as [
    string,
    string,
    string,
  ];
  type Volume = NonNullable<Awaited<ReturnType<typeof look>>>;
  const step = <V extends Verb>(
    verb: V,
    words: string,
    params: Omit<Types<V>['params'], 'volume'>,
    done: (found: Volume | undefined) => boolean,
    again?: RegExp,
  ): Change => ({
    verb,
    words,
    again,
    start: () => on('h1', verb, { volume, ...params } as Types<V>['params']),
    done: async () => done(await look('h1', volume)),
  });
  const statusIs = (status: string) => (found: Volume | undefined) => found?.status === status;
  const optionIs = (name: string, value?: string) => (found: Volume | undefined) =>
    found !== undefined && found.options[name] === value;
  const profiling = 'diagnostics.latency-measurement';
  return [
    step('createVolume', 'volume create', { bricks: [first, second] }, statusIs('created'), /already exists/),
    step('startVolume', 'volume start', {}, statusIs('started'), /already started/),
    step('setVolumeOption', 'volume set', { option, value: 'off' }, optionIs(option, 'off')),
    step('resetVolumeOption', 'volume reset', { option }, optionIs(option)),
    step(
      'addBricks',
      'volume add-brick',
      { bricks: [third] },
      (found) => found?.bricks.length === 3,
      /existing brick/,
    ),
    step('startVolumeProfile', 'volume profile', {}, optionIs(profiling, 'on'), /already started/),
    step('stopVolumeProfile', 'volume profile', {}, optionIs(profiling), /not started/),
    step('stopVolume', 'volume stop', {}, statusIs('stopped'), /not in the started state/),
    step('deleteVolume', 'volume delete', {}, (found) => found === undefined, /does not exist/),
  ];
}

/** What moves data, each on a volume of its own, which has three bricks. */
function moves(): (Change & { volume: string })[] {
  const step = (
    verb: Verb,
    words: string,
    params: { volume: string },
    status: () => Promise<Operation>,
    again: RegExp,
  ) => ({
    verb,
    words,
    again,
    volume: params.volume,
    start: () => hosts.client.host('h1').callUntyped(`gluster.${verb}`, params, { timeout: callTimeoutMs }),
    done: () =>
      status().then(
        (operation) => ['running', 'completed'].includes(operation.status),
        (error: unknown) => {
          // For a moment after its start Gluster cannot tell how an operation is.
          if (error instanceof HostbusError) return false;
          throw error;
        },
      ),
  });
  const rebalance = { volume: 'spread' };
  const removal = { volume: 'shrunk', bricks: [brick('h3', 'shrunk')] };
  return [
    step(
      'startVolumeRebalance',
      'volume rebalance',
      rebalance,
      () => on('h1', 'getVolumeRebalanceStatus', rebalance),
      /already started|in progress/,
    ),
    step(
      'startBrickRemoval',
      'volume remove-brick',
      removal,
      () => on('h1', 'getBrickRemovalStatus', removal),
      /earlier remove-brick task|in progress/,
    ),
  ];
}

/** Starts the change, kills the daemon at `moment`, while glusterd of a host hangs, and starts the daemon again. */
async function cut({ start, verb }: Change, held: LabHost, moment: () => boolean): Promise<void> {
  await whileHung(held, async () => {
    // How such a call ends is shown where a host loses its power; nobody waits for this one.
    start().catch(() => {});
    await until(`the moment of ${verb}`, moment);
    await daemon.kill();
  });
  const looks = await looksSoFar();
  daemon = await hosts.lab.host(1).startDaemon({ env });
  // Its first look at operations takes a lock, as a change does.
  await until(
    'the first look is over',
    async () => (await looksSoFar()) > looks && childrenOf(daemon).length === 0,
  );
}

/** How many looks at operations glusterd of h1 has answered. */
async function looksSoFar(): Promise<number> {
  const { stdout } = await hosts.lab
    .host(1)
    .exec(['grep', '-c', 'status all tasks', '/var/log/glusterfs/cmd_history.log']);
  return Number(stdout);
}

/** Asks again, as a caller does whose answer was lost: it is done, or Gluster says that it has been. */
async function repeat({ start, verb, again }: Change): Promise<void> {
  const error = await errorOf(start());
  if (error === undefined) return;
  assert.ok(error instanceof HostbusError && again !== undefined, `${verb}: ${String(error)}`);
  assert.match(String(error.data.opErrstr), again, verb);
}

describe('daemons that die, and contention', { skip: labRefusal() ?? false }, () => {
  before(async () => {
    hosts = await startGlusterHosts(3, env);
    const [first] = hosts.daemons;
    assert.ok(first);
    daemon = first;
    await until('the first look is over', async () => (await looksSoFar()) > 0);
    await Promise.all([formPool(hosts.lab), ...hosts.lab.hosts.map((host) => host.makeBrick('b1'))]);
  });

  after(() => hosts?.[Symbol.asyncDispose]());

  for (const step of lifeOf('late')) {
    test(`A daemon dies while Gluster is at ${step.verb}: it is done, and any daemon tells`, async () => {
      const held = hosts.lab.host(2);
      await cut(
        step,
        held,
        () => commandOf(daemon, step.words) !== undefined && isAsked(held, hosts.lab.host(1)),
      );
      await until(`${step.verb} is done`, step.done);
      await repeat(step);
      await until(`${step.verb} is still done`, step.done);
    });
  }

  const coarse: readonly Verb[] = ['createVolume', 'startVolume', 'stopVolume', 'deleteVolume'];
  for (const step of lifeOf('early').filter(({ verb }) => coarse.includes(verb))) {
    test(`A daemon dies before glusterd has heard of ${step.verb}: asked for again, it is done`, async () => {
      await cut(step, hosts.lab.host(1), () => commandOf(daemon, step.words) !== undefined);
      await repeat(step);
      await until(`${step.verb} is done`, step.done);
    });
  }

  for (const step of moves()) {
    test(`A daemon dies in the middle of ${step.verb}: asked for again, it is done`, async () => {
      const { volume } = step;
      const bricks = ['h1', 'h2', 'h3'].map((host) => brick(host, volume));
      await on('h1', 'createVolume', { volume, bricks });
      await on('h1', 'startVolume', { volume });
      // Whether Gluster has heard of it nobody can tell: the daemon looks at operations meanwhile.
      await cut(step, hosts.lab.host(2), () => commandOf(daemon, step.words) !== undefined);
      await repeat(step);
      await until(`${step.verb} is done`, step.done);
    });
  }

  test('Twenty callers on each of three hosts: each is done, or told that Gluster is busy', async () => {
    const volume = 'many';
    await on('h1', 'createVolume', { volume, bricks: ['h1', 'h2', 'h3'].map((host) => brick(host, volume)) });
    const { url } = await hosts.lab.broker();
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(url)));
    const calls = clients.flatMap((client, at) =>
      ['h1', 'h2', 'h3'].map(async (hostId) => {
        const value = `${hostId}-${at}`;
        const call = client
          .host(hostId)
          .call(
            'gluster.setVolumeOption',
            { volume, option: 'user.winner', value },
            { timeout: callTimeoutMs },
          );
        return { value, error: await errorOf(call) };
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
    const told = await Promise.all(['h1', 'h2', 'h3'].map((hostId) => look(hostId, volume)));
    const [winner = '', ...others] = told.map((found) => found?.options['user.winner']);
    assert.deepEqual(others, [winner, winner]);
    assert.ok(done.includes(winner), `${winner} is none of ${done.join()}`);
  });
});
