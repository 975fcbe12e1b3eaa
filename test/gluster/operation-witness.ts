/** Who hears of operations: all events of all hosts, and those who follow one. */
import type { Operation } from '../../schemas/gluster-operations.ts';
import type { Client, HostEvent } from '../../src/client/client.ts';
import { until } from '../lib/until.ts';

/** What `follow` gives, as it comes, and how it ends. */
export interface Following {
  readonly seen: Operation[];
  ended: boolean;
  failure?: unknown;
}

export class OperationWitness {
  readonly #client: Client;
  readonly #events: HostEvent[] = [];

  private constructor(client: Client) {
    this.#client = client;
  }

  /** Hears of everything from now on, until the client is closed. */
  static async listen(client: Client): Promise<OperationWitness> {
    const witness = new OperationWitness(client);
    const stream = client.events({ kind: 'operation' });
    await stream.ready;
    void (async () => {
      for await (const event of stream) witness.#events.push(event);
    })();
    return witness;
  }

  told(operationId: string, host = 'h1'): HostEvent[] {
    return this.#events.filter((event) => event.id === operationId && event.hostId === host);
  }

  /** The names of the events, progress left out. */
  story(operationId: string, host = 'h1'): string[] {
    return this.told(operationId, host)
      .map(({ event }) => event)
      .filter((event) => event !== 'progress');
  }

  /** Waits for an event. */
  async hears(operationId: string, event: string, host = 'h1'): Promise<HostEvent> {
    return until(`${host} tells ${event}`, (see) =>
      see(this.told(operationId, host)).findLast((one) => one.event === event),
    );
  }

  follow(operationId: string): Following {
    const following: Following = { seen: [], ended: false };
    void (async () => {
      try {
        const changes = this.#client.host('h1').operation(operationId).follow();
        for await (const operation of changes) following.seen.push(operation);
      } catch (error) {
        following.failure = error;
      }
      following.ended = true;
    })();
    return following;
  }
}
