/** What a broker does to its clients: it blocks publishers, loses a queue, closes a channel; and other subscribers that do not read. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { until } from '../lib/until.ts';
import { BadSubscribers } from './bad-subscribers.ts';
import { results, tryFault } from './trials.ts';
import { World } from './world.ts';

describe('a broker that makes trouble', () => {
  const report = results('broker-side');
  let broker: PrivateBroker;
  let world: World;

  before(async () => {
    broker = await startPrivateBroker();
    world = await World.start({ brokerUrls: [broker.url] });
    await world.startHost('h1');
  });
  after(async () => {
    await world?.close();
    await broker?.stop();
  });

  const lines = (text: string) => world.daemon('h1').log.filter(({ msg }) => msg.includes(text)).length;
  const reconnects = async () => (await world.client.host('h1').call('getHostStats', {})).broker.reconnects;

  for (const [alarm, raise, clear] of [
    [
      'memory',
      ['set_vm_memory_high_watermark', '0.0000001'],
      ['set_vm_memory_high_watermark', 'absolute', '1GB'],
    ],
    ['disk', ['set_disk_free_limit', '1000000GB'], ['set_disk_free_limit', '1MB']],
  ] as const) {
    test(`The broker blocks publishers: its ${alarm} alarm.`, async (t) => {
      const before = await reconnects();
      const inject = async () => {
        const blocked = lines('the broker has blocked publishing');
        const ended = lines('task ended');
        world.call('h1', 300);
        await broker.ctl(...raise);
        await until('the daemon is blocked', () => lines('the broker has blocked publishing') > blocked);
        await until('a task ends meanwhile', () => lines('task ended') > ended);
        await broker.ctl(...clear);
      };
      report(
        await tryFault(t, `\`connection.blocked\`, ${alarm} alarm`, { short: 1, all: 10 }, world, inject),
      );
      assert.equal(await reconnects(), before, 'no connection was lost');
    });
  }

  test('The request queue is deleted under the daemon.', async (t) => {
    const queue = `rabbit_misc:r(<<"/">>, queue, <<"hostbus.rpc.h1">>)`;
    const inject = async () => {
      const lost = lines('lost the broker');
      world.call('h1', 300);
      await broker.ctl(
        'eval',
        `{ok, Q} = rabbit_amqqueue:lookup(${queue}), rabbit_amqqueue:delete(Q, false, false, <<"faults">>).`,
      );
      await until('the daemon notices', () => lines('lost the broker') > lost);
    };
    report(await tryFault(t, 'request queue deleted', { short: 1, all: 15 }, world, inject));
  });

  test('The broker closes the channel of requests: PRECONDITION_FAILED, a delivery was not acknowledged in time.', async (t) => {
    const timeouts = (channelTickMs: number, consumerTimeoutMs: number) =>
      broker.ctl(
        'eval',
        `application:set_env(rabbit, channel_tick_interval, ${channelTickMs}), application:set_env(rabbit, consumer_timeout, ${consumerTimeoutMs}).`,
      );
    const inject = async () => {
      const { process } = world.daemon('h1');
      const lost = lines('lost the broker');
      const closed = closedChannels(broker);
      process.kill('SIGSTOP');
      world.call('h1', 0);
      await until('the broker closes the channel', () => closedChannels(broker) > closed);
      process.kill('SIGCONT');
      await until('the daemon notices', () => lines('lost the broker') > lost);
    };
    // In force for channels that are opened from now on.
    await timeouts(300, 300);
    await world.killHost('h1');
    await world.startHost('h1');
    await world.check();
    report(await tryFault(t, 'channel closed, PRECONDITION_FAILED', { short: 1, all: 15 }, world, inject));
    await timeouts(60_000, 1_800_000);
    assert.match(JSON.stringify(world.daemon('h1').log), /PRECONDITION_FAILED/);
  });

  test('Subscribers that never read, and whose queues are full: the others miss nothing.', async (t) => {
    const inject = async () => {
      const before = world.witness.counts.events;
      const bad = await BadSubscribers.start(broker.url);
      const late = await until('many events', () => world.witness.counts.events > before + 500)
        .then(() => bad.readAtLast())
        .finally(() => bad.stop());
      assert.deepEqual(late.violations, [], 'what is left of them is in order');
      assert.ok(late.counts.missed > 0, 'and the gap shows in the numbers');
    };
    report(await tryFault(t, 'subscribers that never read', { short: 1, all: 10 }, world, inject));
    const { events } = await world.client.host('h1').call('getHostStats', {});
    assert.equal(events.dropped, 0);
  });
});

/** How many channels the broker has closed because of an acknowledgement that did not come. */
function closedChannels({ dir }: PrivateBroker): number {
  const log = join(dir, 'log');
  const text = readdirSync(log).map((name) => readFileSync(join(log, name), 'utf8'));
  return text.join('').split('delivery acknowledgement on channel').length;
}
