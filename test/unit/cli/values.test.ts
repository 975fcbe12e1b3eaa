import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { verbs as declared } from '../../../schemas/verbs.ts';
import { UsageError } from '../../../src/cli/errors.ts';
import { committedVerbs, readVerbs, type VerbDoc } from '../../../src/cli/openrpc.ts';
import { paramsFromWords, wordsFromParams } from '../../../src/cli/values.ts';

const committed = await committedVerbs();
const domainId = '6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11';
const imageId = '0c9a7f0e-3a2b-4f66-8d55-9f1f6f9b7a01';

function verbNamed(name: string): VerbDoc {
  const verb = committed.find((known) => known.name === name);
  assert.ok(verb, name);
  return verb;
}

/** A verb that takes one parameter `value` of a schema. */
function verbOf(schema: object, required = true): VerbDoc {
  const [verb] = readVerbs({
    methods: [{ name: 'testVerb', params: [{ name: 'value', required, schema }] }],
  });
  assert.ok(verb);
  return verb;
}

function typed(schema: object, ...words: string[]): unknown {
  const params = paramsFromWords(verbOf(schema), words, 'h1');
  return (params as { value: unknown }).value;
}

function hintsOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return [error.message, ...error.hints].join('\n');
  }
  throw new assert.AssertionError({ message: 'nothing was refused' });
}

test('Every declared verb is in the committed document, and its example survives the way through words', () => {
  for (const { name, example } of declared) {
    const verb = verbNamed(name);
    const words = wordsFromParams({ ...example }).map(unquote);
    assert.deepEqual({ ...(paramsFromWords(verb, words, 'h1') as object) }, example, name);
  }
});

test('Booleans are true and false, and nothing else', () => {
  assert.equal(typed({ type: 'boolean' }, 'value=true'), true);
  assert.equal(typed({ type: 'boolean' }, 'value=false'), false);
  for (const wrong of ['1', 'yes', 'TRUE', '', ' true'])
    assert.match(
      hintsOf(() => typed({ type: 'boolean' }, `value=${wrong}`)),
      /must be true or false/,
    );
});

test('Any integer that can be exact is typed as that integer', () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      assert.equal(typed({ type: 'integer' }, `value=${value}`), value);
    }),
  );
});

test('Any number comes back as it was', () => {
  fc.assert(
    fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      assert.equal(typed({ type: 'number' }, `value=${value}`), Object.is(value, -0) ? 0 : value);
    }),
  );
});

test('What is not a number is refused, never rounded or guessed', () => {
  for (const wrong of [
    '',
    'abc',
    '0x10',
    '1_000',
    '1,5',
    'NaN',
    'Infinity',
    '1e400',
    '01',
    '--1',
    ' 1',
    '10G',
  ])
    assert.match(
      hintsOf(() => typed({ type: 'integer' }, `value=${wrong}`)),
      /integer|exact/,
      wrong,
    );
  assert.match(
    hintsOf(() => typed({ type: 'integer' }, 'value=1.5')),
    /must be an integer/,
  );
  assert.match(
    hintsOf(() => typed({ type: 'integer' }, 'value=9007199254740993')),
    /too large to be exact/,
  );
});

test('Bytes may be written as sizes', () => {
  const bytes = { type: 'integer', description: 'Bytes that a virtual machine sees' };
  assert.equal(typed(bytes, 'value=10G'), 10 * 1024 ** 3);
  assert.equal(typed(bytes, 'value=1.5KiB'), 1536);
  assert.equal(typed(bytes, 'value=10GB'), 10 ** 10);
  assert.equal(typed(bytes, 'value=512'), 512);
  assert.match(
    hintsOf(() => typed(bytes, 'value=10X')),
    /size such as 10G/,
  );
});

test('Any text is that text, whatever characters it has', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      assert.equal(typed({ type: 'string' }, `value=${value}`), value);
    }),
  );
});

test('Any JSON value can be given as it is, and as the whole parameters', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      // what JSON cannot tell apart is not told apart
      const plain: unknown = JSON.parse(JSON.stringify(value));
      assert.deepEqual(typed({}, `value:=${JSON.stringify(value)}`), plain);
      assert.deepEqual(typed({}, JSON.stringify({ value })), plain);
    }),
  );
});

test('Any object of texts, numbers, booleans and lists survives the way through words', () => {
  const schema = {
    type: 'object',
    additionalProperties: false,
    properties: {
      text: { type: 'string' },
      count: { type: 'integer' },
      yes: { type: 'boolean' },
      list: { type: 'array', items: { type: 'string' } },
      inner: { type: 'object', properties: { text: { type: 'string' } }, additionalProperties: false },
    },
  };
  const values = fc.record(
    {
      text: fc.string(),
      count: fc.maxSafeInteger(),
      yes: fc.boolean(),
      list: fc.array(fc.string(), { minLength: 1 }),
      inner: fc.record({ text: fc.string() }),
    },
    { requiredKeys: ['text'] },
  );
  fc.assert(
    fc.property(values, (value) => {
      const words = wordsFromParams({ value }).map(unquote);
      const params = paramsFromWords(verbOf(schema), words, 'h1');
      assert.deepEqual(JSON.parse(JSON.stringify(params)), JSON.parse(JSON.stringify({ value })));
    }),
  );
});

/** What a POSIX shell makes of a quoted word. */
function unquote(word: string): string {
  return word.startsWith("'") ? word.slice(1, -1).replaceAll("'\\''", "'") : word;
}

test('A repeated key makes a list; one word makes a list of one', () => {
  assert.deepEqual(paramsFromWords(verbNamed('listTasks'), ['states=running', 'states=queued'], 'h1'), {
    states: ['running', 'queued'],
  });
  assert.deepEqual(paramsFromWords(verbNamed('listTasks'), ['states=failed'], 'h1'), { states: ['failed'] });
  assert.deepEqual(
    typed({ type: 'array', items: { type: 'integer' } }, 'value=1', 'value:=[2,3]', 'value:=4'),
    [1, 2, 3, 4],
  );
  assert.match(
    hintsOf(() => typed({ type: 'string' }, 'value=a', 'value=b')),
    /given twice/,
  );
});

test('Dotted names reach into objects', () => {
  const words = [
    `source.domainId=${domainId}`,
    `source.imageId=${imageId}`,
    `target.domainId=${domainId}`,
    `target.imageId=${imageId}`,
  ];
  const ref = { domainId, imageId };
  assert.deepEqual(paramsFromWords(verbNamed('copyImage'), words, 'h1'), { source: ref, target: ref });
});

test('Everything that is wrong is told at once, with what was probably meant', () => {
  const text = hintsOf(() =>
    paramsFromWords(verbNamed('copyImage'), ['source.domianId=x', `target.domainId=${domainId}`], 'h1'),
  );
  assert.match(text, /source\.domianId: unknown parameter; did you mean source\.domainId\?/);
  assert.match(text, /source\.imageId: is missing/);
  assert.match(text, /target\.imageId: is missing/);
  assert.match(text, /hostbus verbs h1 copyImage/);
  const format = hintsOf(() =>
    paramsFromWords(
      verbNamed('createImage'),
      [`domainId=${domainId}`, `imageId=${imageId}`, 'format=rwa', 'capacity=100'],
      'h1',
    ),
  );
  assert.match(format, /format: must be one of raw, qcow2; did you mean raw\?/);
  assert.match(format, /capacity: must be at least 512/);
  assert.match(
    hintsOf(() => paramsFromWords(verbNamed('ping'), ['force=true'], 'h1')),
    /ping takes none/,
  );
});

test('What is neither key=value nor JSON is refused with the ways to write it', () => {
  for (const wrong of ['force', '=1', ':=1'])
    assert.match(
      hintsOf(() => paramsFromWords(verbNamed('ping'), [wrong], 'h1')),
      /key=value, key:=JSON/,
    );
  assert.match(
    hintsOf(() => paramsFromWords(verbNamed('ping'), ['{'], 'h1')),
    /not JSON/,
  );
  assert.match(
    hintsOf(() => paramsFromWords(verbNamed('ping'), ['{}', 'a=1'], 'h1')),
    /either as one JSON text or/,
  );
});

test('Params by position are checked by position, and sent as they are', () => {
  assert.deepEqual(paramsFromWords(verbNamed('getTaskStatus'), ['["copy-42"]'], 'h1'), ['copy-42']);
  assert.match(
    hintsOf(() => paramsFromWords(verbNamed('getTaskStatus'), ['[42]'], 'h1')),
    /taskId: must be a string/,
  );
  assert.match(
    hintsOf(() => paramsFromWords(verbNamed('ping'), ['[1]'], 'h1')),
    /at most 0 parameters/,
  );
});

test('Keys named like parts of every object are parameters like any other', () => {
  const open = { type: 'object' };
  for (const key of ['__proto__', 'constructor', 'toString']) {
    assert.match(
      hintsOf(() => paramsFromWords(verbNamed('ping'), [`${key}=1`], 'h1')),
      /unknown parameter/,
    );
    const value = typed(open, `value.${key}=x`) as object;
    assert.deepEqual(Object.keys(value), [key]);
  }
  assert.equal(({} as { x?: string }).x, undefined);
});

test('No words at all break the parser: they are typed, or refused as usage', () => {
  const words = fc.array(
    fc.oneof(fc.string(), fc.stringMatching(/^(source|target|force)?[.=:]*[a-z{[]{0,6}=?$/)),
  );
  fc.assert(
    fc.property(fc.constantFrom(...committed), words, (verb, given) => {
      try {
        paramsFromWords(verb, given, 'h1');
      } catch (error) {
        assert.ok(error instanceof UsageError, String(error));
      }
    }),
  );
});
