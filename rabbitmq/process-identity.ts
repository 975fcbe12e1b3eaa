/**
 * A process is named by its PID *and* its start time: a PID alone may by now belong to somebody else.
 * Everything here reads Linux's /proc.
 */
import { readdirSync, readFileSync } from 'node:fs';

export type ProcessIdentity = {
  pid: number;
  /** Field 22 of /proc/PID/stat: clock ticks since boot, kept as text since it is only ever compared. */
  startTicks: string;
};

type ProcessStat = ProcessIdentity & { parentPid: number; state: string };

/** Undefined when there is no such process. */
function readStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command (field 2) may hold blanks and brackets, so count from the last bracket: state is field 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, parentPid] = fields;
  const startTicks = fields[19];
  if (state === undefined || parentPid === undefined || startTicks === undefined) return undefined;
  return { pid, startTicks, parentPid: Number(parentPid), state };
}

/** The identity of a process that runs now; undefined when it has gone already. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  return stat && { pid, startTicks: stat.startTicks };
}

/** True while this very process runs. A zombie does not: it holds no port, file or lock any more. */
export function isAlive(identity: ProcessIdentity): boolean {
  const stat = readStat(identity.pid);
  return stat?.startTicks === identity.startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

/** Signals this very process; false when it has gone already. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** The process itself and all that it started, as of now. */
export function withDescendants(root: ProcessIdentity): ProcessIdentity[] {
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readStat(Number(name)))
    .filter((stat) => stat !== undefined);
  const family: ProcessIdentity[] = isAlive(root) ? [root] : [];
  for (const member of family) {
    for (const { pid, startTicks, parentPid } of stats) {
      if (parentPid === member.pid) family.push({ pid, startTicks });
    }
  }
  return family;
}
