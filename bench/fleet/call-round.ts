/** An engine that calls every host once, with so many calls under way at most. */
import type { Client } from '../../src/client/client.ts';
import { cpuSeconds } from './process-use.ts';
import type { SimulatedHosts } from './simulated-hosts.ts';

export interface CallRound {
  readonly perSecond: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly longestMs: number;
  /** CPU milliseconds for each call. */
  readonly brokerCpuMs: number;
  readonly hostsCpuMs: number;
  readonly engineCpuMs: number;
}

/** @throws what a call failed with */
export async function callAll(
  client: Client,
  hostIds: readonly string[],
  inFlight: number,
  processes: { brokerPid: number; hosts: SimulatedHosts },
): Promise<CallRound> {
  const cpu = () => [cpuSeconds(processes.brokerPid), processes.hosts.cpuSeconds(), cpuSeconds(process.pid)];
  const before = cpu();
  const latencies: number[] = [];
  const beganMs = performance.now();
  let next = 0;
  const caller = async () => {
    for (;;) {
      const hostId = hostIds[next];
      if (hostId === undefined) return;
      next += 1;
      const sentMs = performance.now();
      await client.host(hostId).call('ping', {});
      latencies.push(performance.now() - sentMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  const seconds = (performance.now() - beganMs) / 1000;
  const [brokerCpuMs = 0, hostsCpuMs = 0, engineCpuMs = 0] = cpu().map(
    (used, i) => ((used - (before[i] ?? 0)) * 1000) / hostIds.length,
  );
  latencies.sort((a, b) => a - b);
  const at = (part: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? 0;
  return {
    perSecond: hostIds.length / seconds,
    medianMs: at(0.5),
    p99Ms: at(0.99),
    longestMs: at(1),
    brokerCpuMs,
    hostsCpuMs,
    engineCpuMs,
  };
}
