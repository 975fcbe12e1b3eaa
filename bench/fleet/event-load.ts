/** What events cost the broker, by how many subscribers take them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { cpuSeconds } from './process-use.ts';
import type { SimulatedHosts } from './simulated-hosts.ts';
import type { Received } from './subscriber.ts';

export interface EventLoad {
  readonly subscribers: string;
  /** Per second: as the hosts publish, as subscribers get them all together. */
  readonly published: number;
  readonly delivered: number;
  /** Of one core. */
  readonly brokerCpu: number;
  readonly hostsCpu: number;
  /** Of all subscribers together. */
  readonly subscribersCpu: number;
  readonly medianLateMs: number;
  readonly longestLateMs: number;
}

export interface EventSetting {
  readonly brokerPid: number;
  readonly hosts: SimulatedHosts;
  readonly subscriberUrl: string;
  /** How many heartbeats all hosts publish in a second. */
  readonly published: number;
  readonly windowMs: number;
}

const program = fileURLToPath(new URL('./subscriber.ts', import.meta.url));

/** @param patterns - the binding keys of each subscriber */
export async function measureEvents(
  { brokerPid, hosts, subscriberUrl, published, windowMs }: EventSetting,
  subscribers: string,
  patterns: readonly (readonly string[])[],
): Promise<EventLoad> {
  const children = patterns.map((keys) =>
    fork(program, { env: { ...process.env, BENCH_URL: subscriberUrl, BENCH_PATTERNS: keys.join(' ') } }),
  );
  try {
    await Promise.all(children.map((child) => once(child, 'message')));
    await Promise.all(children.map(ask));
    const subscribersCpu = () => children.reduce((sum, { pid }) => sum + cpuSeconds(pid ?? 0), 0);
    const cpu = () => [cpuSeconds(brokerPid), hosts.cpuSeconds(), subscribersCpu()];
    const before = cpu();
    const beganMs = performance.now();
    // The rate over a stretch of time is what is measured.
    await sleep(windowMs);
    const seconds = (performance.now() - beganMs) / 1000;
    const cores = cpu().map((used, i) => (used - (before[i] ?? 0)) / seconds);
    const received = await Promise.all(children.map(ask));
    return {
      subscribers,
      published,
      delivered: received.reduce((sum, { events }) => sum + events, 0) / seconds,
      brokerCpu: cores[0] ?? 0,
      hostsCpu: cores[1] ?? 0,
      subscribersCpu: cores[2] ?? 0,
      medianLateMs: Math.max(0, ...received.map(({ medianLateMs }) => medianLateMs)),
      longestLateMs: Math.max(0, ...received.map(({ longestLateMs }) => longestLateMs)),
    };
  } finally {
    await Promise.all(
      children.map(async (child) => {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }),
    );
  }
}

async function ask(child: ChildProcess): Promise<Received> {
  const answered = once(child, 'message');
  child.send('ask');
  return (await answered)[0] as Received;
}
