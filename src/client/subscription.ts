/** Subscriptions: events of one filter, from a queue of one's own. */
import type { ConsumeMessage } from 'amqplib';
import type { CloudEvent } from '../../schemas/events.ts';
import { guard, type Session } from '../bus/broker-link.ts';
import { eventsExchange } from '../bus/names.ts';
import { AsyncQueue } from '../lib/async-queue.ts';
import type { EventStream, HostEvent } from './types.ts';

/** How many events a subscriber that does not read may pile up in the broker; then the oldest go, which `sequence` shows. */
const queueMaxLength = 100_000;
const prefetch = 500;
const acknowledgeEvery = 100;

export class Subscription implements EventStream {
  readonly ready: Promise<void>;
  readonly #patterns: readonly string[];
  readonly #onClose: (subscription: Subscription) => void;
  readonly #bound = Promise.withResolvers<void>();
  readonly #queue = new AsyncQueue<{
    event: HostEvent;
    message: ConsumeMessage;
    acknowledge: (m: ConsumeMessage) => void;
  }>();
  readonly #gapListeners: (() => void)[] = [];
  readonly #lostListeners: (() => void)[] = [];
  #channelClose: (() => Promise<void>) | undefined;
  #sessions = 0;
  #unacknowledged = 0;

  /** @param patterns - binding keys; an event that several match comes once */
  constructor(patterns: readonly string[], onClose: (subscription: Subscription) => void) {
    this.#patterns = patterns;
    this.#onClose = onClose;
    this.ready = this.#bound.promise;
    this.ready.catch(() => {}); // whoever awaits it is told
  }

  async setUp(session: Session): Promise<void> {
    const channel = guard(session, await session.model.createChannel());
    await channel.prefetch(prefetch);
    const { queue } = await channel.assertQueue('', {
      exclusive: true,
      durable: false,
      arguments: { 'x-max-length': queueMaxLength },
    });
    for (const pattern of this.#patterns) await channel.bindQueue(queue, eventsExchange, pattern);
    const acknowledge = (message: ConsumeMessage) => {
      try {
        channel.ack(message, true);
      } catch {
        // the channel has ended, and its queue with it
      }
    };
    this.#sessions += 1;
    // Before the first event that may come after a gap.
    if (this.#sessions > 1) for (const listener of this.#gapListeners) listener();
    await channel.consume(queue, (message) => {
      if (message === null) return session.fail(new Error('the broker cancelled a subscription'));
      const event = toHostEvent(message);
      if (event === undefined) acknowledge(message);
      else this.#queue.push({ event, message, acknowledge });
    });
    this.#channelClose = () => channel.close();
    this.#bound.resolve();
  }

  lost(): void {
    this.#channelClose = undefined;
    for (const listener of this.#lostListeners) listener();
  }

  onGap(listener: () => void): void {
    this.#gapListeners.push(listener);
  }

  onLost(listener: () => void): void {
    this.#lostListeners.push(listener);
  }

  /** The next event; undefined at the end, or after `timeoutMs`. */
  async next(timeoutMs?: number): Promise<HostEvent | undefined> {
    const taken = await this.#queue.take(timeoutMs);
    if (taken === undefined) return undefined;
    this.#unacknowledged += 1;
    if (this.#queue.size === 0 || this.#unacknowledged >= acknowledgeEvery) {
      this.#unacknowledged = 0;
      taken.acknowledge(taken.message);
    }
    return taken.event;
  }

  get closed(): boolean {
    return this.#queue.closed;
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.#queue.close();
    this.#bound.reject(new Error('The subscription was closed'));
    this.#onClose(this);
    await this.#channelClose?.().catch(() => {});
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<HostEvent> {
    try {
      for (;;) {
        const event = await this.next();
        if (event === undefined) return;
        yield event;
      }
    } finally {
      await this.close();
    }
  }
}

/**
 * Undefined for what is no event of the host that it names. The broker lets a host write only under its own ID into the
 * events' exchange, and anybody who may answer requests write to a queue directly: so only the exchange and the key count. Of
 * a dead letter neither does: whoever declares a queue chooses where its dead letters go, under any key.
 */
function toHostEvent(message: ConsumeMessage): HostEvent | undefined {
  if (message.fields.exchange !== eventsExchange || message.properties.headers?.['x-death'] !== undefined)
    return undefined;
  let body: CloudEvent;
  try {
    body = JSON.parse(message.content.toString()) as CloudEvent;
  } catch {
    return undefined;
  }
  const [, kind, event] = /^hostbus\.([^.]+)\.([^.]+)$/.exec(String(body?.type)) ?? [];
  const [, hostId] = /^\/hosts\/(.+)$/.exec(String(body?.source)) ?? [];
  if (kind === undefined || event === undefined || hostId === undefined) return undefined;
  if (!message.fields.routingKey.startsWith(`${hostId}.`)) return undefined;
  return {
    hostId,
    kind,
    event,
    id: body.subject,
    bootId: body.bootid,
    sequence: Number(body.sequence),
    time: body.time,
    ...(body.flowid === undefined ? {} : { flowId: body.flowid }),
    ...(body.traceparent === undefined ? {} : { traceparent: body.traceparent }),
    data: body.data,
  };
}
