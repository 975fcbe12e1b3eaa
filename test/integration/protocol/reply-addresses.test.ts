/** Addresses of direct reply-to: which are tried out, and which are known. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type ChannelModel, connect } from 'amqplib';
import { type PrivateBroker, startPrivateBroker } from '../../../rabbitmq/private-broker.ts';
import type { Session } from '../../../src/bus/broker-link.ts';
import { ReplyAddresses } from '../../../src/bus/reply-addresses.ts';

let broker: PrivateBroker;
const connections: ChannelModel[] = [];

before(async () => {
  broker = await startPrivateBroker();
});

after(async () => {
  for (const connection of connections) await connection.close();
  await broker.stop();
});

/** An address as the broker makes it for a new caller. */
async function genuineAddress(): Promise<string> {
  const connection = await connect(broker.url);
  connections.push(connection);
  const channel = await connection.createChannel();
  await channel.consume('amq.rabbitmq.reply-to', () => {}, { noAck: true });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  const { promise, resolve } = Promise.withResolvers<string>();
  await channel.consume(queue, (message) => resolve(String(message?.properties.replyTo)), { noAck: true });
  channel.sendToQueue(queue, Buffer.alloc(0), { replyTo: 'amq.rabbitmq.reply-to' });
  return promise;
}

function newAddresses(): ReplyAddresses {
  return new ReplyAddresses({ url: broker.url, connectOptions: {} } as Session);
}

test('one caller’s address makes those of all callers of that broker node known', async () => {
  const addresses = newAddresses();
  const [first, second] = [await genuineAddress(), await genuineAddress()];
  assert.equal(addresses.known(first), undefined);
  assert.equal(await addresses.find(first), true);
  assert.equal(addresses.known(first), true);
  assert.equal(addresses.known(second), true);
});

test('a forged address is found out, remembered, and does not spoil the genuine ones', async () => {
  const addresses = newAddresses();
  const genuine = await genuineAddress();
  for (const forged of ['AAAA.BBBB', 'x', '', `${'A'.repeat(200)}.B`]) {
    const address = `amq.rabbitmq.reply-to.${forged}`;
    const found = await addresses.find(address);
    assert.equal(addresses.known(address), found);
  }
  assert.equal(addresses.known('amq.rabbitmq.reply-to.AAAA.BBBB'), false);
  assert.equal(await addresses.find(genuine), true);
});

test('a node’s name in a term of another form is not believed', async () => {
  const addresses = newAddresses();
  const genuine = await genuineAddress();
  await addresses.find(genuine);
  const [caller = '', key = ''] = genuine.slice('amq.rabbitmq.reply-to.'.length).split('.');
  const longer = Buffer.concat([Buffer.from(caller, 'base64'), Buffer.alloc(4)]).toString('base64');
  assert.equal(addresses.known(`amq.rabbitmq.reply-to.${longer}.${key}`), undefined);
});
