/** A client, a subscriber and daemons around one broker, all recorded. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { VerbTypes } from '../../schemas/verbs.ts';
import { CallTimeout, type Client, connect, HostbusError, HostUnreachable } from '../../src/client/client.ts';
import { type DaemonOptions, startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';
import { callNote, type Load, startLoad } from './load.ts';
import { Recorder } from './recorder.ts';
import type { Witness } from './witness.ts';

export interface WorldOptions {
  readonly brokerUrls: readonly string[];
  /** Configuration of every daemon, as environment variables. */
  readonly env?: Record<string, string>;
}

export class World {
  readonly dir: string;
  readonly recorder: Recorder;
  readonly client: Client;
  readonly witness: Witness;
  readonly daemons = new Map<string, TestDaemon>();
  readonly #options: WorldOptions;
  readonly #calls: Promise<unknown>[] = [];

  private constructor(options: WorldOptions, dir: string, client: Client) {
    this.#options = options;
    this.dir = dir;
    this.client = client;
    this.recorder = new Recorder(join(dir, 'notes'));
    this.witness = this.recorder.addWitness('the subscriber');
  }

  /** The subscriber is there before the first daemon: it sees each boot from its first event. */
  static async start(options: WorldOptions): Promise<World> {
    const dir = await mkdtemp(join(tmpdir(), 'hostbus-faults-'));
    const client = await connect(options.brokerUrls, { heartbeat: 2 });
    const world = new World(options, dir, client);
    await world.witness.watch(client);
    return world;
  }

  async close(): Promise<void> {
    await this.client.close();
    for (const daemon of this.daemons.values()) await daemon.kill();
    await rm(this.dir, { recursive: true, force: true });
  }

  /** Starts a daemon, or starts it again. */
  async startHost(hostId: string, options: Partial<DaemonOptions> = {}): Promise<TestDaemon> {
    const env = { HOSTBUS_EVENTS_HEARTBEAT: '500ms', ...this.#options.env, ...options.env };
    const daemon = await startDaemon({
      brokerUrl: this.#options.brokerUrls.join(),
      testVerbs: true,
      ...options,
      hostId,
      env,
    });
    this.daemons.set(hostId, daemon);
    return daemon;
  }

  daemon(hostId: string): TestDaemon {
    const daemon = this.daemons.get(hostId);
    assert.ok(daemon !== undefined, `${hostId} has been started`);
    return daemon;
  }

  /** SIGKILL: what runs there ends with it. */
  async killHost(hostId: string): Promise<void> {
    const daemon = this.daemon(hostId);
    this.recorder.willDie(daemon.pid);
    await daemon.kill();
  }

  startLoad(hostIds: readonly string[] = [...this.daemons.keys()], callers = 6): Load {
    const { recorder, client } = this;
    return startLoad({ log: recorder, client, notes: recorder.notes }, hostIds, callers);
  }

  /** One call that takes so long, beside the load; `check` waits for its outcome. */
  call(hostId: string, ms: number): void {
    const { recorder, client } = this;
    this.#calls.push(callNote({ log: recorder, client, hostId, notes: recorder.notes, ms }));
  }

  /** Resolves once each host answers. */
  async serves(): Promise<void> {
    for (const hostId of this.daemons.keys()) await this.bootOf(hostId);
  }

  /** As the host says, once it can be asked: it may be away for a moment more. */
  async bootOf(hostId: string): Promise<string> {
    return (await this.#ask(hostId, 'ping')).bootId;
  }

  /** Resolves once the subscriber has all that was told up to now, and checks the record. */
  async check(): Promise<void> {
    await Promise.all(this.#calls.splice(0));
    for (const hostId of this.daemons.keys()) {
      const bootId = await this.bootOf(hostId);
      const { events } = await this.#ask(hostId, 'getHostStats');
      const last = events.published + events.buffered + events.dropped;
      await until(
        `the subscriber has event ${last} of ${hostId}`,
        () => this.witness.highest(bootId) >= last,
      );
    }
    this.recorder.check();
  }

  #ask<M extends 'ping' | 'getHostStats'>(hostId: string, method: M): Promise<VerbTypes[M]['result']> {
    return until(`${hostId} answers`, async () => {
      try {
        return await this.client.host(hostId).call(method, {}, { timeout: 1000 });
      } catch (error) {
        const isAway = error instanceof HostUnreachable || error instanceof CallTimeout;
        // A nack: its queue is just going.
        if (isAway || (error instanceof HostbusError && error.name === 'Overloaded')) return undefined;
        throw error;
      }
    });
  }
}
