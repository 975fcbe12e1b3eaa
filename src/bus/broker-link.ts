/**
 * A connection to the broker that comes back. Its life is a list of states:
 *
 *   connecting → up → lost → (backoff) → connecting …   until `stop()`, or until setting up fails for good (`FinalError`)
 *
 * Whatever fails in a session (socket, heartbeat, a channel that the broker closes, a cancelled consumer) ends the whole session:
 * there is one way back, and it is the one that every start takes.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { SecureContext } from 'node:tls';
import { type ChannelModel, connect, credentials } from 'amqplib';
import type { Logger } from 'pino';
import { backoffMs } from '../lib/backoff.ts';
import { Outgoing, socketOf } from './outgoing.ts';
import { type BrokerTls, explained, secureContextOf } from './tls.ts';

export interface BrokerLinkOptions {
  /** `amqp://` or `amqps://`; tried in turn, beginning with a random one. */
  readonly urls: readonly string[];
  readonly tls?: BrokerTls | undefined;
  /** Shown in the broker's list of connections. */
  readonly name: string;
  readonly heartbeatSeconds: number;
  readonly log?: Logger | undefined;
}

/** One connection's time. */
export interface Session {
  readonly model: ChannelModel;
  /** What the connection was made with: for another one to the same broker. */
  readonly url: string;
  readonly connectOptions: object;
  /** The broker user of this connection; undefined where only the client certificate names it. */
  readonly user: string | undefined;
  /** The way out of messages and acknowledgements. */
  readonly outgoing: Outgoing;
  /** Ends this session as if the connection had been lost. */
  readonly fail: (reason: Error) => void;
}

export interface BrokerLinkHandlers {
  /** Declares and consumes what the session needs; its failure ends the session. */
  setUp(session: Session): Promise<void>;
  /** The session is over; nothing can be published until the next `setUp`. */
  lost?(reason: Error): void;
  /** The broker does not read from us for the time being (an alarm), or does again (undefined). */
  blocked?(reason: string | undefined): void;
  /** An attempt failed; another follows. */
  attemptFailed?(reason: Error, attempt: number): void;
}

/** Thrown by `setUp` where trying again cannot help: the link stops. */
export class FinalError extends Error {
  override readonly name: string = 'FinalError';
}

const connectTimeoutMs = 10_000;
const firstBackoffMs = 100;
const maxBackoffMs = 5_000;

export class BrokerLink {
  readonly #options: BrokerLinkOptions;
  readonly #handlers: BrokerLinkHandlers;
  readonly #secureContext: SecureContext | undefined;
  readonly #stop = new AbortController();
  #model: ChannelModel | undefined;
  #outgoing: Outgoing | undefined;
  /** Ends the session, or the attempt at one, that is under way. */
  #end: (reason: Error) => void = () => {};
  #urlIndex: number;
  #finished: Promise<void> = Promise.resolve();

  /** @throws {TlsFailure} the certificates cannot be used */
  constructor(options: BrokerLinkOptions, handlers: BrokerLinkHandlers) {
    this.#options = options;
    if (Object.values(options.tls ?? {}).some((value) => value !== undefined))
      this.#secureContext = secureContextOf(options.tls ?? {});
    this.#handlers = handlers;
    this.#urlIndex = Math.floor(Math.random() * options.urls.length);
  }

  /** Keeps a session for as long as it can; resolves after `stop()`, rejects with a FinalError. */
  run(): Promise<void> {
    this.#finished = this.#loop();
    return this.#finished;
  }

  /** Closes the connection, after what was written has been handed over, and stops for good. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const model = this.#model;
    if (model !== undefined) {
      this.#outgoing?.flush();
      // A broker that does not answer must not hold us up.
      await Promise.race([model.close().catch(() => {}), sleep(1000, undefined, { ref: false })]);
      destroy(model);
    }
    // Nothing tells of the end of a connection to a broker that hangs, or that is still being made.
    this.#end(new Error('stopped'));
    await this.#finished.catch(() => {});
  }

  async #loop(): Promise<void> {
    let attempt = 0;
    while (!this.#stop.signal.aborted) {
      const ended = Promise.withResolvers<Error>();
      this.#end = ended.resolve;
      try {
        await this.#open(ended);
        attempt = 0;
        const reason = await ended.promise;
        if (!this.#stop.signal.aborted) this.#options.log?.warn({ err: reason }, 'lost the broker');
        this.#handlers.lost?.(reason);
      } catch (error) {
        if (error instanceof FinalError) throw error;
        attempt += 1;
        const reason = error instanceof Error ? explained(error, this.#url) : new Error(String(error));
        if (!this.#stop.signal.aborted) {
          this.#options.log?.warn(
            { err: reason, broker: maskUrl(this.#url), attempt },
            'no session with the broker',
          );
        }
        this.#handlers.attemptFailed?.(reason, attempt);
        this.#urlIndex += 1;
      } finally {
        const model = this.#model;
        this.#model = undefined;
        this.#outgoing = undefined;
        if (model !== undefined) destroy(model);
      }
      if (this.#stop.signal.aborted) return;
      const waitMs = backoffMs(Math.max(attempt, 1), firstBackoffMs, maxBackoffMs);
      await sleep(waitMs, undefined, { signal: this.#stop.signal }).catch(() => {});
    }
  }

  async #open(ended: PromiseWithResolvers<Error>): Promise<void> {
    const url = this.#url;
    const { tls, name, heartbeatSeconds, log } = this.#options;
    // With a password the certificate only opens the door; without one it says who comes in.
    const external = tls?.cert !== undefined && new URL(url).password === '';
    const connectOptions = {
      secureContext: this.#secureContext,
      noDelay: true,
      timeout: connectTimeoutMs,
      clientProperties: { connection_name: name },
      ...(external ? { credentials: credentials.external() } : {}),
    };
    const connecting = connect(withHeartbeat(url, heartbeatSeconds), connectOptions);
    const model = await Promise.race([connecting, ended.promise.then(() => undefined)]);
    if (model === undefined || this.#stop.signal.aborted) {
      connecting.then(destroy, () => {});
      throw new Error('stopped while connecting');
    }
    this.#model = model;
    const fail = (reason: Error) => ended.resolve(reason);
    model.on('error', fail);
    model.on('close', (reason) => fail(reason ?? new Error('the connection was closed')));
    model.on('blocked', (reason) => {
      log?.warn({ reason }, 'the broker has blocked publishing');
      this.#handlers.blocked?.(reason);
    });
    model.on('unblocked', () => {
      log?.info('the broker takes messages again');
      this.#handlers.blocked?.(undefined);
    });
    this.#outgoing = new Outgoing(model);
    const session: Session = {
      model,
      url,
      connectOptions,
      user: userOf(url, external ? undefined : 'guest'),
      outgoing: this.#outgoing,
      fail,
    };
    // A connection that dies while it is set up must not leave `setUp` waiting.
    await Promise.race([
      this.#handlers.setUp(session),
      ended.promise.then((reason) => {
        throw reason;
      }),
    ]);
    log?.info({ broker: maskUrl(url) }, 'connected to the broker');
  }

  get #url(): string {
    const { urls } = this.#options;
    return urls[this.#urlIndex % urls.length] ?? '';
  }
}

/** Makes a channel whose end is the session's end. */
export function guard<C extends { on(event: 'error' | 'close', listener: (error?: Error) => void): unknown }>(
  session: Session,
  channel: C,
): C {
  channel.on('error', (error) => session.fail(error ?? new Error('a channel failed')));
  channel.on('close', () => session.fail(new Error('a channel was closed')));
  return channel;
}

/** A URL that can be shown: without its password, which may hold a `@` of its own. */
export function maskUrl(url: string): string {
  return url.replace(/^(\w+:\/\/[^:/]*):.*@/, '$1:***@');
}

function userOf<T>(url: string, nobody: T): string | T {
  const { username } = new URL(url);
  return username === '' ? nobody : decodeURIComponent(username);
}

function withHeartbeat(url: string, seconds: number): string {
  const parsed = new URL(url);
  if (!parsed.searchParams.has('heartbeat')) parsed.searchParams.set('heartbeat', String(seconds));
  return parsed.href;
}

/** With an error: only then amqplib stops its heartbeats and tells its channels. */
function destroy(model: ChannelModel): void {
  model.on('error', () => {});
  socketOf(model).destroy(new Error('the session is over'));
}
