/** Names on the broker that hold for any ID. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { eventKey, eventPattern } from '../../../src/bus/names.ts';
import { BadDestination, parseReplyTo } from '../../../src/bus/reply-to.ts';

const hostId = 'x'.repeat(63);

test('Any ID makes a key of four words that fits a routing key, and no two short IDs share one.', () => {
  const any = fc.string({ minLength: 1, maxLength: 128, unit: 'binary' });
  fc.assert(
    fc.property(any, any, (a, b) => {
      const [keyA, keyB] = [
        eventKey(hostId, 'operation', 'interrupted', a),
        eventKey(hostId, 'operation', 'interrupted', b),
      ];
      assert.equal(keyA.split('.').length, 4);
      assert.ok(Buffer.byteLength(keyA) <= 255);
      assert.doesNotMatch(keyA, /[*#\s]/);
      assert.equal(keyA === keyB, a === b);
      assert.ok(eventPattern({ id: a }).endsWith(keyA.split('.')[3] ?? '?'));
    }),
  );
});

test('Any reply_to goes to the default exchange, amq.topic or amq.direct, never to a request queue; or is refused.', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'queue',
      'exchange',
      'topic',
      'reply-queue',
      'hostbus.rpc',
      'hostbus.events',
      'hostbus.rpc.h1',
      'amq.topic',
      '%68ostbus.rpc.h1',
      '',
    ),
    fc.string(),
  );
  const path = fc.array(word, { maxLength: 4 }).map((words) => words.join('/'));
  fc.assert(
    fc.property(
      fc.oneof(
        path,
        path.map((text) => `/${text}`),
      ),
      (replyTo) => {
        try {
          const { exchange, routingKey } = parseReplyTo(replyTo);
          assert.ok(['', 'amq.topic', 'amq.direct'].includes(exchange));
          if (exchange === '') assert.ok(!routingKey.startsWith('hostbus.rpc.'));
        } catch (error) {
          assert.ok(error instanceof BadDestination, String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});
