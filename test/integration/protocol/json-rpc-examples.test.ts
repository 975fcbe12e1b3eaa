/** Section 7 of the JSON-RPC 2.0 specification, word for word, over the bus. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { useBus } from './bus.ts';
import type { RpcResponse } from './raw-client.ts';

interface Example {
  title: string;
  send: string;
  /** What comes back; undefined: nothing does. Errors are compared by code: their words are the host's own. */
  expect: unknown;
}

const error = (code: number, id: unknown = null) => ({ jsonrpc: '2.0', error: { code }, id });

const examples: Example[] = [
  {
    title: 'A call with positional parameters is answered.',
    send: '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
    expect: { jsonrpc: '2.0', result: 19, id: 1 },
  },
  {
    title: 'A call with the positional parameters the other way round is answered.',
    send: '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
    expect: { jsonrpc: '2.0', result: -19, id: 2 },
  },
  {
    title: 'A call with named parameters is answered.',
    send: '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
    expect: { jsonrpc: '2.0', result: 19, id: 3 },
  },
  {
    title: 'A call with named parameters in another order is answered.',
    send: '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
    expect: { jsonrpc: '2.0', result: 19, id: 4 },
  },
  {
    title: 'A notification is not answered.',
    send: '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}',
    expect: undefined,
  },
  {
    title: 'A notification of a method that does not exist is not answered.',
    send: '{"jsonrpc": "2.0", "method": "foobar"}',
    expect: undefined,
  },
  {
    title: 'A call of a method that does not exist gets "Method not found".',
    send: '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
    expect: error(-32601, '1'),
  },
  {
    title: 'Invalid JSON gets "Parse error".',
    send: '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]',
    expect: error(-32700),
  },
  {
    title: 'An invalid request gets "Invalid Request".',
    send: '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
    expect: error(-32600),
  },
  {
    title: 'A batch that is invalid JSON gets one "Parse error".',
    send: '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]',
    expect: error(-32700),
  },
  { title: 'An empty batch gets one "Invalid Request".', send: '[]', expect: error(-32600) },
  {
    title: 'An invalid batch that is not empty gets an array.',
    send: '[1]',
    expect: [error(-32600)],
  },
  {
    title: 'An invalid batch gets an error for each entry.',
    send: '[1,2,3]',
    expect: [error(-32600), error(-32600), error(-32600)],
  },
  {
    title: 'A mixed batch is answered in one array, its notifications not at all.',
    send: `[
      {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
      {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
      {"foo": "boo"},
      {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
      {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ]`,
    expect: [
      { jsonrpc: '2.0', result: 7, id: '1' },
      { jsonrpc: '2.0', result: 19, id: '2' },
      error(-32600),
      error(-32601, '5'),
      { jsonrpc: '2.0', result: ['hello', 5], id: '9' },
    ],
  },
  {
    title: 'A batch of notifications only is not answered.',
    send: `[
      {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
      {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    ]`,
    expect: undefined,
  },
];

describe('the examples of the JSON-RPC 2.0 specification', () => {
  const bus = useBus();

  for (const { title, send, expect } of examples) {
    test(title, async () => {
      const { client } = bus;
      if (expect !== undefined) {
        assert.deepEqual(sorted(comparable(await client.exchange('h1', send))), sorted(expect));
        return;
      }
      const correlationId = client.send('h1', send);
      // Whatever came after it has been answered: so would it have been.
      await client.result('h1', 'ping');
      await client.result('h1', 'subtract', [1, 1]);
      assert.equal(client.hasAnswer(correlationId), false);
    });
  }

  test('Every error says its stable name and a message.', async () => {
    const answer = (await bus.client.exchange('h1', '[1]')) as RpcResponse[];
    assert.equal(answer[0]?.error?.data.name, 'InvalidRequest');
    assert.ok((answer[0]?.error?.message ?? '').length > 10);
  });
});

/** Without the words of errors. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  const { error: failure, ...rest } = value as RpcResponse;
  return failure === undefined ? rest : { ...rest, error: { code: failure.code } };
}

/** The answers of a batch come in no promised order. */
function sorted(value: unknown): unknown {
  return Array.isArray(value) ? value.map((entry) => JSON.stringify(sortKeys(entry))).sort() : value;
}

function sortKeys(value: unknown): unknown {
  return Object.fromEntries(Object.entries(value as object).sort(([a], [b]) => (a < b ? -1 : 1)));
}
