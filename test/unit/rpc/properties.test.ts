/** Properties of reading requests that hold for any input. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HostbusError } from '../../../schemas/errors.ts';
import { verbs } from '../../../schemas/verbs.ts';
import { parseBody } from '../../../src/rpc/body.ts';
import { compileParams } from '../../../src/rpc/params.ts';
import { checkRequest, echoableId } from '../../../src/rpc/request.ts';

const limitBytes = 10_000;

function nameOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof HostbusError, `another error than the caller's: ${String(error)}`);
    return error.name;
  }
}

test('Any JSON of at most 64 levels is read as JSON.parse reads it.', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 20 }), (text) => {
      assert.deepEqual(parseBody(Buffer.from(text), 10_000_000), JSON.parse(text));
    }),
  );
});

test('Any bytes are read or refused as ParseError or RequestTooLarge, and never quoted.', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12_000 }), (bytes) => {
      const name = nameOf(() => parseBody(Buffer.from(bytes), limitBytes));
      if (bytes.length > limitBytes) assert.equal(name, 'RequestTooLarge');
      else assert.ok(name === undefined || name === 'ParseError');
    }),
  );
});

test('Nesting is counted as it is, whatever strings, quotes and backslashes stand between.', () => {
  const filler = fc.string({ unit: fc.constantFrom('[', ']', '{', '}', '"', '\\', 'x', 'é') });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 130 }),
      fc.array(filler, { maxLength: 5 }),
      fc.boolean(),
      (levels, texts, objects) => {
        const strings = texts.map((text) => JSON.stringify(text)).join();
        const before = strings === '' ? '' : `${strings},`;
        const text = objects
          ? `${'{"a\\"[":'.repeat(levels - 1)}[${strings}]${'}'.repeat(levels - 1)}`
          : `${`[${before}`.repeat(levels - 1)}[${strings}]${']'.repeat(levels - 1)}`;
        const name = nameOf(() => parseBody(Buffer.from(text), 10_000_000));
        assert.equal(name, levels > 64 ? 'ParseError' : undefined);
      },
    ),
  );
});

test('Any value is a request or InvalidRequest, and only a good id is echoed.', () => {
  const almost = fc.record(
    {
      jsonrpc: fc.constantFrom<unknown>('2.0', '1.0', 2),
      method: fc.oneof(fc.string(), fc.jsonValue()),
      params: fc.jsonValue(),
      id: fc.oneof(fc.string(), fc.integer(), fc.double(), fc.jsonValue()),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), almost), (value) => {
      const name = nameOf(() => checkRequest(value));
      assert.ok(name === undefined || name === 'InvalidRequest');
      const echoed = echoableId(value);
      if (echoed !== null) assert.equal(echoed, (value as { id: unknown }).id);
      if (name === undefined && Object.hasOwn(value as object, 'id')) assert.notEqual(echoed, null);
    }),
  );
});

test('An id of 1 to 128 printable characters is good, counted as characters; a longer one is not.', () => {
  const printable = fc.oneof(
    fc.constantFrom('🧪', 'é', '.', '*', ' ', '"'),
    fc.string({ minLength: 1, maxLength: 1, unit: 'grapheme-ascii' }),
  );
  fc.assert(
    fc.property(fc.array(printable, { minLength: 1, maxLength: 200 }), (characters) => {
      const id = characters.join('');
      const good = [...id].length <= 128;
      assert.equal(
        nameOf(() => checkRequest({ jsonrpc: '2.0', method: 'm', id })),
        good ? undefined : 'InvalidRequest',
      );
      assert.equal(echoableId({ id }), good ? id : null);
    }),
  );
});

test("Any parameters are right for a verb or InvalidParams with JSON pointers; a verb's own example is right, by name and by position.", () => {
  for (const verb of verbs) {
    const check = compileParams(verb);
    assert.deepEqual(check(verb.example), verb.example);
    const names = Object.keys(verb.params.properties);
    const values = names.map((name) => (verb.example as Record<string, unknown>)[name]);
    if (values.every((value) => value !== undefined)) assert.deepEqual({ ...check(values) }, verb.example);
    const any = fc.oneof(
      fc.object(),
      fc.array(fc.jsonValue()),
      fc.dictionary(fc.constantFrom('__proto__', 'constructor', ...names), fc.jsonValue()),
    );
    fc.assert(
      fc.property(any, (params) => {
        try {
          check(params);
        } catch (error) {
          assert.ok(error instanceof HostbusError);
          assert.equal(error.name, 'InvalidParams');
          const errors = error.data.errors as { path: string; message: string }[];
          assert.ok(errors.length > 0 && errors.length <= 20);
          for (const { path, message } of errors) {
            assert.match(path, /^(\/([^~/]|~[01])*)*$/);
            assert.ok(message.length > 0);
          }
        }
      }),
      { numRuns: 30 },
    );
  }
});
