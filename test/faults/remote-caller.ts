/** Starts calling-process.ts and keeps its record, also of what it was about when it vanished. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Client } from '../../src/client/client.ts';
import { until } from '../lib/until.ts';
import type { CallerLine } from './calling-process.ts';
import { askFor } from './load.ts';
import type { Recorder } from './recorder.ts';

const script = fileURLToPath(new URL('./calling-process.ts', import.meta.url));

export interface RemoteCallerOptions {
  readonly recorder: Recorder;
  readonly url: string;
  readonly hostIds: readonly string[];
  readonly callers: number;
  readonly heartbeatSeconds?: number;
  /** The start of a command line that puts the rest into another place and becomes it. */
  readonly enter?: readonly string[];
}

export class RemoteCaller {
  readonly #recorder: Recorder;
  readonly #child: ChildProcess;
  readonly #open = new Set<string>();
  readonly #ended: Promise<unknown>;
  #outcomes = 0;

  constructor(options: RemoteCallerOptions) {
    const { recorder, url, hostIds, callers, heartbeatSeconds = 10, enter = [] } = options;
    const args = [script, url, hostIds.join(), recorder.notes, `${callers}`, `${heartbeatSeconds}`];
    const [program = '', ...rest] = [...enter, process.execPath, ...args];
    this.#recorder = recorder;
    this.#child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.#child.stdout ?? process.stdin });
    lines.on('line', (line) => this.#take(JSON.parse(line) as CallerLine));
    this.#ended = Promise.all([once(this.#child, 'exit'), once(lines, 'close')]);
  }

  /** Resolves once it has had so many outcomes. */
  async hasOutcomes(count: number): Promise<void> {
    await until(`${count} calls of another process`, () => {
      if (this.#child.exitCode !== null) throw new Error(`the caller ended with ${this.#child.exitCode}`);
      return this.#outcomes >= count;
    });
  }

  /** No more calls; resolves when all of its calls have an outcome. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }

  /** SIGKILL. What became of its calls is found out by another client, which has to know no more than their IDs. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  /** How many calls were under way when it was killed; asks what became of them. */
  async findOut(client: Client): Promise<number> {
    const open = [...this.#open];
    const hostOf = (taskId: string) => taskId.slice(0, taskId.indexOf('-'));
    for (const taskId of open) this.#recorder.ended(taskId, await askFor(client, hostOf(taskId), taskId));
    this.#open.clear();
    return open.length;
  }

  #take({ taskId, outcome }: CallerLine): void {
    if (outcome === undefined) {
      this.#recorder.began(taskId);
      this.#open.add(taskId);
    } else {
      this.#recorder.ended(taskId, outcome);
      this.#open.delete(taskId);
      this.#outcomes += 1;
    }
  }
}
