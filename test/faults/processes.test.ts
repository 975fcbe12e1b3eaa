/** SIGKILL of the broker, of daemons and of callers, while calls and copies are in each of their phases; a restart of the broker. */
import { randomInt } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { Copies } from './copies.ts';
import { RemoteCaller } from './remote-caller.ts';
import { onlyInAll, results, tryFault } from './trials.ts';
import { World } from './world.ts';

describe('processes that are killed', () => {
  const report = results('processes');
  let broker: PrivateBroker;
  let world: World;
  let copies: Copies;

  before(async () => {
    broker = await startPrivateBroker();
    world = await World.start({ brokerUrls: [broker.url] });
    const env = { HOSTBUS_STORAGE_ROOTS: world.dir };
    await Promise.all([world.startHost('h1', { env }), world.startHost('h2', { env })]);
    copies = await Copies.prepare(world, 'h1', 48);
  });
  after(async () => {
    await world?.close();
    await broker?.stop();
  });

  /**
   * Brings calls and copies into each phase: h2 is stopped, so that its requests wait; h1 runs a long one; a copy has been
   * answered and goes on, and another has just been asked for. The callers of the load are about everything between.
   */
  async function inEachPhase(): Promise<void> {
    world.daemon('h2').process.kill('SIGSTOP');
    for (let n = 0; n < 3; n += 1) world.call('h2', 0);
    world.call('h1', 500);
    await copies.begin().answered;
    copies.begin();
    // The moment is the point here, not a wait for something.
    await sleep(randomInt(30));
  }
  const goOn = () => void world.daemon('h2').process.kill('SIGCONT');

  test('Daemons are killed, and started again.', async (t) => {
    const env = { HOSTBUS_STORAGE_ROOTS: world.dir };
    const inject = async () => {
      await inEachPhase();
      await Promise.all(['h1', 'h2'].map((hostId) => world.killHost(hostId)));
      await Promise.all(['h1', 'h2'].map((hostId) => world.startHost(hostId, { env, wait: false })));
    };
    report(
      await tryFault(t, 'SIGKILL of the daemon', { short: 1, all: 15 }, world, inject, () =>
        copies.check(true),
      ),
    );
    t.diagnostic(JSON.stringify(copies.counts));
  });

  test('A caller is killed: its tasks go on, and who knows their IDs finds them.', async (t) => {
    const inject = async () => {
      const { recorder, client } = world;
      const caller = new RemoteCaller({ recorder, url: broker.url, hostIds: ['h1', 'h2'], callers: 8 });
      await caller.hasOutcomes(20 + randomInt(20));
      await caller.kill();
      await caller.findOut(client);
    };
    report(await tryFault(t, 'SIGKILL of a caller', { short: 1, all: 20 }, world, inject));
  });

  // Last, since a subscriber that was away cannot vouch for each event any more.
  test('The broker is killed, and started again.', async (t) => {
    const inject = async () => {
      await inEachPhase();
      await broker.kill();
      goOn();
      await broker.restart();
    };
    report(
      await tryFault(t, 'SIGKILL of the broker', { short: 1, all: 10 }, world, inject, () =>
        copies.check(false),
      ),
    );
  });

  // In the short form test/integration/protocol/broker-outage.test.ts has it.
  const restarts = { short: 0, all: 10 };
  test('The broker is restarted in good order.', { skip: onlyInAll(restarts) }, async (t) => {
    const inject = async () => {
      await inEachPhase();
      goOn();
      await broker.restart();
    };
    report(await tryFault(t, 'restart of the broker', restarts, world, inject, () => copies.check(false)));
  });
});
