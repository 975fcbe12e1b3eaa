/**
 * A RabbitMQ node of one's own, for tests, the demonstration and benchmarks: real, on loopback unless asked, in one
 * temporary directory, gone without a trace afterwards (no epmd, no Erlang process, no file).
 *
 * - Works as root and as an ordinary user, on hosts whose name does not resolve.
 * - Dies with its launcher, even one that gets SIGKILL: a small shell process (private-broker-guard.sh) watches
 *   a pipe that only the launcher holds, and kills the node at its end.
 * - Processes are signalled only by PID and start time, only those that were started here.
 *
 * Linux only (it reads /proc). Needs no file outside this folder.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import amqp from 'amqplib';
import {
  type BrokerPlan,
  ctlEnvironment,
  nodeEnvironment,
  writeBrokerConfig,
} from './private-broker-files.ts';
import { type PrivateBrokerOptions, planBroker } from './private-broker-plan.ts';
import {
  identify,
  isAlive,
  type ProcessIdentity,
  signalProcess,
  withDescendants,
} from './process-identity.ts';

export type { BrokerTls } from './private-broker-files.ts';
export type { PrivateBrokerOptions } from './private-broker-plan.ts';

export type PrivateBroker = {
  /** `amqp://user:password@address:port`, as an administrator made for this node. Same after a restart. */
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly port: number;
  /** `amqps://…@localhost:port`, or with the address if that is not loopback; undefined without the `tls` option. */
  readonly tlsUrl: string | undefined;
  readonly dir: string;
  /** The Erlang process; undefined while the node is down. */
  readonly pid: number | undefined;
  /** The URL for another user of the definitions. */
  urlFor(user: string, password: string): string;
  /** Takes the node down in good order, and keeps its data: `restart` brings it back. */
  halt(): Promise<void>;
  /** SIGKILL; keeps what was on disk: `restart` brings it back. */
  kill(): Promise<void>;
  /** Down in good order (unless it is down already) and up again: same ports, same data, same URL. */
  restart(): Promise<void>;
  /** SIGSTOP: sockets stay open and nothing answers. */
  pause(): void;
  resume(): void;
  /** Runs rabbitmqctl against this node and returns its standard output. Throws with its words when it fails. */
  ctl(...args: string[]): Promise<string>;
  /** Ends the node for good and removes its directory. Once it resolves, none of its processes is left. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
};

/** A start that failed because another program took a port that was free a moment ago. */
class PortTakenError extends Error {}

const GUARD_SCRIPT = join(import.meta.dirname, 'private-broker-guard.sh');

/**
 * Starts a node and resolves once it has answered an AMQP handshake.
 * Throws when RabbitMQ is not installed, or with the end of its log when it does not come up.
 */
export async function startPrivateBroker(options: PrivateBrokerOptions = {}): Promise<PrivateBroker> {
  let minimal = true;
  for (let attempt = 1; ; attempt += 1) {
    const plan = await planBroker(options, minimal);
    const node = new PrivateNode(plan, options.startTimeoutMs ?? 60_000);
    try {
      await node.start();
      return node;
    } catch (error) {
      await node.stop();
      if (attempt === 3) throw error;
      // A free port can be taken by others between the choice and the start: choose again.
      if (error instanceof PortTakenError) continue;
      // Another version may miss something in the cut-down installation: let the full one say what is wrong.
      if (plan.homeDir === undefined || saysConfigIsWrong(error)) throw error;
      minimal = false;
    }
  }
}

function saysConfigIsWrong(error: unknown): boolean {
  return error instanceof Error && error.message.includes('failed_to_prepare_configuration');
}

class PrivateNode implements PrivateBroker {
  readonly #plan: BrokerPlan;
  readonly #startTimeoutMs: number;
  readonly #guard: ChildProcess;
  #node: { child: ChildProcess; identity: ProcessIdentity } | undefined;
  #startedBefore = false;
  #released = false;

  constructor(plan: BrokerPlan, startTimeoutMs: number) {
    this.#plan = plan;
    this.#startTimeoutMs = startTimeoutMs;
    // In a session of its own: a Ctrl-C at the launcher's terminal must not end the guard before its work.
    this.#guard = spawn('/bin/sh', [GUARD_SCRIPT, plan.dir], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#guard.on('error', () => {});
    this.#guard.stdin?.on('error', () => {});
    // Neither process keeps a launcher alive that has nothing else to do: it may end, and the guard tidies up.
    this.#guard.unref();
    if (this.#guard.stdin instanceof Socket) this.#guard.stdin.unref();
  }

  get user(): string {
    return this.#plan.user;
  }

  get password(): string {
    return this.#plan.password;
  }

  get port(): number {
    return this.#plan.ports.amqp;
  }

  get dir(): string {
    return this.#plan.dir;
  }

  get url(): string {
    return this.urlFor(this.user, this.password);
  }

  get tlsUrl(): string | undefined {
    const { address, ports, user, password } = this.#plan;
    const name = address === '127.0.0.1' ? 'localhost' : address;
    return ports.tls === undefined ? undefined : `amqps://${user}:${password}@${name}:${ports.tls}`;
  }

  get pid(): number | undefined {
    return this.#node && isAlive(this.#node.identity) ? this.#node.identity.pid : undefined;
  }

  urlFor(user: string, password: string): string {
    return `amqp://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${this.#plan.address}:${this.port}`;
  }

  async start(): Promise<void> {
    if (this.#released) throw new Error('This private broker was stopped for good: start a new one.');
    if (this.pid !== undefined) return;
    writeBrokerConfig(this.#plan, !this.#startedBefore);
    const child = this.#spawnNode();
    const identity = child.pid === undefined ? undefined : identify(child.pid);
    if (!identity) throw new Error(`Could not start ${this.#plan.binDir}/rabbitmq-server.`);
    this.#node = { child, identity };
    this.#tellGuard(`watch ${identity.pid} ${identity.startTicks}`);
    // Only now, with the guard watching, may the shell become the node.
    child.stdin?.end('go\n');
    await this.#untilServing();
    this.#startedBefore = true;
  }

  async halt(): Promise<void> {
    await this.#end('SIGTERM', 15_000);
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL', 0);
  }

  async restart(): Promise<void> {
    await this.halt();
    await this.start();
  }

  pause(): void {
    this.#signal('SIGSTOP');
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  ctl(...args: string[]): Promise<string> {
    const program = join(this.#plan.binDir, 'rabbitmqctl');
    const options = {
      cwd: this.dir,
      env: ctlEnvironment(this.#plan),
      timeout: 60_000,
      // At SIGTERM Erlang ends with 0, which would pass for success.
      killSignal: 'SIGKILL',
      maxBuffer: 64 << 20,
    } as const;
    return new Promise((resolve, reject) => {
      execFile(program, args, options, (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        reject(
          new Error(
            `rabbitmqctl ${args.join(' ')} failed: ${stderr.trim() || stdout.trim() || (error.killed ? 'it did not end within 60 s' : error.message)}`,
          ),
        );
      }).stdin?.end();
    });
  }

  async stop(): Promise<void> {
    if (this.#released) return;
    this.#released = true;
    // Nothing on disk is worth the second that a stop in good order takes.
    await this.#end('SIGKILL', 0);
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    this.#guard.stdin?.end('release\n');
    if (this.#guard.exitCode === null && this.#guard.pid !== undefined) {
      const guard = identify(this.#guard.pid);
      if (guard) await untilGone([guard], 5_000);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #spawnNode(): ChildProcess {
    const output = openSync(join(this.dir, 'log', 'console.log'), 'a');
    // The shell waits for one line, so that a launcher killed right here leaves no node behind: at end of file it ends.
    const script = 'read -r go && exec "$0" </dev/null';
    const { homeDir, binDir } = this.#plan;
    const server =
      homeDir === undefined ? join(binDir, 'rabbitmq-server') : join(homeDir, 'sbin', 'rabbitmq-server');
    const child = spawn('/bin/sh', ['-c', script, server], {
      cwd: this.dir,
      detached: true,
      env: nodeEnvironment(this.#plan),
      stdio: ['pipe', output, output],
    });
    closeSync(output);
    child.on('error', () => {});
    child.stdin?.on('error', () => {});
    child.unref();
    return child;
  }

  async #untilServing(): Promise<void> {
    const deadline = Date.now() + this.#startTimeoutMs;
    while (!(await answersHandshake(this.url))) {
      if (this.pid === undefined) throw this.#startFailure('it ended');
      if (Date.now() > deadline)
        throw this.#startFailure(`it was not ready after ${this.#startTimeoutMs} ms`);
      await delay(20);
    }
  }

  #startFailure(reason: string): Error {
    const logs = ['console.log', `${this.#plan.nodeName}.log`];
    const message = `The private broker did not start: ${reason}.\n${logs.map((name) => complaints(join(this.dir, 'log', name))).join('\n')}`;
    return /eaddrinuse/i.test(message) ? new PortTakenError(message) : new Error(message);
  }

  #signal(signal: NodeJS.Signals): void {
    if (!this.#node || !signalProcess(this.#node.identity, signal)) {
      throw new Error(`The private broker is down: there is nothing to send ${signal} to.`);
    }
  }

  /** Ends the node, and what it started; waits until they are gone. `graceMs` before SIGKILL. */
  async #end(signal: NodeJS.Signals, graceMs: number): Promise<void> {
    const node = this.#node;
    if (!node) return;
    const family = withDescendants(node.identity);
    if (signal === 'SIGTERM') signalProcess(node.identity, 'SIGCONT');
    signalProcess(node.identity, signal);
    if (!(await untilGone([node.identity], graceMs))) signalProcess(node.identity, 'SIGKILL');
    // Erlang's helpers end by themselves when they see the node gone; the last word is SIGKILL.
    if (!(await untilGone(family, 3_000))) {
      for (const member of family) signalProcess(member, 'SIGKILL');
      if (!(await untilGone(family, 3_000))) throw new Error(`Processes of ${this.dir} outlived SIGKILL.`);
    }
    this.#node = undefined;
    this.#tellGuard('idle');
  }

  #tellGuard(line: string): void {
    this.#guard.stdin?.write(`${line}\n`);
  }
}

async function untilGone(processes: ProcessIdentity[], timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (processes.some(isAlive)) {
    if (Date.now() >= deadline) return false;
    await delay(10);
  }
  return true;
}

async function answersHandshake(url: string): Promise<boolean> {
  try {
    const connection = await amqp.connect(url, { timeout: 2_000 });
    connection.on('error', () => {});
    await connection.close();
    return true;
  } catch {
    return false;
  }
}

/** The first errors of a log, where RabbitMQ says what is wrong; later ones only follow from them. */
function complaints(file: string): string {
  let lines: string[];
  try {
    lines = readFileSync(file, 'utf8').split('\n');
  } catch {
    return '';
  }
  const errors = lines
    .filter((line) => line.includes('[error]'))
    .map((line) => line.replace(/^.*?\[error\] \S+ ?/, ''))
    .filter((line) => line.trim() !== '');
  return (errors.length > 0 ? errors.slice(0, 25) : lines.slice(-25)).join('\n').trim();
}
