/**
 * Events, in order, at least once while the process lives.
 *
 * The buffer holds what the broker has not confirmed yet, oldest first; `#sent` of them are on their way in this session. A
 * session's end makes all of them unsent again. Beyond the bound the oldest are dropped and counted.
 */
import type { Happening } from '../../schemas/events.ts';
import { isoTime } from '../lib/iso-time.ts';
import { guard, type Session } from './broker-link.ts';
import { eventKey, eventsExchange } from './names.ts';
import { OutgoingChannel } from './outgoing.ts';

export interface EventPublisherOptions {
  readonly hostId: string;
  readonly bootId: string;
  /** How many events are kept while the broker is away. */
  readonly bufferMax: number;
}

interface Pending {
  readonly key: string;
  readonly body: string;
  confirmed: boolean;
}

/** How many may be unconfirmed at once: enough to keep the broker busy. */
const windowSize = 1000;
const properties = { contentType: 'application/cloudevents+json' } as const;

export class EventPublisher {
  readonly #options: EventPublisherOptions;
  readonly #source: string;
  #buffer: Pending[] = [];
  /** Index of the oldest in `#buffer`: shifting an array of thousands for each event would be slow. */
  #head = 0;
  /** How many from the head on have been published in this session. */
  #sent = 0;
  /** Delivery tag that the event at the head has in this session. */
  #headTag = 1;
  #channel: OutgoingChannel | undefined;
  #blocked = false;
  #sequence = 0;
  #published = 0;
  #dropped = 0;
  #emptyWaiters: (() => void)[] = [];

  constructor(options: EventPublisherOptions) {
    this.#options = options;
    this.#source = `/hosts/${options.hostId}`;
  }

  /** Takes an event; it leaves now or when the broker is there. */
  publish(happening: Happening): void {
    const { hostId, bootId, bufferMax } = this.#options;
    const { kind, event, id } = happening;
    this.#sequence += 1;
    const body = {
      specversion: '1.0',
      id: `${bootId}-${this.#sequence}`,
      source: this.#source,
      type: `hostbus.${kind}.${event}`,
      subject: id,
      time: isoTime(Date.now()),
      datacontenttype: 'application/json',
      bootid: bootId,
      sequence: String(this.#sequence).padStart(16, '0'),
      flowid: happening.flowId,
      traceparent: happening.traceparent,
      data: happening.data,
    };
    if (this.#size >= bufferMax) this.#dropOldest();
    this.#buffer.push({
      key: eventKey(hostId, kind, event, id),
      body: JSON.stringify(body),
      confirmed: false,
    });
    this.#pump();
  }

  /** A session began: everything unconfirmed is sent (again), in order. */
  async setUp(session: Session): Promise<void> {
    const channel = guard(session, await session.model.createConfirmChannel());
    channel.on('ack', ({ deliveryTag, multiple }) => this.#settle(deliveryTag, multiple));
    // A nack says that some subscriber's full queue refused the event; the others have it. Sending it again would reorder it for them.
    channel.on('nack', ({ deliveryTag, multiple }) => this.#settle(deliveryTag, multiple));
    this.#channel = new OutgoingChannel(session.outgoing, channel);
    this.#headTag = 1;
    this.#blocked = false;
    this.#pump();
  }

  lost(): void {
    this.#channel = undefined;
    this.#sent = 0;
    // What was confirmed out of order is out already; what stays is sent again from the head on.
    this.#buffer = this.#buffer.slice(this.#head).filter((pending) => !pending.confirmed);
    this.#head = 0;
  }

  blocked(blocked: boolean): void {
    this.#blocked = blocked;
    if (!blocked) this.#pump();
  }

  /** Resolves once the broker has confirmed everything, or when `timeoutMs` is over. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#emptyWaiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  counts(): { published: number; buffered: number; dropped: number } {
    return { published: this.#published, buffered: this.#size, dropped: this.#dropped };
  }

  /** Whether the broker takes no messages for the time being. */
  get isBlocked(): boolean {
    return this.#blocked;
  }

  get #size(): number {
    return this.#buffer.length - this.#head;
  }

  #pump(): void {
    const channel = this.#channel;
    if (channel === undefined || this.#blocked) return;
    while (this.#sent < windowSize) {
      const next = this.#buffer[this.#head + this.#sent];
      if (next === undefined) break;
      try {
        this.#sent += 1;
        channel.publish({ exchange: eventsExchange, routingKey: next.key, properties, body: next.body });
      } catch {
        return; // the channel is closing; `lost` follows
      }
    }
  }

  #settle(tag: number, multiple: boolean): void {
    const index = tag - this.#headTag;
    for (let i = multiple ? 0 : index; i <= index; i += 1) {
      const pending = this.#buffer[this.#head + i];
      if (pending !== undefined) pending.confirmed = true;
    }
    while (this.#sent > 0 && this.#buffer[this.#head]?.confirmed === true) {
      this.#removeHead();
      this.#published += 1;
    }
    if (this.#size === 0) for (const wake of this.#emptyWaiters.splice(0)) wake();
    this.#pump();
  }

  #dropOldest(): void {
    this.#removeHead();
    this.#dropped += 1;
  }

  #removeHead(): void {
    this.#head += 1;
    if (this.#sent > 0) {
      this.#sent -= 1;
      this.#headTag += 1;
    }
    if (this.#head === this.#buffer.length) {
      this.#buffer = [];
      this.#head = 0;
    } else if (this.#head >= 1024 && this.#head * 2 > this.#buffer.length) {
      this.#buffer = this.#buffer.slice(this.#head);
      this.#head = 0;
    }
  }
}
