/**
 * What is on disk of a lab, and by what it is found again by whoever takes it down:
 *
 *     /tmp/hostbus-lab-NAME/lab.json     {@link LabState}; the directory appears with it, by one rename
 *                           keeper       "PID START_TICKS" of its PID 1, once that exists
 *                           pool.img     file system of all disks, mounted at pool/ for the keeper only
 *                           lib/         the compiled stand-ins
 *                           hN/init      "PID START_TICKS" of the host's PID 1; hN/boot: "ready" at the end; hN/log
 */
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity } from '../../rabbitmq/process-identity.ts';
import { errnoCode } from '../../src/lib/atomic-file.ts';

export interface LabState {
  readonly name: string;
  /** The process that the lab dies with; null: it stays until `down`. */
  readonly owner: ProcessIdentity | null;
  /** The N of 10.87.N.0/24 and of the bridge hblabN. */
  readonly subnet: number;
  /** The bridge is this lab's only if it has this address. */
  readonly bridgeMac: string;
  readonly hosts: number;
}

const prefix = 'hostbus-lab-';

export const maxHosts = 32;

export function labDir(name: string): string {
  if (!/^[a-z0-9]{1,20}$/.test(name)) {
    throw new Error(`"${name}" is no name for a lab: use up to 20 of a–z and 0–9`);
  }
  return join(tmpdir(), prefix + name);
}

/** The labs of this machine, in whatever state they are. */
export function labNames(): string[] {
  return readdirSync(tmpdir())
    .filter((entry) => entry.startsWith(prefix) && /^[a-z0-9]+$/.test(entry.slice(prefix.length)))
    .map((entry) => entry.slice(prefix.length));
}

/** Takes the name. False when there is such a lab already. */
export function claimLab(state: LabState): boolean {
  const dir = labDir(state.name);
  const made = mkdtempSync(`${dir}.new-`);
  writeFileSync(join(made, 'lab.json'), JSON.stringify(state));
  try {
    renameSync(made, dir);
    return true;
  } catch (error) {
    rmSync(made, { recursive: true });
    if (errnoCode(error) === 'ENOTEMPTY' || errnoCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Undefined when there is no such lab. */
export function readLab(name: string): LabState | undefined {
  const text = readText(join(labDir(name), 'lab.json'));
  return text === undefined ? undefined : (JSON.parse(text) as LabState);
}

export function writeLab(state: LabState): void {
  const file = join(labDir(state.name), 'lab.json');
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file);
}

/** The process that a `keeper` or `init` file names, if it runs. */
export function livingProcess(file: string): ProcessIdentity | undefined {
  const [, pid, startTicks] = /^(\d+) (\d+)\n$/.exec(readText(file) ?? '') ?? [];
  if (pid === undefined || startTicks === undefined) return undefined;
  const identity = { pid: Number(pid), startTicks };
  return isAlive(identity) ? identity : undefined;
}

/** True when nobody needs it any more: its owner is dead, or it has none and its keeper is dead. */
export function isAbandoned(state: LabState): boolean {
  if (state.owner !== null) return !isAlive(state.owner);
  return livingProcess(join(labDir(state.name), 'keeper')) === undefined;
}

export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
