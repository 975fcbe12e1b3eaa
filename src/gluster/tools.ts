/** Running the programs beside the `gluster` command line: Gluster's own tools, and those of the system that they need. */
import type { Logger } from 'pino';
import { type ErrorName, HostbusError } from '../../schemas/errors.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { ProgramFailed, run } from '../programs/run.ts';
import { noDaemon, saysNoDaemon } from './refusals.ts';

export interface ToolOptions {
  readonly log: Logger;
  readonly timeoutMs: number;
  /** The package of Debian's that has it. */
  readonly from: string;
  /** Exit codes that are answers. @default [0] */
  readonly exitCodes?: readonly number[];
  /** What the log and errors show as `***`. */
  readonly secrets?: readonly string[];
}

/** What a program answered, with what was run, as it may be shown. */
export interface ToolReply {
  readonly command: readonly string[];
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a program to its end. It dies with the daemon.
 * @throws {HostbusError} GlusterUnavailable, GlusterTimeout, or GlusterError for an exit code that is no answer
 */
export async function runTool(
  program: string,
  args: readonly string[],
  options: ToolOptions,
): Promise<ToolReply> {
  const { log, timeoutMs, from, exitCodes, secrets } = options;
  try {
    const end = await run(program, args, {
      log,
      timeoutMs,
      limits: {},
      ...(secrets === undefined ? {} : { secrets }),
      ...(exitCodes === undefined ? {} : { exitCodes }),
    });
    const { command, exitCode, stdout, stderr } = end;
    return { command, exitCode, stdout, stderr };
  } catch (error) {
    throw error instanceof ProgramFailed ? toolFailure(error, from) : error;
  }
}

/** Does something with programs and files, and tells their failures as errors of Gluster's. @param from - the package that it needs */
export async function asTool<T>(from: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ProgramFailed) throw toolFailure(error, from);
    const code = errnoCode(error);
    if (error instanceof HostbusError || code === undefined) throw error;
    throw hostRefusal('GlusterError', error instanceof Error ? error.message : code, error);
  }
}

function toolFailure(failed: ProgramFailed, from: string): HostbusError {
  const { kind, message } = failed;
  const cause = { cause: failed };
  const data = factsOf(failed);
  if (kind === 'missing') {
    return new HostbusError('GlusterUnavailable', `${message}: install ${from}`, data, cause);
  }
  if (kind === 'timeout') {
    const text = `${message}. Whether it took effect is not known: look before asking again`;
    return new HostbusError('GlusterTimeout', text, data, cause);
  }
  if (saysNoDaemon(failed.stderr)) return new HostbusError('GlusterUnavailable', noDaemon, data, cause);
  return new HostbusError('GlusterError', message, data, cause);
}

/** The error for an answer that means no. `words`: the program's own. */
export function toolRefusal(name: ErrorName, message: string, reply: ToolReply, words = ''): HostbusError {
  return new HostbusError(name, message, { ...factsOf(reply), opErrstr: words === '' ? null : words });
}

/** The error for what no program was asked for. */
export function hostRefusal(name: ErrorName, message: string, cause?: unknown): HostbusError {
  const data = { command: null, opErrno: null, opErrstr: null, exitCode: null, stderr: null };
  return new HostbusError(name, message, data, { cause });
}

function factsOf({
  command,
  exitCode,
  stderr,
}: {
  command: readonly string[];
  exitCode: number | undefined;
  stderr: string;
}): Record<string, unknown> {
  return {
    command,
    opErrno: null,
    opErrstr: null,
    exitCode: exitCode ?? null,
    stderr: stderr.trim().slice(-1000),
  };
}
