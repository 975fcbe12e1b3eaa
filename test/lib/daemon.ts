/** Real daemons, each a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { until } from './until.ts';

const hostbusd = fileURLToPath(new URL('../../src/bin/hostbusd.ts', import.meta.url));
const testHost = fileURLToPath(new URL('./test-host.ts', import.meta.url));

export interface DaemonOptions {
  hostId: string;
  brokerUrl: string;
  /** Keys of the configuration as environment variables, such as HOSTBUS_TASKS_MAX. */
  env?: Record<string, string>;
  args?: string[];
  /** Serves the verbs of test-host.ts too. */
  testVerbs?: boolean;
  /** False: return at once, without waiting for it to serve. */
  wait?: boolean;
  /** The start of a command line that puts the rest into another place and becomes it, such as `nsenter --net=… --`. */
  enter?: readonly string[];
  /** Where its log goes: a file's descriptor. `log` stays empty then, so that `wait` has to be false. */
  stdout?: number;
}

export interface TestDaemon {
  readonly hostId: string;
  readonly process: ChildProcess;
  readonly pid: number;
  /** The lines of its log so far. */
  readonly log: LogLine[];
  readonly stderr: () => string;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export interface LogLine {
  level: number;
  msg: string;
  [key: string]: unknown;
}

/** What a program of ours sees of the environment of the tests: where programs are, and its sources as compiled by whoever was first. */
export function programEnvironment(): NodeJS.ProcessEnv {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  return { PATH, NODE_COMPILE_CACHE };
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export async function startDaemon(options: DaemonOptions): Promise<TestDaemon> {
  const { hostId, brokerUrl, env = {}, args = [], testVerbs = false, wait = true, enter = [] } = options;
  const [program = '', ...rest] = [...enter, process.execPath, testVerbs ? testHost : hostbusd, ...args];
  const child = spawn(program, rest, {
    env: { ...programEnvironment(), HOSTBUS_HOST_ID: hostId, HOSTBUS_BROKER_URL: brokerUrl, ...env },
    stdio: ['ignore', options.stdout ?? 'pipe', 'pipe'],
  });
  running.add(child);
  const log: LogLine[] = [];
  let stderr = '';
  let partial = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (partial + text).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) log.push(parseLine(line));
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = once(child, 'exit').then(([code, signal]) => {
    running.delete(child);
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  const daemon: TestDaemon = {
    hostId,
    process: child,
    pid: child.pid ?? 0,
    log,
    stderr: () => stderr,
    exited,
    async stop() {
      child.kill('SIGTERM');
      return (await exited).code;
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
  if (!wait) return daemon;
  try {
    await until(`${hostId} is connected`, () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${stderr}`);
      return log.some((line) => line.msg === 'connected to the broker');
    });
    return daemon;
  } catch (error) {
    await daemon.kill();
    throw error;
  }
}

function parseLine(line: string): LogLine {
  try {
    return JSON.parse(line) as LogLine;
  } catch {
    return { level: 0, msg: line };
  }
}
