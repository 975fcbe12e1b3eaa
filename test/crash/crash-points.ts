/**
 * Kills a process at each of its system calls, one after the other, with strace; and shows what the disk would hold after a
 * power cut at that moment: a copy of the block device under the file system, with the caches of the file system lost.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from '../lib/until.ts';
import type { ChildJob } from './storage-child.ts';

/** What changes files, or makes changes durable. A kill comes before the call is done. */
export const changingCalls = [
  'mkdir',
  'ftruncate',
  'write',
  'pwrite64',
  'copy_file_range',
  'sync_file_range',
  'fdatasync',
  'fsync',
  'fallocate',
  'link',
  'rename',
  'unlink',
  'rmdir',
] as const;

export interface CrashPoint {
  call: string;
  /** The how-manieth call of this name, in one thread. */
  nth: number;
}

/** How a run of the child ended. */
export interface ChildEnd {
  killed: boolean;
  /** What it said: `ready`, `answered`, `done`. */
  said: string[];
}

const childPath = fileURLToPath(new URL('./storage-child.ts', import.meta.url));

/** Why crash points cannot be tested here; undefined when they can. */
export function missingTools(): string | undefined {
  if (process.getuid?.() !== 0) return 'mounting and tracing need root';
  for (const tool of ['strace', 'mkfs.ext4', 'losetup']) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    } catch {
      return `${tool} is not installed (apt-get install strace e2fsprogs mount)`;
    }
  }
  return undefined;
}

/**
 * Runs the child under strace, from the moment when it is `ready`. One thread of the pool: the calls then come in one order,
 * so that the how-manieth call is the same in every run.
 */
async function traced(
  job: ChildJob,
  strace: readonly string[],
  started: (pid: number) => void = () => {},
): Promise<ChildEnd> {
  const child = spawn(process.execPath, [childPath, JSON.stringify(job)], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  started(child.pid ?? 0);
  const said: string[] = [];
  let tracer: ReturnType<typeof trace> | undefined;
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (word) => {
    said.push(word);
    if (word === 'ready') tracer = trace(child.pid ?? 0, strace, () => child.stdin.end('go\n'));
  });
  // Killed before it reads: then there is nobody to tell.
  child.stdin.on('error', () => {});
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  const complaints = await tracer?.ended;
  const killed = signal === 'SIGKILL';
  if (!killed && code !== 0) throw new Error(`The child failed (${code}); strace said: ${complaints}`);
  return { killed, said };
}

/**
 * Traces the threads that a process has, and with `-f` those that it gets, and its programs. Without --seccomp-bpf: strace 6.1
 * then forgets to inject all but the first.
 */
function trace(pid: number, options: readonly string[], attached: () => void) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const followed = options.includes('-f') ? [String(pid)] : threads;
  const tracer = spawn('strace', [...followed.flatMap((thread) => ['-p', thread]), ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  tracer.stderr.on('data', (data: Buffer) => {
    errors += data.toString();
    if (errors.split('attached').length > followed.length) attached();
  });
  const ended = once(tracer, 'close').then(() => errors);
  return { ended };
}

/** Runs the child once to its end, and tells every call at which it can be killed. */
export async function crashPoints(job: ChildJob, traceFile: string): Promise<CrashPoint[]> {
  const { said } = await traced(job, ['-o', traceFile, '-e', `trace=${changingCalls.join(',')}`]);
  if (said.at(-1) !== 'done') throw new Error(`The child ended with ${said.at(-1)}`);
  const counts = new Map<string, number>();
  const points = new Map<string, CrashPoint>();
  for (const line of readFileSync(traceFile, 'utf8').split('\n')) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (thread === undefined || call === undefined) continue;
    // strace counts for each thread by itself.
    const nth = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, nth);
    // Threads wake each other up, and signals are told, by writing to an eventfd or a pipe; no file changes.
    const wakeUp = /^\d+ +write\(\d+, ("\\1(\\0)+", 8|"\*", 1|".*", 16)\)/.test(line);
    if (!wakeUp) points.set(`${call} ${nth}`, { call, nth });
    if (line.includes('"done')) break;
  }
  return [...points.values()];
}

function continueIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGCONT');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** A process that stands still in the middle of its work. */
export interface Stopped {
  /** Lets it go on, to its end. */
  resume(): Promise<ChildEnd>;
}

/**
 * Stops the child after a call, as a suspended machine does.
 *
 * @param traceFile - a new file each time
 * @returns how it ended, when it did not come to that call
 */
export async function stopAt(
  job: ChildJob,
  point: CrashPoint,
  traceFile: string,
): Promise<Stopped | ChildEnd> {
  const inject = `inject=${point.call}:signal=SIGSTOP:when=${point.nth}`;
  let pid = 0;
  let ended: ChildEnd | undefined;
  const run = traced(job, ['-o', traceFile, '-e', `trace=${point.call}`, '-e', inject], (child) => {
    pid = child;
  });
  void run.then((end) => {
    ended = end;
  });
  await until('the child stops or ends', () => {
    if (ended !== undefined) return true;
    return existsSync(traceFile) && readFileSync(traceFile, 'utf8').includes('stopped by SIGSTOP');
  });
  if (ended !== undefined) return ended;
  return {
    async resume() {
      // More than once: strace counts for each thread, and another one may come to such a call, and be stopped, later.
      await until('the child ends', () => {
        if (ended === undefined) continueIfThere(pid);
        return ended !== undefined;
      });
      return run;
    },
  };
}

export async function killAt(job: ChildJob, point: CrashPoint): Promise<ChildEnd> {
  const inject = `inject=${point.call}:signal=SIGKILL:when=${point.nth}`;
  return traced(job, ['-o', '/dev/null', '-e', `trace=${point.call}`, '-e', inject]);
}

/** What programs of the child change files with, and the child itself does not. */
const programCalls = ['pwrite64', 'pwritev', 'pwritev2'];

/** Runs the child once to its end, and tells every writing of a program that it starts. */
export async function programPoints(job: ChildJob, traceFile: string): Promise<CrashPoint[]> {
  await traced(job, ['-f', '-o', traceFile, '-e', `trace=${programCalls.join(',')}`]);
  const counts = new Map<string, number>();
  const points = new Map<string, CrashPoint>();
  for (const line of readFileSync(traceFile, 'utf8').split('\n')) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (thread === undefined || call === undefined) continue;
    // strace counts for each thread by itself; that of two which comes first to a number, is killed.
    const nth = (counts.get(`${thread} ${call}`) ?? 0) + 1;
    counts.set(`${thread} ${call}`, nth);
    points.set(`${call} ${nth}`, { call, nth });
  }
  return [...points.values()];
}

/** Kills the program that the child has started, at a call. */
export async function killProgramAt(job: ChildJob, point: CrashPoint): Promise<ChildEnd> {
  const inject = `inject=${point.call}:signal=SIGKILL:when=${point.nth}`;
  return traced(job, ['-f', '-o', '/dev/null', '-e', `trace=${point.call}`, '-e', inject]);
}

/** A file system of its own, in a file. */
export class CrashDisk {
  readonly #image: string;
  readonly #snapshot: string;
  readonly #snapshotMount: string;
  readonly mount: string;

  /** Mounts it. */
  constructor(directory: string, mib: number) {
    this.#image = `${directory}/disk.img`;
    this.#snapshot = `${directory}/snapshot.img`;
    this.#snapshotMount = `${directory}/snapshot`;
    this.mount = `${directory}/disk`;
    mkdirSync(this.mount);
    mkdirSync(this.#snapshotMount);
    execFileSync('truncate', ['-s', `${mib}M`, this.#image]);
    execFileSync('mkfs.ext4', ['-q', '-F', this.#image]);
    // Nothing becomes durable by itself within the test, nor because something else was flushed.
    execFileSync('mount', ['-o', 'loop,commit=300,data=writeback', this.#image, this.mount]);
  }

  /** Shows what a power cut now would leave: only what has reached the device, after the journal's replay. */
  async afterPowerCut(look: (mount: string) => Promise<void>): Promise<void> {
    copyFileSync(this.#image, this.#snapshot);
    execFileSync('mount', ['-o', 'loop', this.#snapshot, this.#snapshotMount]);
    try {
      await look(this.#snapshotMount);
    } finally {
      execFileSync('umount', [this.#snapshotMount]);
      rmSync(this.#snapshot);
    }
  }

  /** Makes all that was written so far durable. */
  settle(): void {
    execFileSync('sync', ['-f', this.mount]);
  }

  unmount(): void {
    execFileSync('umount', [this.mount]);
  }
}
