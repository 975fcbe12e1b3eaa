/** The peer's client: direct reply-to, a map of callers by correlation ID. */
import { connect } from 'amqplib';
import type { Caller } from '../round-trips.ts';

export async function connectEchoClient(url: string): Promise<{ call: Caller; close(): Promise<void> }> {
  const connection = await connect(url, { noDelay: true });
  const channel = await connection.createChannel();
  const waiting = new Map<string, (result: unknown) => void>();
  let last = 0;
  await channel.consume(
    'amq.rabbitmq.reply-to',
    (message) => {
      if (message === null) return;
      const { correlationId } = message.properties as { correlationId: string };
      const { result } = JSON.parse(message.content.toString()) as { result: unknown };
      waiting.get(correlationId)?.(result);
      waiting.delete(correlationId);
    },
    { noAck: true },
  );
  return {
    call: (text) =>
      new Promise((resolve) => {
        last += 1;
        const id = String(last);
        waiting.set(id, resolve);
        const body = Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method: 'echo', params: { text } }));
        channel.publish('', 'bench.echo', body, { correlationId: id, replyTo: 'amq.rabbitmq.reply-to' });
      }),
    close: () => connection.close(),
  };
}
