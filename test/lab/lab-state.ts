/**
 * What is on disk of a lab, and by what it is found again by whoever takes it down:
 *
 *     /tmp/gluster-lab-NAME/lab.json     {@link LabState}; the directory appears with it, by one rename
 *                           lib/         the compiled stand-ins
 *                           dev/         device files, to be copied
 *                           hN/disk.img  file system of the host's disk
 *                           hN/init      "PID START_TICKS" of the host's PID 1; hN/boot: "ready" at the end; hN/log
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity } from '../../rabbitmq/process-identity.ts';
import { errnoCode } from '../../src/lib/atomic-file.ts';

export interface LabState {
  readonly name: string;
  /** The process that the lab dies with; null: it stays until `down`. */
  readonly owner: ProcessIdentity | null;
  /** The N of 10.87.N.0/24 and of the bridge hblabN; 0 until it has one. */
  readonly subnet: number;
  /** The bridge is this lab's only if it has this address. */
  readonly bridgeMac: string;
  readonly hosts: number;
  readonly geoReplication: boolean;
}

const prefix = 'gluster-lab-';

export const maxHosts = 32;

export function labDir(name: string): string {
  if (!/^[a-z0-9]{1,20}$/.test(name)) {
    throw new Error(`"${name}" is no name for a lab: use up to 20 of a–z and 0–9`);
  }
  return join(tmpdir(), prefix + name);
}

export function hostDir(name: string, host: number): string {
  return join(labDir(name), `h${host}`);
}

/** The file system of the host's disk. */
export function diskOf(name: string, host: number): string {
  return join(hostDir(name, host), 'disk.img');
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
  const made = mkdtempSync(join(tmpdir(), `${prefix}.new-`));
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

/** Gives the name free, at one moment; nothing is left of the directory once it resolves. */
export async function removeLab({ name, bridgeMac }: LabState): Promise<void> {
  // Somebody else may have removed it by now, and a third have started another of that name.
  if (readLab(name)?.bridgeMac === bridgeMac) {
    try {
      renameSync(labDir(name), join(tmpdir(), `${prefix}.gone-${randomBytes(6).toString('hex')}`));
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
    }
  }
  for (const entry of readdirSync(tmpdir())) {
    const dir = join(tmpdir(), entry);
    if (entry.startsWith(`${prefix}.gone-`) || (entry.startsWith(`${prefix}.new-`) && isOld(dir))) {
      await rm(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    }
  }
}

/** What is made to be renamed at once, and is there for a minute, was left by somebody who died. */
function isOld(dir: string): boolean {
  const made = statSync(dir, { throwIfNoEntry: false });
  return made !== undefined && Date.now() - made.mtimeMs > 60_000;
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

/** PID 1 of a host, if it runs. */
export function findInit(name: string, host: number): ProcessIdentity | undefined {
  const [, pid, startTicks] = /^(\d+) (\d+)\n$/.exec(readText(join(hostDir(name, host), 'init')) ?? '') ?? [];
  if (pid === undefined || startTicks === undefined) return undefined;
  const identity = { pid: Number(pid), startTicks };
  return isAlive(identity) ? identity : undefined;
}

/** True when its owner is dead. */
export function isAbandoned({ owner }: LabState): boolean {
  return owner !== null && !isAlive(owner);
}

export function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
