/**
 * A consumer of a stream of events that knows where it was: `node event-stream.ts URL QUEUE KEY FILE`.
 *
 * A stream keeps what has been read, for any number of readers; each remembers its own offset together with what it made of the event (one line in FILE), so that it does
 * each event once however it ends. `sequence` tells what is missing.
 */
import amqp from 'amqplib';
import { type Noted, note, readNoted, toNoted } from './noted.ts';

const [url = '', queue = '', key = '', file = ''] = process.argv.slice(2);
const noted = readNoted(file);
const lastOf = new Map(noted.map((one): [string, Noted] => [one.hostId, one]));
const lastOffset = noted.at(-1)?.offset;

const connection = await amqp.connect(url);
const channel = await connection.createChannel();
await channel.assertQueue(queue, {
  durable: true,
  arguments: { 'x-queue-type': 'stream', 'x-max-age': '7D', 'x-max-length-bytes': 10_000_000_000 },
});
await channel.bindQueue(queue, 'hostbus.events', key);
await channel.prefetch(100);
await channel.consume(
  queue,
  (message) => {
    if (message === null) throw new Error(`the stream ${queue} was deleted`);
    const offset = Number(message.properties.headers?.['x-stream-offset']);
    const event = toNoted(message);
    const last = lastOf.get(event.hostId);
    // A host sends again what the broker had not confirmed: such a repetition is no gap.
    const missing = last?.bootId === event.bootId ? event.sequence - last.sequence - 1 : 0;
    if (missing >= 0) {
      lastOf.set(event.hostId, event);
      note(file, { ...event, offset, missing });
    }
    channel.ack(message);
  },
  { arguments: { 'x-stream-offset': lastOffset === undefined ? 'first' : lastOffset + 1 } },
);
process.stdout.write('consuming\n');
