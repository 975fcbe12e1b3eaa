/**
 * Sends requests to host h1 as fast as the broker takes them: `node flooder.ts URL KIND DOMAIN`. For each line that it reads it
 * prints how many it has sent and how many were answered.
 */
import { createInterface } from 'node:readline';
import { setImmediate } from 'node:timers/promises';
import amqp from 'amqplib';

const [url = '', kind = '', domainId = ''] = process.argv.slice(2);
const user = new URL(url).username;
/** Just below the host's limit. */
const largest = 131_072 - 200;

const request = (method: string, params: object, id: unknown) =>
  Buffer.from(JSON.stringify({ jsonrpc: '2.0', method, params, id }));
const bodies: Record<string, (i: number) => Buffer> = {
  pings: (i) => request('ping', {}, `p${i}`),
  'one ID': () => request('work', { ms: 100 }, 'same'),
  tasks: (i) => request('work', { ms: 600_000 }, `w${i}`),
  waits: (i) => request('waitTask', { taskId: 'lasts', timeout: 600_000 }, `q${i}`),
  looks: (i) => request('listImages', { domainId }, `l${i}`),
  huge: (i) => request('echo', { text: 'x'.repeat(largest) }, `h${i}`),
  deep: (i) =>
    Buffer.concat([Buffer.alloc(largest, `${'['.repeat(60)}${']'.repeat(60)},`), Buffer.from(String(i))]),
  nonsense: () => Buffer.from('{"jsonrpc"'),
};
const bodyOf = bodies[kind];
if (bodyOf === undefined) throw new Error(`no kind ${kind}`);

let sent = 0;
let answers = 0;
createInterface({ input: process.stdin }).on('line', () => console.log(`${sent} ${answers}`));

const connection = await amqp.connect(url, { noDelay: true });
const channel = await connection.createChannel();
const count = () => {
  answers += 1;
};
await channel.consume('amq.rabbitmq.reply-to', count, { noAck: true });
const options = { replyTo: 'amq.rabbitmq.reply-to', userId: user };
for (;;) {
  while (channel.publish('hostbus.rpc', 'h1', bodyOf(sent), options)) {
    sent += 1;
    if (sent % 256 === 0) await setImmediate();
  }
  sent += 1;
  await new Promise((resolve) => channel.once('drain', resolve));
}
