import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import {
  ackBytes,
  encodeHeaders,
  type Message,
  messageRoom,
  writeAck,
  writeMessage,
} from '../../../src/bus/frames.ts';

/** amqplib's own encoder, which its package does not export. */
const amqplib = (file: string) =>
  createRequire(import.meta.url)(
    fileURLToPath(new URL(`../../../node_modules/amqplib/lib/${file}`, import.meta.url)),
  );
const defs = amqplib('defs.js');
const { makeBodyFrame } = amqplib('frame.js');

const channel = 7;
const maxBodyFrameBytes = 100;
const shortText = fc.string({ unit: 'grapheme', maxLength: 20 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

test('A message has the frames that amqplib makes of it, behind what was written before.', () => {
  const messages = fc.record({
    exchange: shortText,
    routingKey: shortText,
    mandatory: fc.boolean(),
    contentType: shortText,
    headers: optional(fc.dictionary(fc.constantFrom('hostbus-host', 'flow-id', 'é'), shortText)),
    correlationId: optional(shortText),
    replyTo: optional(shortText),
    userId: optional(shortText),
    body: fc.string({ unit: 'grapheme', maxLength: 400 }),
    before: fc.nat(10),
  });
  fc.assert(
    fc.property(messages, ({ exchange, routingKey, mandatory, headers, body, before, ...properties }) => {
      const message: Message = {
        exchange,
        routingKey,
        mandatory,
        properties: { ...properties, headers: headers === undefined ? undefined : encodeHeaders(headers) },
        body,
      };
      const bytes = Buffer.from(body);
      const to = Buffer.alloc(before + messageRoom(message, bytes.length, maxBodyFrameBytes));
      const end = writeMessage(to, before, channel, message, bytes.length, maxBodyFrameBytes);
      const bodyFrames = Array.from({ length: Math.ceil(bytes.length / maxBodyFrameBytes) }, (_, i) =>
        makeBodyFrame(channel, bytes.subarray(i * maxBodyFrameBytes, (i + 1) * maxBodyFrameBytes)),
      );
      const expected = Buffer.concat([
        defs.encodeMethod(defs.BasicPublish, channel, { exchange, routingKey, mandatory }),
        defs.encodeProperties(defs.BasicProperties, channel, bytes.length, { ...properties, headers }),
        ...bodyFrames,
      ]);
      assert.equal(to.subarray(before, end).toString('hex'), expected.toString('hex'));
    }),
  );
});

test('An acknowledgement has the frame that amqplib makes of it.', () => {
  const to = Buffer.alloc(ackBytes);
  assert.equal(writeAck(to, 0, channel, 2 ** 40 + 3), ackBytes);
  const fields = { deliveryTag: 2 ** 40 + 3, multiple: true };
  assert.deepEqual(to, defs.encodeMethod(defs.BasicAck, channel, fields));
});

test('A text that does not fit its field is refused.', () => {
  const message = { exchange: '', routingKey: 'é'.repeat(128), properties: { contentType: '' }, body: '' };
  const to = Buffer.alloc(messageRoom(message, 0, maxBodyFrameBytes));
  assert.throws(() => writeMessage(to, 0, channel, message, 0, maxBodyFrameBytes), TypeError);
});
