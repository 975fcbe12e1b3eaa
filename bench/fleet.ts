/**
 * What hosts cost a broker: connections, memory, heartbeats, calls, and how soon all are back after a loss. The hosts are real daemons
 * without storage, many in a process; the broker's users and permissions are those of docs/broker.md.
 * `node bench/run.ts fleet [HOSTS[,HOSTS…]]`
 */
import { loadavg } from 'node:os';
import { printSteps } from './fleet/report.ts';
import { measureStep, type Step } from './fleet/step.ts';

/** @param sizes - numbers of hosts, with commas between: a step for each */
export async function benchFleet(sizes: string): Promise<void> {
  if (!/^[1-9]\d*(,[1-9]\d*)*$/.test(sizes)) {
    process.stderr.write(`fleet takes numbers of hosts, such as 200 or 100,500,2000; not ${sizes}\n`);
    process.exit(64);
  }
  const steps: Step[] = [];
  try {
    for (const size of sizes.split(',')) {
      steps.push(await measureStep(Number(size)));
      process.stderr.write(`${size} hosts: done, load ${loadavg()[0]?.toFixed(1)}\n`);
    }
  } finally {
    if (steps.length > 0) printSteps(steps);
  }
}
