/** Programs that work on files of a test. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Process IDs of qemu-img processes that have a file below this directory open. */
export function workersIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isWorkerIn(pid, directory));
}

function isWorkerIn(pid: number, directory: string): boolean {
  try {
    if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'qemu-img') return false;
    const descriptors = readdirSync(`/proc/${pid}/fd`);
    return descriptors.some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(directory));
  } catch {
    // It ended while it was looked at.
    return false;
  }
}

/** The workers below a directory, held still where they are: whatever is looked at then, they are not done. */
export function stoppedWorkersIn(directory: string): number[] {
  const pids = workersIn(directory);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
  return pids;
}
