/**
 * A JSON-RPC client of a hundred lines on plain amqplib, so that these tests depend on the wire contract alone and on nothing of src/.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import amqp, { type Channel, type ChannelModel, type ConsumeMessage, type Options } from 'amqplib';
import { until } from '../../lib/until.ts';

export interface RpcResponse {
  jsonrpc: string;
  id: unknown;
  result?: unknown;
  error?: RpcErrorObject;
}

export interface RpcErrorObject {
  code: number;
  message: string;
  data: { name: string; [key: string]: unknown };
}

export interface CloudEventMessage {
  key: string;
  contentType: unknown;
  body: {
    specversion: string;
    id: string;
    source: string;
    type: string;
    subject: string;
    time: string;
    datacontenttype: string;
    bootid: string;
    sequence: string;
    flowid?: string;
    traceparent?: string;
    data: Record<string, unknown>;
  };
}

export interface EventTap {
  readonly seen: CloudEventMessage[];
  /** The events about one object so far, as `started`, `progress`, … */
  namesOf(id: string): string[];
}

type Body = Buffer | string | object;

export class RawClient {
  readonly connection: ChannelModel;
  readonly channel: Channel;
  readonly replyQueue: string;
  readonly answers: ConsumeMessage[] = [];

  private constructor(connection: ChannelModel, channel: Channel, replyQueue: string) {
    this.connection = connection;
    this.channel = channel;
    this.replyQueue = replyQueue;
  }

  static async connect(url: string, replyQueue?: string, queueOptions?: Options.AssertQueue) {
    const connection = await amqp.connect(url, { noDelay: true });
    connection.on('error', () => {});
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    const { queue } = await channel.assertQueue(replyQueue ?? '', queueOptions ?? { exclusive: true });
    const client = new RawClient(connection, channel, queue);
    await channel.consume(queue, (message) => void (message && client.answers.push(message)), {
      noAck: true,
    });
    return client;
  }

  /** Publishes a request; returns its correlation ID. */
  send(hostId: string, body: Body, properties: Options.Publish = {}): string {
    const correlationId = properties.correlationId ?? randomUUID();
    this.channel.publish('hostbus.rpc', hostId, encode(body), {
      replyTo: this.replyQueue,
      ...properties,
      correlationId,
    });
    return correlationId;
  }

  /** The answer with this correlation ID, once it is there. */
  answer(correlationId: string, timeoutMs?: number): Promise<ConsumeMessage> {
    const look = () => this.answers.find((message) => message.properties.correlationId === correlationId);
    return until(`the answer ${correlationId}`, look, timeoutMs);
  }

  hasAnswer(correlationId: string): boolean {
    return this.answers.some((message) => message.properties.correlationId === correlationId);
  }

  /** What a body is answered with, parsed. */
  async exchange(hostId: string, body: Body, properties?: Options.Publish): Promise<unknown> {
    const message = await this.answer(this.send(hostId, body, properties));
    return JSON.parse(message.content.toString());
  }

  async rpc(
    hostId: string,
    method: string,
    params?: unknown,
    id: unknown = randomUUID(),
    properties?: Options.Publish,
  ): Promise<RpcResponse> {
    return (await this.exchange(hostId, { jsonrpc: '2.0', method, params, id }, properties)) as RpcResponse;
  }

  /** The result of a call that has to succeed. */
  async result<T = Record<string, unknown>>(hostId: string, method: string, params?: unknown, id?: unknown) {
    const response = await this.rpc(hostId, method, params, id);
    if (response.error !== undefined) {
      throw new Error(`${method} failed: ${JSON.stringify(response.error)}`);
    }
    return response.result as T;
  }

  /** The error of a call that has to fail. */
  async error(
    hostId: string,
    method: string,
    params?: unknown,
    id?: unknown,
    properties?: Options.Publish,
  ): Promise<RpcErrorObject> {
    const response = await this.rpc(hostId, method, params, id, properties);
    if (response.error === undefined) throw new Error(`${method} answered ${JSON.stringify(response)}`);
    return response.error;
  }

  /** Starts a call and does not wait for its answer. */
  start(hostId: string, method: string, params: unknown, id: unknown, properties?: Options.Publish): string {
    return this.send(hostId, { jsonrpc: '2.0', method, params, id }, properties);
  }

  /** Subscribes to events from now on. */
  async tap(pattern: string): Promise<EventTap> {
    const { queue } = await this.channel.assertQueue('', { exclusive: true });
    await this.channel.bindQueue(queue, 'hostbus.events', pattern);
    const seen: CloudEventMessage[] = [];
    const take = (message: ConsumeMessage | null) => {
      if (message === null) return;
      const { contentType } = message.properties as { contentType: unknown };
      const body = JSON.parse(message.content.toString()) as CloudEventMessage['body'];
      seen.push({ key: message.fields.routingKey, contentType, body });
    };
    await this.channel.consume(queue, take, { noAck: true });
    return {
      seen,
      namesOf: (id) =>
        seen.filter(({ body }) => body.subject === id).map(({ body }) => body.type.split('.')[2] ?? ''),
    };
  }

  /** A broker that does not answer holds nobody up. */
  async close(): Promise<void> {
    await Promise.race([this.connection.close().catch(() => {}), sleep(1000, undefined, { ref: false })]);
    const { stream } = this.connection.connection as unknown as { stream: { destroy(): void } };
    stream.destroy();
  }
}

function encode(body: Body): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}
