/** The network is cut without a word, for a shorter and a longer time than the heartbeat: at the daemon, and at a caller. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { HostUnreachable } from '../../src/client/client.ts';
import { until } from '../lib/until.ts';
import { Cable, cableRefusal } from './cable.ts';
import { RemoteCaller } from './remote-caller.ts';
import { onlyInAll, results, tryFault } from './trials.ts';
import { World } from './world.ts';

const heartbeatSeconds = 1;
const shortCutMs = 700;
/** A connection that is silent for two heartbeats is dead. */
const longCutMs = 3500;

describe('a network that is cut', { skip: cableRefusal() ?? false }, () => {
  const report = results('network');
  let broker: PrivateBroker;
  let world: World;
  let daemonCable: Cable;
  let callerCable: Cable;

  before(async () => {
    [daemonCable, callerCable] = [await Cable.lay(), await Cable.lay()];
    broker = await startPrivateBroker({ address: daemonCable.address });
    world = await World.start({ brokerUrls: [broker.url] });
    const env = {
      HOSTBUS_BROKER_HEARTBEAT: `${heartbeatSeconds}`,
      // Off loopback it would serve nobody by default.
      HOSTBUS_ACCESS_ANONYMOUS: 'admin',
    };
    await world.startHost('h1', { env, enter: daemonCable.enter });
  });
  after(async () => {
    await world?.close();
    await broker?.stop();
    await daemonCable?.[Symbol.asyncDispose]();
    await callerCable?.[Symbol.asyncDispose]();
  });

  const losses = () => world.daemon('h1').log.filter(({ msg }) => msg === 'lost the broker').length;
  const isUnroutable = async () => {
    try {
      await world.client.host('h1').call('ping', {}, { timeout: 1000 });
      return false;
    } catch (error) {
      return error instanceof HostUnreachable;
    }
  };

  test('The daemon is cut off for less than a heartbeat: nobody notices.', async (t) => {
    const before = losses();
    const inject = async () => {
      world.call('h1', shortCutMs / 2);
      await daemonCable.pull();
      await sleep(shortCutMs);
      await daemonCable.plug();
    };
    report(
      await tryFault(
        t,
        'network of the daemon cut for 0.7 of a heartbeat',
        { short: 1, all: 20 },
        world,
        inject,
      ),
    );
    assert.equal(losses(), before, 'it kept its connection');
  });

  test('The daemon is cut off until it and the broker have noticed.', async (t) => {
    const inject = async () => {
      const before = losses();
      world.call('h1', 1000);
      await daemonCable.pull();
      await until('the daemon notices', () => losses() > before);
      await until('the broker notices', isUnroutable);
      await daemonCable.plug();
    };
    report(
      await tryFault(
        t,
        'network of the daemon cut until both ends give up',
        { short: 1, all: 10 },
        world,
        inject,
      ),
    );
  });

  const comesBackEarly = { short: 0, all: 10 };
  test('The daemon is back before the broker has noticed: it waits for its own queue.', {
    skip: onlyInAll(comesBackEarly),
  }, async (t) => {
    const inject = async () => {
      const before = losses();
      await daemonCable.pull();
      await until('the daemon notices', () => losses() > before);
      await daemonCable.plug();
    };
    report(await tryFault(t, 'network of the daemon cut until it gives up', comesBackEarly, world, inject));
  });

  test('A caller is cut off for longer than its heartbeat.', async (t) => {
    const { recorder } = world;
    const inject = async () => {
      const enter = callerCable.enter;
      const url = broker.url;
      const caller = new RemoteCaller({
        recorder,
        url,
        hostIds: ['h1'],
        callers: 6,
        heartbeatSeconds,
        enter,
      });
      await caller.hasOutcomes(20);
      await callerCable.pull();
      await sleep(longCutMs);
      await callerCable.plug();
      await caller.hasOutcomes(60);
      await caller.stop();
    };
    report(
      await tryFault(t, 'network of a caller cut for 3.5 heartbeats', { short: 1, all: 10 }, world, inject),
    );
  });
});
