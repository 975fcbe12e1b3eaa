/** Contenders of the benchmark `peers`: a server and a client each, programs of their own, and what they cost. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Asked } from './peers/program.ts';
import { cpuSecondsOf } from './round-trips.ts';

export interface ContenderPlan {
  readonly name: string;
  /** Below bench/peers; a .py runs in Debian's Python. */
  readonly file: string;
  /** How many calls it makes in the time that an amqplib echo needs for one; below one for slow ones. */
  readonly pace: number;
  /** How many subscribers to its events one process can be. */
  readonly subscribersMax: number;
}

export const plans: readonly ContenderPlan[] = [
  { name: 'hostbus', file: 'hostbus.ts', pace: 1, subscribersMax: 100 },
  { name: 'amqplib echo', file: 'amqplib.ts', pace: 1, subscribersMax: 100 },
  { name: 'rabbitmq-client', file: 'rabbitmq-client.ts', pace: 1, subscribersMax: 100 },
  { name: 'Moleculer', file: 'moleculer.ts', pace: 1, subscribersMax: 10 },
  { name: 'oslo.messaging', file: 'oslo_messaging_peer.py', pace: 0.06, subscribersMax: 100 },
  { name: 'Celery', file: 'celery_peer.py', pace: 0.06, subscribersMax: 0 },
];

/** CPU seconds of each side. */
export interface Cpu {
  server: number;
  client: number;
  broker: number;
}

export interface Measured {
  seconds: number;
  cpu: Cpu;
}

export interface Sample extends Measured {
  /** Calls, or events delivered. */
  readonly count: number;
}

/** By contender, a sample a round. */
export type Samples = ReadonlyMap<string, readonly Sample[]>;

export class Contender {
  readonly plan: ContenderPlan;
  readonly #server: Program;
  readonly #client: Program;
  readonly #brokerPid: number;

  private constructor(plan: ContenderPlan, server: Program, client: Program, brokerPid: number) {
    this.plan = plan;
    this.#server = server;
    this.#client = client;
    this.#brokerPid = brokerPid;
  }

  static async start(plan: ContenderPlan, url: string, brokerPid: number): Promise<Contender> {
    const server = await Program.start(plan.file, 'server', url);
    const client = await Program.start(plan.file, 'client', url);
    return new Contender(plan, server, client, brokerPid);
  }

  calls(count: number, inFlight: number, sleepMs?: number): Promise<Measured> {
    const calls = { count, inFlight, ...(sleepMs === undefined ? {} : { sleepMs }) };
    return this.#measure(() => this.#client.ask({ calls }));
  }

  async subscribe(subscribers: number): Promise<void> {
    await this.#client.ask({ subscribers });
  }

  /** From the first publish until the last of all subscribers has the last event. */
  events(count: number, subscribers: number): Promise<Measured> {
    return this.#measure(async () => {
      const received = this.#client.ask({ received: count * subscribers });
      await this.#server.ask({ publish: count });
      await received;
    });
  }

  async stop(): Promise<void> {
    await Promise.all([this.#client.stop(), this.#server.stop()]);
  }

  async #measure(work: () => Promise<unknown>): Promise<Measured> {
    const before = this.#cpu();
    const beganMs = performance.now();
    await work();
    const seconds = (performance.now() - beganMs) / 1000;
    const after = this.#cpu();
    return {
      seconds,
      cpu: {
        server: after.server - before.server,
        client: after.client - before.client,
        broker: after.broker - before.broker,
      },
    };
  }

  #cpu(): Cpu {
    return {
      server: cpuSecondsOf(this.#server.pid),
      client: cpuSecondsOf(this.#client.pid),
      broker: cpuSecondsOf(this.#brokerPid),
    };
  }
}

class Program {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #lines: AsyncIterator<string>;

  private constructor(name: string, child: ChildProcess) {
    this.#name = name;
    this.#child = child;
    if (child.stdout === null) throw new TypeError('no pipe');
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  static async start(file: string, role: 'server' | 'client', url: string): Promise<Program> {
    const path = fileURLToPath(new URL(`./peers/${file}`, import.meta.url));
    const interpreter = file.endsWith('.py') ? '/usr/bin/python3' : process.execPath;
    const child = spawn(interpreter, [path, role, url], { stdio: ['pipe', 'pipe', 'inherit'] });
    const program = new Program(`${file} ${role}`, child);
    await program.#answer();
    return program;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async ask(asked: Asked): Promise<void> {
    this.#child.stdin?.write(`${JSON.stringify(asked)}\n`);
    await this.#answer();
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async #answer(): Promise<void> {
    for (;;) {
      const { done, value } = await this.#lines.next();
      if (done === true) throw new Error(`${this.#name} ended; its words are above`);
      // Logs may come by the same way.
      if (/^\{"(ready|seconds)"/.test(value)) return;
    }
  }
}
