/** One subscriber, of events that match BENCH_PATTERNS, in a process of its own. Tells how many it has had, and how late they were, when asked. */
import { BrokerLink } from '../../src/bus/broker-link.ts';
import { Subscription } from '../../src/client/subscription.ts';

const { BENCH_URL: url = '', BENCH_PATTERNS: patterns = '' } = process.env;

/** What is told to the bench. */
export interface Received {
  readonly events: number;
  readonly medianLateMs: number;
  readonly longestLateMs: number;
}

const subscription = new Subscription(patterns.split(' '), () => {});
const link = new BrokerLink(
  { urls: [url], name: 'bench subscriber', heartbeatSeconds: 10 },
  { setUp: (session) => subscription.setUp(session), lost: () => subscription.lost() },
);
void link.run();
await subscription.ready;
let lateMs: number[] = [];
// It ends with the bench, however that ends.
process.on('disconnect', () => process.exit());
process.on('message', () => {
  const sorted = lateMs.sort((a, b) => a - b);
  lateMs = [];
  process.send?.({
    events: sorted.length,
    medianLateMs: sorted[sorted.length >> 1] ?? 0,
    longestLateMs: sorted.at(-1) ?? 0,
  } satisfies Received);
});
process.send?.('ready');
for await (const event of subscription) lateMs.push(Date.now() - Date.parse(event.time));
