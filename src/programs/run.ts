/** The only place that starts processes. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { execa } from 'execa';
import type { Logger } from 'pino';
import { confinedCommand, notStarted, type ResourceLimits } from './confinement.ts';

/**
 * Why a program did not do its work.
 * - `missing`: there is no such program, or it may not be started
 * - `exit`: it ended with an exit code other than 0
 * - `signal`: somebody killed it
 * - `timeout`: it was killed because its time was over
 * - `aborted`: it was killed because `signal` was aborted
 * - `output`: it was killed because it wrote more than allowed
 */
export type FailureKind = 'missing' | 'exit' | 'signal' | 'timeout' | 'aborted' | 'output';

export interface RunOptions {
  log: Logger;
  /** After this it is killed; `none` for work that lasts as long as it lasts, and can be aborted. */
  timeoutMs: number | 'none';
  /** Aborting kills it. */
  signal?: AbortSignal;
  /** The most that stdout, and stderr, may have. @default 4 MiB */
  maxOutputBytes?: number;
  /** Descriptors of this process that it inherits, as 3, 4, … */
  descriptors?: readonly number[];
  workingDirectory?: string;
  /** Bounds within which it runs; it then also dies with this process, and when it is killed, so is all that it has started. Needs util-linux. */
  limits?: ResourceLimits;
  /** Exit codes that are answers, not failures; `any` where the program tells what went wrong otherwise. @default [0] */
  exitCodes?: readonly number[] | 'any';
  /** Told its process ID, at once. */
  onStart?(pid: number): void;
  /** What the log and failures show as `***`, in its arguments and in what it wrote to stderr. */
  secrets?: readonly string[];
  /** Told what it writes to stdout, as it comes. */
  onOutput?(text: string): void;
}

export interface RunResult {
  /** What was run, as it may be shown. */
  command: readonly string[];
  /** One of {@link RunOptions.exitCodes}. */
  exitCode: number;
  stdout: string;
  stderr: string;
  durationMs: number;
}

/** A program failed. `message` names the program, what happened and the end of what it wrote to stderr. */
export class ProgramFailed extends Error {
  override readonly name = 'ProgramFailed';
  readonly kind: FailureKind;
  readonly program: string;
  /** What was run, as far as it is known. */
  readonly command: readonly string[];
  readonly exitCode: number | undefined;
  readonly stderr: string;

  constructor(
    program: string,
    failure: {
      kind: FailureKind;
      text: string;
      command?: readonly string[];
      exitCode?: number | undefined;
      stderr: string;
    },
    options?: ErrorOptions,
  ) {
    const end = endOf(failure.stderr);
    super(`${program} ${failure.text}${end === '' ? '' : `: ${end}`}`, options);
    this.kind = failure.kind;
    this.program = program;
    this.command = failure.command ?? [program];
    this.exitCode = failure.exitCode;
    this.stderr = failure.stderr;
  }
}

const stderrEndLength = 500;
// A grandchild may hold the pipes open after the program's own end; it is not waited for.
const pipesGraceMs = 500;

/**
 * Runs a program to its end: arguments go to it as they are (no shell), stdin is empty, the environment is small and in English.
 * Settles only when the process is gone, whatever the reason, so that what it worked on is free again.
 *
 * @throws {ProgramFailed}
 */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  const started = performance.now();
  const shownCommand = [program, ...args.map((arg) => withoutSecrets(arg, options.secrets))];
  const log = options.log.child({ argv: shownCommand });
  log.debug('Program started');
  // execa hands any descriptor on, as its documentation says; its types know 0, 1 and 2.
  const descriptors = (options.descriptors ?? []).map((fd) => fd as 0);
  const command: [string, ...string[]] =
    options.limits === undefined ? [program, ...args] : confinedCommand(program, args, options.limits);
  const [file, ...argv] = command;
  const child = execa(file, argv, {
    stdio: ['ignore', 'pipe', 'pipe', ...descriptors],
    env: cleanEnvironment(options.limits?.addressSpaceBytes !== undefined),
    extendEnv: false,
    timeout: options.timeoutMs === 'none' ? 0 : options.timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: options.maxOutputBytes ?? 4 * 1024 * 1024,
    // A process group of its own.
    detached: options.limits !== undefined,
    reject: false,
    stripFinalNewline: false,
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    ...(options.workingDirectory === undefined ? {} : { cwd: options.workingDirectory }),
  });
  if (options.onOutput !== undefined) tellOutput(child.nodeChildProcess, options.onOutput);
  if (child.pid !== undefined) options.onStart?.(child.pid);
  const gone = untilGone(child.nodeChildProcess, options.limits !== undefined);
  const result = await child;
  await gone;
  const durationMs = Math.round(performance.now() - started);
  const stderr = withoutSecrets(textOf(result.stderr), options.secrets);
  const failure = failureOf({ ...result, stderr }, command, program, options);
  if (failure !== undefined) {
    const facts = { kind: failure.kind, exitCode: result.exitCode, durationMs, stderr: endOf(stderr) };
    if (failure.kind === 'aborted') log.debug(facts, 'Program stopped');
    else log.warn(facts, 'Program failed');
    const details = {
      ...failure,
      command: shownCommand,
      exitCode: result.exitCode,
      stderr,
    };
    throw new ProgramFailed(
      failure.program,
      details,
      options.secrets === undefined ? { cause: result.cause } : {},
    );
  }
  log.debug({ durationMs }, 'Program finished');
  return {
    command: shownCommand,
    exitCode: result.exitCode ?? 0,
    stdout: textOf(result.stdout),
    stderr,
    durationMs,
  };
}

interface Outcome {
  failed: boolean;
  timedOut: boolean;
  isCanceled: boolean;
  isMaxBuffer: boolean;
  exitCode?: number | undefined;
  signal?: string | undefined;
  code?: string | undefined;
}

interface Failure {
  kind: FailureKind;
  text: string;
  /** Which program it was: the one asked for, or one that was to start it. */
  program: string;
}

function failureOf(
  outcome: Outcome & { stderr: string },
  command: readonly [string, ...string[]],
  program: string,
  options: RunOptions,
): Failure | undefined {
  if (!outcome.failed) return undefined;
  if (outcome.timedOut) {
    const seconds = Number(options.timeoutMs) / 1000;
    return { kind: 'timeout', text: `did not end within ${seconds} s and was killed`, program };
  }
  if (outcome.isCanceled) return { kind: 'aborted', text: 'was stopped', program };
  if (outcome.isMaxBuffer) {
    return { kind: 'output', text: 'wrote more than is allowed and was killed', program };
  }
  const { exitCode, signal } = outcome;
  if (exitCode !== undefined) {
    const { exitCodes } = options;
    if (exitCodes !== 'any' && exitCodes?.includes(exitCode) === true) return undefined;
    const missing = options.limits === undefined ? undefined : notStarted(command, outcome);
    if (missing !== undefined) return { kind: 'missing', text: missingText('ENOENT'), program: missing };
    if (exitCodes === 'any') return undefined;
    return { kind: 'exit', text: `failed with exit code ${exitCode}`, program };
  }
  if (signal !== undefined) return { kind: 'signal', text: `was killed by ${signal}`, program };
  return { kind: 'missing', text: missingText(outcome.code), program: command[0] };
}

function missingText(code: string | undefined): string {
  return code === 'ENOENT' ? 'is not installed on this host' : `cannot be started (${code})`;
}

function tellOutput(child: ChildProcess, tell: (text: string) => void): void {
  child.stdout?.on('data', (chunk: Buffer) => tell(chunk.toString('utf8')));
}

// execa settles once the pipes are closed, which a grandchild can put off for ever; and when it gives up on the output
// (maxBuffer) it may settle before the kernel has reaped the child.
async function untilGone(child: ChildProcess, leadsGroup: boolean): Promise<void> {
  if (child.pid === undefined) return;
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  if (child.killed && leadsGroup) killGroup(child.pid);
  setTimeout(() => {
    child.stdout?.destroy();
    child.stderr?.destroy();
  }, pipesGraceMs).unref();
}

/** What a program that was killed has started: scripts run `gluster`, and `gluster` runs others. */
function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** @param bounded - whether its address space is: of that, the C library reserves 128 MiB for each thread, unless told not to */
function cleanEnvironment(bounded: boolean): Record<string, string> {
  const path = process.env.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
  return { PATH: path, LC_ALL: 'C', ...(bounded ? { MALLOC_ARENA_MAX: '1' } : {}) };
}

function withoutSecrets(text: string, secrets: readonly string[] = []): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
}

function textOf(output: unknown): string {
  return typeof output === 'string' ? output : '';
}

function endOf(text: string): string {
  const trimmed = text.trim();
  return trimmed.length <= stderrEndLength ? trimmed : `…${trimmed.slice(-stderrEndLength)}`;
}
