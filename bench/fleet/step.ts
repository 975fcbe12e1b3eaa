/** All that is measured with one number of hosts, on a broker of its own. */
import { makeDefinitions } from '../../rabbitmq/definitions.ts';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { connect } from '../../src/client/client.ts';
import { until } from '../../test/lib/until.ts';
import { type BrokerState, brokerState } from './broker-state.ts';
import { type CallRound, callAll } from './call-round.ts';
import { type EventLoad, measureEvents } from './event-load.ts';
import type { HostSpec } from './host-spec.ts';
import { afterClose, afterRestart, allConnected, type Reconnect } from './reconnect.ts';
import { SimulatedHosts } from './simulated-hosts.ts';

/** What was measured with so many hosts. */
export interface Step {
  readonly hosts: number;
  readonly before: BrokerState;
  readonly idle: BrokerState;
  readonly events: readonly EventLoad[];
  readonly calls: readonly CallRound[];
  readonly reconnects: readonly Reconnect[];
}

const processes = 4;
const windowMs = 5_000;
const inFlight = 64;
const callRounds = 4;
const productionSeconds = 5;
/** Of all hosts together, when they beat quickly. */
const quickPerSecond = 1_000;
/** The quickest that the configuration allows. */
const leastSeconds = 0.1;

export async function measureStep(count: number): Promise<Step> {
  const hostIds = Array.from({ length: count }, (_, i) => `h${String(i + 1).padStart(5, '0')}`);
  const { definitions, passwords } = makeDefinitions({
    hosts: hostIds,
    engines: ['engine'],
    subscribers: ['dashboard'],
  });
  await using broker = await startPrivateBroker({ definitions, startTimeoutMs: 300_000 });
  const urlFor = (user: string) => broker.urlFor(user, passwords[user] ?? '');
  const hostsBeating = (seconds: number): HostSpec[] =>
    hostIds.map((hostId) => ({ hostId, brokerUrl: urlFor(`hostbus-${hostId}`), heartbeat: `${seconds}s` }));
  const eventsOf = (hosts: SimulatedHosts, seconds: number) => {
    const brokerPid = broker.pid ?? 0;
    const subscriberUrl = urlFor('dashboard');
    const setting = { brokerPid, hosts, subscriberUrl, published: count / seconds, windowMs };
    return (subscribers: string, patterns: string[][]) => measureEvents(setting, subscribers, patterns);
  };

  const before = await brokerState(broker);
  const events: EventLoad[] = [];
  {
    const quick = Math.max(leastSeconds, count / quickPerSecond);
    await using hosts = new SimulatedHosts(hostsBeating(quick), processes);
    await allConnected(hosts, count);
    const measure = eventsOf(hosts, quick);
    const all = ['#'];
    const quarters = [0, 1, 2, 3].map((part) =>
      hostIds.filter((_id, i) => i % 4 === part).map((hostId) => `${hostId}.#`),
    );
    events.push(await measure('none', []));
    events.push(await measure('1 of all', [all]));
    events.push(await measure('4 of all', [all, all, all, all]));
    events.push(await measure('4 of a quarter each', quarters));
  }
  await until('the broker has let go of them', async () => (await brokerState(broker)).connections === 0);

  await using hosts = new SimulatedHosts(hostsBeating(productionSeconds), processes);
  await allConnected(hosts, count);
  const measure = eventsOf(hosts, productionSeconds);
  events.unshift(await measure('none', []), await measure('1 of all', [['#']]));
  const idle = await brokerState(broker);
  const calls = await callRoundsOf(broker, urlFor('engine'), hostIds, hosts);
  const reconnects = [await afterClose(broker, hosts, count), await afterRestart(broker, hosts, count)];
  return { hosts: count, before, idle, events, calls, reconnects };
}

async function callRoundsOf(broker: PrivateBroker, url: string, hostIds: string[], hosts: SimulatedHosts) {
  await using client = await connect(url);
  const rounds: CallRound[] = [];
  const brokerPid = broker.pid ?? 0;
  for (let round = 0; round < callRounds; round += 1) {
    rounds.push(await callAll(client, hostIds, inFlight, { brokerPid, hosts }));
  }
  return rounds;
}
