/**
 * The practical floor: a bare amqplib echo, as a tutorial would have it, but for `noDelay` and a prefetch. JSON by hand, an
 * acknowledgement a message, each message a write; direct reply-to, a map of callers by correlation ID.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConsumeMessage, connect } from 'amqplib';
import { eventData, eventKey, eventsExchange, type Peer, runPeer } from './program.ts';

const queue = 'bench.amqplib';
const unconfirmedMax = 1_000;

const amqplib: Peer = {
  async serve(url) {
    const connection = await connect(url, { noDelay: true });
    const channel = await connection.createChannel();
    await channel.assertQueue(queue, { exclusive: true, durable: false });
    await channel.prefetch(256);
    const answer = async (message: ConsumeMessage) => {
      const { id, params } = JSON.parse(message.content.toString());
      if (params.ms !== undefined) await sleep(params.ms);
      const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result: { text: params.text } }));
      const { replyTo, correlationId } = message.properties;
      channel.publish('', replyTo, body, { correlationId, contentType: 'application/json' });
    };
    await channel.consume(queue, (message) => {
      if (message === null) return;
      channel.ack(message);
      void answer(message);
    });
    const events = await connection.createConfirmChannel();
    await events.assertExchange(eventsExchange, 'topic', { durable: false });
    return {
      async publish(count) {
        for (let done = 1; done <= count; done += 1) {
          events.publish(eventsExchange, eventKey, Buffer.from(JSON.stringify(eventData)));
          if (done % unconfirmedMax === 0) await events.waitForConfirms();
        }
        await events.waitForConfirms();
      },
    };
  },
  async connect(url) {
    const connection = await connect(url, { noDelay: true });
    const channel = await connection.createChannel();
    const waiting = new Map<string, (result: unknown) => void>();
    let last = 0;
    const replyTo = 'amq.rabbitmq.reply-to';
    await channel.consume(
      replyTo,
      (message) => {
        if (message === null) return;
        const { correlationId } = message.properties;
        waiting.get(correlationId)?.(JSON.parse(message.content.toString()).result);
        waiting.delete(correlationId);
      },
      { noAck: true },
    );
    const call = (method: string, params: object) =>
      new Promise((resolve) => {
        last += 1;
        const id = String(last);
        waiting.set(id, resolve);
        const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
        channel.publish('', queue, body, { correlationId: id, replyTo });
      });
    return {
      echo: (text) => call('echo', { text }),
      sleep: (ms) => call('sleep', { ms }),
      async subscribe(onEvent) {
        const events = await connection.createChannel();
        await events.prefetch(500);
        const own = await events.assertQueue('', { exclusive: true, durable: false });
        await events.bindQueue(own.queue, eventsExchange, 'bench.#');
        await events.consume(own.queue, (message) => {
          if (message === null) return;
          JSON.parse(message.content.toString());
          events.ack(message);
          onEvent();
        });
      },
    };
  },
};

await runPeer(amqplib);
