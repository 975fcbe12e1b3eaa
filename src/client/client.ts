/**
 * The client library: calls to hosts, their tasks, their events.
 *
 * ```ts
 * await using client = await connect('amqp://localhost');
 * const { image, taskId } = await client.host('h1').call('copyImage', { source, target }, { taskId: 'copy-42' });
 * for await (const task of client.host('h1').task(taskId).follow()) console.log(task.progress);
 * ```
 */
import { BrokerLink, type Session } from '../bus/broker-link.ts';
import { eventPattern } from '../bus/names.ts';
import { TlsFailure } from '../bus/tls.ts';
import { ensureExchanges } from '../bus/topology.ts';
import { Calls } from './calls.ts';
import { BrokerRefused, ConnectionClosed } from './errors.ts';
import { RemoteOperation } from './operation-handle.ts';
import { Subscription } from './subscription.ts';
import { RemoteTask } from './task-handle.ts';
import type { CallOptions, Client, ConnectOptions, EventFilter, EventStream, Host } from './types.ts';

export { HostbusError } from '../../schemas/errors.ts';
export type { Operation } from '../../schemas/gluster-operations.ts';
export type { Task } from '../../schemas/task.ts';
export {
  BrokerRefused,
  CallTimeout,
  ConnectionClosed,
  HostUnreachable,
  OperationTimeout,
  OutcomeUnknown,
} from './errors.ts';
export type * from './types.ts';

const defaultConnectTimeoutMs = 10_000;

/**
 * Connects to the broker, and keeps connected until `close()`.
 * @param url - `amqp://` or `amqps://`, or several for a cluster
 * @throws BrokerRefused when the broker does not let us in, or its certificate or ours is no good; ConnectionClosed when none
 * answers in time
 */
export async function connect(
  url: string | readonly string[],
  options: ConnectOptions = {},
): Promise<Client> {
  const client = makeClient(typeof url === 'string' ? [url] : url, options);
  await client.connect(options.connectTimeout ?? defaultConnectTimeoutMs);
  return client;
}

function makeClient(urls: readonly string[], options: ConnectOptions): BusClient {
  try {
    return new BusClient(urls, options);
  } catch (error) {
    throw error instanceof TlsFailure ? new BrokerRefused(error.message, { cause: error }) : error;
  }
}

class BusClient implements Client {
  readonly #calls = new Calls();
  readonly #subscriptions = new Set<Subscription>();
  readonly #link: BrokerLink;
  readonly #connected = Promise.withResolvers<void>();
  #session: Session | undefined;
  #lastFailure: Error | undefined;

  constructor(urls: readonly string[], options: ConnectOptions) {
    this.#link = new BrokerLink(
      {
        urls,
        tls: options.tls,
        name: options.name ?? 'hostbus client',
        heartbeatSeconds: options.heartbeat ?? 10,
      },
      {
        setUp: (session) => this.#setUp(session),
        lost: (reason) => this.#lost(reason),
        attemptFailed: (reason, attempt) => {
          this.#lost(reason);
          this.#lastFailure = reason;
          // Of a cluster's nodes another one may have a better certificate.
          const untrusted = reason instanceof TlsFailure && attempt >= urls.length;
          if (untrusted || isRefusal(reason))
            this.#connected.reject(new BrokerRefused(reason.message, { cause: reason }));
        },
      },
    );
  }

  async connect(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => {
      const why =
        this.#lastFailure === undefined ? '' : `: ${this.#lastFailure.message || String(this.#lastFailure)}`;
      this.#connected.reject(new ConnectionClosed(`No broker answered within ${timeoutMs} ms${why}`));
    }, timeoutMs);
    this.#link.run().catch((error: unknown) => this.#connected.reject(error));
    try {
      await this.#connected.promise;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  host(hostId: string): Host {
    const calls = this.#calls;
    const call = (method: string, params: unknown, options?: CallOptions) =>
      calls.call(hostId, method, params, options);
    const subscribe = (patterns: string[]) => this.#subscribe(patterns);
    return {
      hostId,
      // What a host answers is what its verb declares: the host checks it in its tests, not each client at each call.
      call: call as Host['call'],
      callUntyped: call,
      notify: (method, params) => calls.notify(hostId, method, params),
      task: (taskId) => new RemoteTask(hostId, String(taskId), calls, subscribe),
      operation: (operationId) => new RemoteOperation(hostId, operationId, calls, subscribe),
    };
  }

  events(filter: EventFilter = {}, { signal }: { signal?: AbortSignal } = {}): EventStream {
    const stream = this.#subscribe([eventPattern(filter)]);
    const close = () => void stream.close();
    if (signal?.aborted === true) close();
    else signal?.addEventListener('abort', close, { once: true });
    return stream;
  }

  async close(): Promise<void> {
    this.#calls.close();
    for (const subscription of [...this.#subscriptions]) await subscription.close();
    await this.#link.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #subscribe(patterns: string[]): Subscription {
    const subscription = new Subscription(patterns, (closed) => this.#subscriptions.delete(closed));
    this.#subscriptions.add(subscription);
    const session = this.#session;
    if (session !== undefined) subscription.setUp(session).catch((error: Error) => session.fail(error));
    return subscription;
  }

  async #setUp(session: Session): Promise<void> {
    await ensureExchanges(session);
    await this.#calls.setUp(session);
    for (const subscription of this.#subscriptions) await subscription.setUp(session);
    this.#session = session;
    this.#connected.resolve();
  }

  #lost(reason: Error): void {
    this.#session = undefined;
    this.#calls.lost(reason);
    for (const subscription of this.#subscriptions) subscription.lost();
  }
}

/** Wrong credentials, no permission, or no such virtual host: trying again changes nothing. */
function isRefusal(reason: Error): boolean {
  return /\b(403|530)\b|ACCESS[-_]REFUSED|NOT[-_]ALLOWED/.test(reason.message);
}
