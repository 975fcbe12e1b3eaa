/** Simulated hosts, spread over a few processes. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { type HostSpec, hostEnded } from './host-spec.ts';
import { cpuSeconds } from './process-use.ts';

/** What the hosts have logged about their connections since the last `forget`. */
interface Seen {
  /** When the first lost its session. */
  lostMs?: number;
  /** When each session began, ms of `performance.now()`, in order. */
  connectedMs: number[];
  /** Failed attempts, by reason. */
  failed: Map<string, number>;
}

const program = fileURLToPath(new URL('./hosts.ts', import.meta.url));

export class SimulatedHosts implements AsyncDisposable {
  readonly #children: readonly ChildProcess[];
  #seen: Seen = { connectedMs: [], failed: new Map() };

  constructor(hosts: readonly HostSpec[], processes: number) {
    this.#children = Array.from({ length: processes }, (_, index) => {
      const child = fork(program, { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
      child.send(hosts.filter((_host, i) => i % processes === index));
      createInterface({ input: child.stdout as Readable }).on('line', (line) => this.#take(line));
      return child;
    });
  }

  /** @throws when a process of them has ended */
  get seen(): Seen {
    if (this.#children.some(({ exitCode, signalCode }) => (exitCode ?? signalCode) !== null)) {
      throw new Error('A process of simulated hosts has ended; what it said is above');
    }
    return this.#seen;
  }

  forget(): void {
    this.#seen = { connectedMs: [], failed: new Map() };
  }

  cpuSeconds(): number {
    return this.#children.reduce((sum, { pid }) => sum + cpuSeconds(pid ?? 0), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }),
    );
  }

  #take(text: string): void {
    const line = JSON.parse(text) as { msg: string; err?: { message: string; code?: string } };
    if (line.msg === 'connected to the broker') this.#seen.connectedMs.push(performance.now());
    if (line.msg === 'lost the broker') this.#seen.lostMs ??= performance.now();
    if (line.msg === 'no session with the broker' || line.msg === hostEnded) {
      const reason = line.err?.code ?? line.err?.message ?? 'unknown';
      this.#seen.failed.set(reason, (this.#seen.failed.get(reason) ?? 0) + 1);
    }
  }
}
