/** A subscriber that checks what it sees: per boot of a host, events come in order, and none is missing unless it was told so. */
import type { Client, EventStream, HostEvent } from '../../src/client/client.ts';

interface Boot {
  highest: number;
  /** How often gaps had been told when its last event came. */
  told: number;
  /** What each number was. */
  readonly seen: Map<number, string>;
}

export class Witness {
  readonly name: string;
  readonly violations: string[] = [];
  /** Events that came for the first time, that came again, and numbers that were left out. */
  readonly counts = { events: 0, repeated: 0, missed: 0 };
  /** The fault is one that makes events go: a number that is left out is how it shows. */
  mayMiss = false;
  readonly #boots = new Map<string, Boot>();
  readonly #taskEvents = new Map<string, string[]>();
  #told = 0;
  #stream: EventStream | undefined;

  constructor(name: string) {
    this.name = name;
  }

  /** Subscribes to everything; resolves once that is in force. */
  async watch(client: Client): Promise<void> {
    const stream = client.events();
    this.#stream = stream;
    stream.onGap(() => this.tellGap());
    void (async () => {
      for await (const event of stream) this.take(event);
    })();
    await stream.ready;
  }

  async close(): Promise<void> {
    await this.#stream?.close();
  }

  /** The subscription was away: what happened meanwhile it has not seen. */
  tellGap(): void {
    this.#told += 1;
  }

  take({ hostId, bootId, sequence, kind, event, id }: HostEvent): void {
    let boot = this.#boots.get(bootId);
    if (boot === undefined) {
      boot = { highest: 0, told: 0, seen: new Map() };
      this.#boots.set(bootId, boot);
    }
    const what = `${kind}.${event} ${id}`;
    const place = `${this.name}: event ${sequence} (${what}) of ${hostId}, boot ${bootId}`;
    if (sequence <= boot.highest) {
      const before = boot.seen.get(sequence);
      if (before === undefined) this.violations.push(`${place} came after ${boot.highest}`);
      else if (before !== what) this.violations.push(`${place} was ${before} the first time`);
      this.counts.repeated += 1;
      return;
    }
    const missed = sequence - boot.highest - 1;
    if (missed > 0 && !this.mayMiss && boot.told === this.#told) {
      this.violations.push(`${place} came after ${boot.highest}, and nobody told of a gap`);
    }
    this.counts.missed += missed;
    this.counts.events += 1;
    boot.told = this.#told;
    boot.highest = sequence;
    boot.seen.set(sequence, what);
    if (kind === 'task') this.#taskEvents.set(id, [...(this.#taskEvents.get(id) ?? []), event]);
  }

  /** The last number that came of this boot. */
  highest(bootId: string): number {
    return this.#boots.get(bootId)?.highest ?? 0;
  }

  /** The events of one task, each once, in the order in which they came. */
  eventsOf(taskId: string): readonly string[] {
    return this.#taskEvents.get(taskId) ?? [];
  }
}
