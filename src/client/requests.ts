/** Requests on their way to the broker: each is confirmed, refused, or returned where no host is. */
import type { Message } from 'amqplib';
import { guard, type Session } from '../bus/broker-link.ts';
import type { MessageProperties } from '../bus/frames.ts';
import { rpcExchange } from '../bus/names.ts';
import { OutgoingChannel } from '../bus/outgoing.ts';
import { HostUnreachable } from './errors.ts';

/** Who sent a request that the broker has not confirmed yet. */
export interface Sender {
  readonly hostId: string;
  readonly correlationId: string;
  confirmed(): void;
  /** Too many wait for the host: the broker did not take it. */
  refused(): void;
  reject(error: unknown): void;
}

export class Requests {
  /** By delivery tag, in its order. */
  readonly #unconfirmed = new Map<number, Sender>();
  #lastTag = 0;
  #outgoing: OutgoingChannel | undefined;
  #user: string | undefined;

  /** @param answered - called with each answer */
  async setUp(session: Session, answered: (message: Message) => void): Promise<void> {
    const channel = guard(session, await session.model.createConfirmChannel());
    channel.on('return', (message) => this.#returned(message));
    channel.on('ack', ({ deliveryTag, multiple }) => {
      for (const sender of this.#take(deliveryTag, multiple)) sender.confirmed();
    });
    channel.on('nack', ({ deliveryTag, multiple }) => {
      for (const sender of this.#take(deliveryTag, multiple)) sender.refused();
    });
    await channel.consume(
      'amq.rabbitmq.reply-to',
      (message) => {
        if (message === null) session.fail(new Error('the broker cancelled the reply consumer'));
        else answered(message);
      },
      { noAck: true },
    );
    this.#lastTag = 0;
    this.#user = session.user;
    this.#outgoing = new OutgoingChannel(session.outgoing, channel);
  }

  /** @returns those whose request the broker may or may not have */
  lost(): Sender[] {
    this.#outgoing = undefined;
    const unconfirmed = [...this.#unconfirmed.values()];
    this.#unconfirmed.clear();
    return unconfirmed;
  }

  /**
   * @returns whether it is on its way; not while the broker is away
   * @throws TypeError when a text is too long for AMQP
   */
  publish(sender: Sender, body: string, properties: Omit<MessageProperties, 'contentType'>): boolean {
    if (this.#outgoing?.open !== true) return false;
    this.#outgoing.publish({
      exchange: rpcExchange,
      routingKey: sender.hostId,
      mandatory: true,
      properties: {
        contentType: 'application/json',
        correlationId: sender.correlationId,
        headers: properties.headers,
        replyTo: properties.replyTo,
        userId: this.#user,
      },
      body,
    });
    this.#lastTag += 1;
    this.#unconfirmed.set(this.#lastTag, sender);
    return true;
  }

  /** A return comes before its confirm. */
  #returned(message: Message): void {
    const correlationId = message.properties.correlationId as unknown;
    for (const sender of this.#unconfirmed.values()) {
      if (sender.correlationId !== correlationId) continue;
      sender.reject(new HostUnreachable(sender.hostId));
      return;
    }
  }

  *#take(tag: number, multiple: boolean): Generator<Sender> {
    for (const one of multiple ? this.#unconfirmed.keys() : [tag]) {
      if (one > tag) return;
      const sender = this.#unconfirmed.get(one);
      this.#unconfirmed.delete(one);
      if (sender !== undefined) yield sender;
    }
  }
}
