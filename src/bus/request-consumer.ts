/** Requests in, answers out. */
import type { Channel, ConsumeMessage } from 'amqplib';
import type { Logger } from 'pino';
import { guard, type Session } from './broker-link.ts';
import { encodeHeaders } from './frames.ts';
import { requestQueue, rpcExchange } from './names.ts';
import { OutgoingChannel } from './outgoing.ts';
import { isDirectReplyTo, ReplyAddresses } from './reply-addresses.ts';
import { BadDestination, type Destination, parseReplyTo } from './reply-to.ts';
import { declareTopology } from './topology.ts';

/** A request as it came in. Nothing of it is JSON yet. */
export interface IncomingRequest {
  readonly body: Buffer;
  readonly user: string | undefined;
  readonly flowId: string | undefined;
  readonly traceparent: string | undefined;
  /** Why it is refused unread, or undefined. */
  readonly defect: string | undefined;
  /** Sends the answer; undefined where the caller named no place for one. */
  readonly reply: ((payload: string) => void) | undefined;
}

export interface RequestConsumerOptions {
  readonly hostId: string;
  readonly bootId: string;
  readonly log: Logger;
  readonly prefetch: number;
  /** How many requests may wait in the broker before publishers are refused. */
  readonly queueMaxLength: number;
  /** The same, in bytes of their bodies. */
  readonly queueMaxBytes: number;
  /** How long to wait for a host ID that another connection holds, in ms. */
  readonly hostIdWaitMs: number;
  /** Must not throw. */
  readonly onRequest: (request: IncomingRequest) => void;
}

interface Answer {
  readonly destination: Destination;
  readonly payload: string;
  readonly correlationId: string | undefined;
}

/** Answers that wait for the broker's return; beyond that the oldest are dropped: callers find out by asking. */
const maxWaitingAnswers = 10_000;
const maxFlowIdCharacters = 128;
const traceparentPattern = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

export class RequestConsumer {
  readonly #options: RequestConsumerOptions;
  readonly #headers: Record<string, string>;
  readonly #encodedHeaders: Buffer;
  #session: Session | undefined;
  #replyAddresses: ReplyAddresses | undefined;
  #channel: Channel | undefined;
  #outgoing: OutgoingChannel | undefined;
  /** For answers to exchanges, to which the broker may deny access: such a denial closes only this channel. */
  #exchangeChannel: Promise<Channel> | undefined;
  #consumerTag: string | undefined;
  #unacknowledged: ConsumeMessage | undefined;
  #waiting: Answer[] = [];
  #stopped = false;

  constructor(options: RequestConsumerOptions) {
    this.#options = options;
    this.#headers = { 'hostbus-host': options.hostId, 'hostbus-boot': options.bootId };
    this.#encodedHeaders = encodeHeaders(this.#headers);
  }

  /** @throws HostIdTaken when another daemon serves this host ID and goes on doing so */
  async declare(session: Session): Promise<void> {
    const { hostId, queueMaxLength, queueMaxBytes, hostIdWaitMs, log } = this.#options;
    const bounds = { queueMaxLength, queueMaxBytes };
    await declareTopology(session, { hostId, ...bounds, waitMs: hostIdWaitMs, log });
  }

  /** Takes requests from now on, and sends the answers that waited for a session. */
  async setUp(session: Session): Promise<void> {
    const { hostId, prefetch } = this.#options;
    const channel = guard(session, await session.model.createChannel());
    await channel.prefetch(prefetch);
    this.#session = session;
    this.#replyAddresses = new ReplyAddresses(session);
    this.#channel = channel;
    const outgoing = new OutgoingChannel(session.outgoing, channel);
    this.#outgoing = outgoing;
    if (!this.#stopped) {
      const { consumerTag } = await channel.consume(requestQueue(hostId), (message) => {
        if (message === null)
          session.fail(new Error('the broker cancelled the consumer: its queue was deleted'));
        else this.#receive(outgoing, message);
      });
      this.#consumerTag = consumerTag;
    }
    for (const answer of this.#waiting.splice(0)) this.#send(answer);
  }

  lost(): void {
    this.#session = undefined;
    this.#channel = undefined;
    this.#outgoing = undefined;
    this.#exchangeChannel = undefined;
    this.#replyAddresses = undefined;
    this.#consumerTag = undefined;
    this.#unacknowledged = undefined;
  }

  /** Takes no more requests; answers still leave. */
  async stopTaking(): Promise<void> {
    this.#stopped = true;
    if (this.#channel !== undefined && this.#consumerTag !== undefined) {
      await this.#channel.cancel(this.#consumerTag).catch(() => {});
    }
  }

  #receive(outgoing: OutgoingChannel, message: ConsumeMessage): void {
    this.#acknowledge(outgoing, message);
    const { onRequest, log } = this.#options;
    const properties = message.properties as unknown as Record<string, unknown>;
    const headers = (properties.headers ?? {}) as Record<string, unknown>;
    const flowId = headers['flow-id'] ?? headers.ovirtCorrelationId;
    const traceparent = headers.traceparent;
    let reply: IncomingRequest['reply'];
    try {
      reply = this.#replier(properties.replyTo, properties.correlationId);
    } catch (error) {
      if (!(error instanceof BadDestination)) throw error;
      log.warn(
        { replyTo: properties.replyTo, reason: error.message },
        'refused a request: cannot answer there',
      );
      return;
    }
    onRequest({
      body: message.content,
      user: stringOrNothing(properties.userId),
      flowId: typeof flowId === 'string' ? flowId : undefined,
      traceparent:
        typeof traceparent === 'string' && traceparentPattern.test(traceparent) ? traceparent : undefined,
      defect: defectOf(message, flowId),
      reply,
    });
  }

  /**
   * On receipt, and at once for all that came in one read of the socket, so that it leaves in one write with their answers. What is not acknowledged costs the broker time with each further message, and tasks
   * may last; what a dying daemon had received would be lost either way, since its queue dies with it.
   */
  #acknowledge(outgoing: OutgoingChannel, message: ConsumeMessage): void {
    const first = this.#unacknowledged === undefined;
    this.#unacknowledged = message;
    if (!first) return;
    process.nextTick(() => {
      const last = this.#unacknowledged;
      this.#unacknowledged = undefined;
      if (last === undefined || this.#outgoing !== outgoing) return;
      try {
        outgoing.acknowledge(last);
      } catch {
        // the channel is closing; `lost` follows
      }
    });
  }

  #replier(replyTo: unknown, correlationId: unknown): IncomingRequest['reply'] {
    const to = stringOrNothing(replyTo);
    if (to === undefined) return undefined;
    const destination = parseReplyTo(to);
    return (payload) => this.#send({ destination, payload, correlationId: stringOrNothing(correlationId) });
  }

  #send(answer: Answer): void {
    const outgoing = this.#outgoing;
    if (outgoing === undefined) {
      this.#waiting.push(answer);
      if (this.#waiting.length > maxWaitingAnswers) this.#waiting.shift();
    } else if (answer.destination.exchange !== '') {
      this.#sendLater(answer, () => this.#sendToExchange(answer));
    } else if (isDirectReplyTo(answer.destination.routingKey)) {
      this.#sendToCaller(outgoing, answer);
    } else {
      this.#publish(outgoing, answer);
    }
  }

  #sendToCaller(outgoing: OutgoingChannel, answer: Answer): void {
    const { routingKey } = answer.destination;
    const addresses = this.#replyAddresses;
    const good = addresses?.known(routingKey);
    if (good === true) {
      this.#publish(outgoing, answer);
      return;
    }
    this.#sendLater(answer, async () => {
      if (good === false || (await addresses?.find(routingKey)) !== true) {
        throw new BadDestination('the broker knows no such direct reply-to');
      }
      this.#send(answer);
    });
  }

  #sendLater(answer: Answer, send: () => Promise<void>): void {
    send().catch((error: unknown) => {
      this.#options.log.warn({ err: error, destination: answer.destination }, 'an answer could not be sent');
    });
  }

  async #sendToExchange(answer: Answer): Promise<void> {
    const session = this.#session;
    if (session === undefined) return;
    this.#exchangeChannel ??= this.#openExchangeChannel(session);
    const channel = await this.#exchangeChannel;
    const { destination, payload, correlationId } = answer;
    // The broker may close this channel while the session goes on: amqplib knows when nothing may be written to it any more.
    channel.publish(destination.exchange, destination.routingKey, Buffer.from(payload), {
      contentType: 'application/json',
      headers: this.#headers,
      ...(correlationId === undefined ? {} : { correlationId }),
    });
  }

  async #openExchangeChannel(session: Session): Promise<Channel> {
    const channel = await session.model.createChannel();
    channel.on('error', (error) => this.#options.log.warn({ err: error }, 'the broker refused an answer'));
    channel.on('close', () => {
      if (this.#session === session) this.#exchangeChannel = undefined;
    });
    return channel;
  }

  #publish(outgoing: OutgoingChannel, { destination, payload, correlationId }: Answer): void {
    const { exchange, routingKey } = destination;
    const properties = { contentType: 'application/json', headers: this.#encodedHeaders, correlationId };
    try {
      outgoing.publish({ exchange, routingKey, properties, body: payload });
    } catch (error) {
      this.#options.log.warn({ err: error }, 'an answer could not be sent');
    }
  }
}

function defectOf(message: ConsumeMessage, flowId: unknown): string | undefined {
  if (message.fields.exchange !== rpcExchange) {
    // Hosts may write to the default exchange, to answer; through it they must not reach another host's requests.
    return `Requests are published to the exchange ${rpcExchange}`;
  }
  if (flowId === undefined) return undefined;
  // Characters are code points, as in task IDs.
  if (typeof flowId !== 'string' || [...flowId].length > maxFlowIdCharacters) {
    return `The header flow-id has to be a string of at most ${maxFlowIdCharacters} characters`;
  }
  return undefined;
}

function stringOrNothing(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
