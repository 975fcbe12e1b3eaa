/** The peer: a bare amqplib echo server, as a tutorial would have it, but for `noDelay` and a prefetch. An acknowledgement a message, no cork. */
import { connect } from 'amqplib';

const connection = await connect(process.env.BENCH_URL ?? 'amqp://localhost', { noDelay: true });
const channel = await connection.createChannel();
await channel.assertQueue('bench.echo', { exclusive: true, durable: false });
await channel.prefetch(256);
await channel.consume('bench.echo', (message) => {
  if (message === null) return;
  const request = JSON.parse(message.content.toString()) as { id: string; params: { text: string } };
  const answer = Buffer.from(
    JSON.stringify({ jsonrpc: '2.0', id: request.id, result: { text: request.params.text } }),
  );
  const { replyTo, correlationId } = message.properties as { replyTo: string; correlationId: string };
  channel.publish('', replyTo, answer, { correlationId, contentType: 'application/json' });
  channel.ack(message);
});
process.send?.('ready');
process.on('message', () => process.send?.(process.cpuUsage()));
process.on('disconnect', () => process.exit());
