/**
 * hostbus beside what one would pick instead: calls, tasks that last, events. Interleaved rounds in one run, medians of paired ratios,
 * CPU of server, client and broker. `node bench/run.ts peers [ROUNDS] [--write]`: with `--write` it renews docs/performance.md and the plot beside it. 0 rounds: one short
 * round, to try it.
 */
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { Contender, plans, type Samples } from './contender.ts';
import { type PeersResult, writePage } from './peers-page.ts';
import { median } from './round-trips.ts';

/** How many calls a measurement makes, at a pace of 1. */
const callsAt: Readonly<Record<number, number>> = { 1: 2_000, 16: 12_000, 128: 24_000, 1024: 24_000 };
const lastingTasks = 10_000;
const lastingMs = 1_000;
const subscriberCounts = [1, 10, 100];
/** Delivered to all subscribers together. */
const deliveries = 40_000;
const shortShare = 0.05;

export async function benchPeers(rounds: number, write: boolean): Promise<void> {
  const share = rounds === 0 ? shortShare : 1;
  const atLeastOne = Math.max(rounds, 1);
  const contenders: Contender[] = [];
  await using broker = await startPrivateBroker();
  try {
    for (const plan of plans) contenders.push(await Contender.start(plan, broker.url, broker.pid ?? 0));
    await inTurn(contenders, 1, (one) => one.calls(scaled(4_000 * one.plan.pace, share), 64));
    const result: PeersResult = {
      rounds: atLeastOne,
      calls: new Map(),
      lasting: new Map(),
      events: new Map(),
    };
    for (const [level, count] of Object.entries(callsAt)) {
      const inFlight = Number(level);
      const samples = await inTurn(contenders, atLeastOne, async (one) => {
        // At least as many as are in flight, or the last ones would be measured alone.
        const calls = Math.max(scaled(count * one.plan.pace, share), inFlight);
        return { count: calls, ...(await one.calls(calls, inFlight)) };
      });
      result.calls.set(inFlight, samples);
      process.stderr.write(`calls, ${inFlight} in flight: ${summary(samples)}\n`);
    }
    const lasting = Math.max(scaled(lastingTasks, share), 100);
    const tasks = await inTurn(contenders, 1, async (one) => {
      return { count: lasting, ...(await one.calls(lasting, lasting, lastingMs)) };
    });
    result.lasting.set(lasting, tasks);
    process.stderr.write(`${lasting} that last ${lastingMs} ms: ${summary(tasks)}\n`);
    for (const subscribers of subscriberCounts) {
      const speakers = contenders.filter(({ plan }) => plan.subscribersMax >= subscribers);
      for (const one of speakers) await one.subscribe(subscribers);
      const samples = await inTurn(speakers, atLeastOne, async (one) => {
        const pace = Math.max(one.plan.pace, 0.1);
        const events = Math.max(1, scaled((deliveries / subscribers) * pace, share));
        return { count: events * subscribers, ...(await one.events(events, subscribers)) };
      });
      result.events.set(subscribers, samples);
      process.stderr.write(`events, ${subscribers} subscribers: ${summary(samples)}\n`);
    }
    writePage(result, write);
  } finally {
    await Promise.all(contenders.map((one) => one.stop()));
  }
}

/** Each contender begins a round in turn. */
async function inTurn<T>(
  contenders: readonly Contender[],
  rounds: number,
  work: (contender: Contender) => Promise<T>,
): Promise<Map<string, T[]>> {
  const samples = new Map<string, T[]>(contenders.map(({ plan }) => [plan.name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let i = 0; i < contenders.length; i += 1) {
      const one = contenders[(i + round) % contenders.length];
      if (one !== undefined) samples.get(one.plan.name)?.push(await work(one));
    }
  }
  return samples;
}

function scaled(count: number, share: number): number {
  return Math.ceil(count * share);
}

function summary(samples: Samples): string {
  const each = [...samples].map(([name, own]) => {
    return `${name} ${median(own.map(({ count, seconds }) => count / seconds)).toFixed(0)}/s`;
  });
  return each.join(', ');
}
