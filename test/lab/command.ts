/** The programs of the machine that the lab is made with: ip, losetup, mkfs.xfs, gcc … */
import { constants } from 'node:os';
import { execa } from 'execa';

export interface CommandOptions {
  /** After this it is killed. @default 30 s */
  timeoutMs?: number;
  /** Its standard input. @default empty */
  input?: string;
  env?: Record<string, string>;
  /** What an error calls it. @default the command line */
  name?: string;
}

export interface CommandResult {
  /** 128 + N when signal N ended it. */
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** What programs see of the environment: nothing of the caller's. */
export const cleanEnvironment = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  USER: 'root',
  LC_ALL: 'C.UTF-8',
  TERM: 'dumb',
};

/**
 * Runs a program to its end, never through a shell.
 * @throws Error when it could not be started, or had to be killed because its time was over
 */
export async function runCommand(
  argv: readonly string[],
  { timeoutMs = 30_000, input = '', env = {}, name = argv.join(' ') }: CommandOptions = {},
): Promise<CommandResult> {
  const [program = '', ...args] = argv;
  const result = await execa(program, args, {
    env: { ...cleanEnvironment, ...env },
    extendEnv: false,
    input,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: 64 << 20,
    reject: false,
    stripFinalNewline: false,
  });
  if (result.timedOut) throw new Error(`${name}: not done after ${timeoutMs} ms`);
  if (result.exitCode !== undefined) {
    return { exitCode: result.exitCode, stdout: result.stdout, stderr: result.stderr };
  }
  if (result.signal === undefined) throw new Error(`${name} could not be started: ${result.message}`);
  return { exitCode: 128 + signalNumber(result.signal), stdout: result.stdout, stderr: result.stderr };
}

/** The same, and its standard output. @throws Error with its words when it ends with an exit code other than 0 */
export async function succeed(argv: readonly string[], options?: CommandOptions): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand(argv, options);
  if (exitCode === 0) return stdout;
  throw new Error(
    `${argv.join(' ')} ended with ${exitCode}: ${stderr.trim() || stdout.trim() || 'without a word'}`,
  );
}

function signalNumber(name: string): number {
  return constants.signals[name as keyof typeof constants.signals] ?? 0;
}
