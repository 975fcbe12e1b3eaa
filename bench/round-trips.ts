/** Round trips at a given number in flight, and what they cost. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** One call and its answer. */
export type Caller = (text: string) => Promise<unknown>;

export interface Cost {
  perSecond: number;
  /** CPU seconds of the server's process for 1,000 calls. */
  serverCpu: number;
  /** CPU seconds of the client's process for 1,000 calls. */
  clientCpu: number;
}

export async function measure(
  call: Caller,
  server: BenchServer,
  inFlight: number,
  calls: number,
): Promise<Cost> {
  const serverBefore = server.cpuSeconds();
  const clientBefore = process.cpuUsage();
  const startMs = performance.now();
  let left = calls;
  const caller = async () => {
    while (left > 0) {
      left -= 1;
      await call('hello');
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  const seconds = (performance.now() - startMs) / 1000;
  const client = process.cpuUsage(clientBefore);
  return {
    perSecond: calls / seconds,
    serverCpu: ((server.cpuSeconds() - serverBefore) / calls) * 1000,
    clientCpu: ((client.user + client.system) / 1e6 / calls) * 1000,
  };
}

/** A process under measurement. */
export interface BenchServer {
  readonly process: ChildProcess;
  cpuSeconds(): number;
  rssBytes(): number;
  stop(): Promise<void>;
}

const ticksPerSecond = 100;

/** CPU seconds that a process has used. */
export function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

export function rssBytesOf(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

export function benchServer(child: ChildProcess): BenchServer {
  const pid = child.pid ?? 0;
  return {
    process: child,
    cpuSeconds: () => cpuSecondsOf(pid),
    rssBytes: () => rssBytesOf(pid),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** Calls until the daemon serves. */
export async function serving(call: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await call();
      return;
    } catch (error) {
      if ((error as Error).name !== 'HostUnreachable') throw error;
      await new Promise((resolve) => void setTimeout(resolve, 5));
    }
  }
}

export function row(cells: readonly string[]): string {
  return `${cells.map((cell, i) => (i === 0 ? cell.padEnd(10) : cell.padStart(Math.max(10, cell.length)))).join('  ')}\n`;
}
