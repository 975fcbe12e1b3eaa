/** hostbusd on a host of a lab. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { identify, signalProcess, withDescendants } from '../../rabbitmq/process-identity.ts';
import type { LogLine } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';
import { cleanEnvironment } from './command.ts';

export interface LabDaemonOptions {
  hostId: string;
  brokerUrl: string;
  /** Keys of the configuration as environment variables, such as HOSTBUS_TASKS_MAX. */
  env: Record<string, string>;
  /** The start of a command line that puts the rest into the host. */
  enter: readonly string[];
  checkout: string;
}

export interface LabDaemon {
  readonly hostId: string;
  /** As seen from outside of the host. */
  readonly pid: number;
  /** The lines of its log so far. */
  readonly log: LogLine[];
  readonly stderr: () => string;
  /** Signals this very process; false when it has gone already. */
  signal(name: NodeJS.Signals): boolean;
  /** SIGTERM; resolves with the exit code, null when a signal ended it. */
  stop(): Promise<number | null>;
  /** SIGKILL, or the given signal; resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when it is gone, whatever the reason. */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

/** @throws Error with what it said when it ends instead of connecting to the broker */
export async function startLabDaemon(options: LabDaemonOptions): Promise<LabDaemon> {
  const { hostId, brokerUrl, env, enter, checkout } = options;
  const [program = '', ...args] = [...enter, process.execPath, join(checkout, 'src/bin/hostbusd.ts')];
  const child = spawn(program, args, {
    env: { ...cleanEnvironment, HOSTBUS_HOST_ID: hostId, HOSTBUS_BROKER_URL: brokerUrl, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: LogLine[] = [];
  let stderr = '';
  createInterface({ input: child.stdout }).on('line', (line) => log.push(parseLine(line)));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const exited = once(child, 'exit').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }));
  try {
    // nsenter waits for the daemon, its only child, and ends as that does.
    const identity = await until(`the daemon of ${hostId} has a PID`, () => {
      if (child.exitCode !== null) throw new Error(`the daemon of ${hostId} did not start: ${stderr}`);
      const entered = child.pid === undefined ? undefined : identify(child.pid);
      return entered && withDescendants(entered)[1];
    });
    await until(`${hostId} is connected`, () => {
      if (child.exitCode !== null) throw new Error(`the daemon ended with ${child.exitCode}: ${stderr}`);
      return log.some((line) => line.msg === 'connected to the broker');
    });
    return {
      hostId,
      pid: identity.pid,
      log,
      stderr: () => stderr,
      exited,
      signal: (name) => signalProcess(identity, name),
      async stop() {
        signalProcess(identity, 'SIGTERM');
        return (await exited).code;
      },
      async kill(signal = 'SIGKILL') {
        signalProcess(identity, signal);
        await exited;
      },
    };
  } catch (error) {
    // It dies with what waits for it.
    child.kill('SIGKILL');
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
