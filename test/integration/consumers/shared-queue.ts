/**
 * One of several consumers that share a durable queue of events: `node shared-queue.ts URL QUEUE KEY FILE [single]`.
 *
 * Whoever is first makes the queue. An event that a consumer had not acknowledged when it died goes to another one. With `single` the broker
 * gives all events to one consumer, in order, and to the next when that one is gone.
 */
import amqp from 'amqplib';
import { note, toNoted } from './noted.ts';

const [url = '', queue = '', key = '', file = '', single] = process.argv.slice(2);
const connection = await amqp.connect(url);
const channel = await connection.createChannel();
await channel.assertQueue(queue, {
  durable: true,
  arguments: { 'x-queue-type': 'quorum', 'x-single-active-consumer': single === 'single' },
});
await channel.bindQueue(queue, 'hostbus.events', key);
await channel.prefetch(20);
await channel.consume(queue, (message) => {
  if (message === null) throw new Error(`the queue ${queue} was deleted`);
  note(file, toNoted(message)); // the work: done before the event is acknowledged
  channel.ack(message);
});
process.stdout.write('consuming\n');
