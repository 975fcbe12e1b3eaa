/** Documents equal code: what is generated is fresh and valid, and what is written by hand says the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import asyncApiSpecs from '@asyncapi/specs';
import { validateOpenRPCDocument } from '@open-rpc/schema-utils-js';
import { Ajv } from 'ajv';
import { errorTable } from '../../schemas/errors.ts';
import { generatedFiles } from '../../schemas/generate.ts';
import { verbs } from '../../schemas/verbs.ts';

const pathOf = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const read = (name: string) => readFileSync(pathOf(name), 'utf8');
const readJson = (name: string) => JSON.parse(read(name)) as Record<string, unknown>;

describe('generated documents', () => {
  for (const [name, content] of Object.entries(generatedFiles())) {
    test(`${name} is what the declarations make of it (npm run generate).`, () => {
      assert.equal(read(name), content);
    });
  }

  test('schemas/openrpc.json is a valid OpenRPC document.', () => {
    const document = readJson('schemas/openrpc.json') as unknown as Parameters<
      typeof validateOpenRPCDocument
    >[0];
    assert.equal(validateOpenRPCDocument(document), true);
  });

  test('schemas/openrpc.json lists every verb that is declared, once.', () => {
    const { methods } = readJson('schemas/openrpc.json') as { methods: { name: string }[] };
    assert.deepEqual(methods.map(({ name }) => name).sort(), verbs.map(({ name }) => name).sort());
  });

  test('schemas/asyncapi.json is a valid AsyncAPI document.', () => {
    const document = readJson('schemas/asyncapi.json') as { asyncapi: string };
    const schemas = (asyncApiSpecs as unknown as { schemas: Record<string, object> }).schemas;
    const schema = schemas[document.asyncapi];
    assert.ok(schema, `there is a schema for version ${document.asyncapi}`);
    // It brings draft-07's own schema with it: Ajv's must not be there too.
    const ajv = new Ajv({ strict: false, validateFormats: false, meta: false, validateSchema: false });
    assert.ok(ajv.validate(schema, document), JSON.stringify(ajv.errors?.slice(0, 5)));
  });

  test('Each example of a verb is right by its own schema.', () => {
    const ajv = new Ajv({ strict: false, validateFormats: false });
    for (const verb of verbs) {
      assert.ok(
        ajv.validate(JSON.parse(JSON.stringify(verb.params)), verb.example),
        `${verb.name}: ${ajv.errorsText()}`,
      );
    }
  });

  test('docs/protocol.md has the table of errors as the code has it.', () => {
    const rows = [...read('docs/protocol.md').matchAll(/^\|\s*`?(-?\d{4,5})`?\s*\|\s*`?(\w+)`?\s*\|/gm)];
    const documented = Object.fromEntries(rows.map(([, code, name]) => [name, Number(code)]));
    const declared = Object.fromEntries(Object.entries(errorTable).map(([name, { code }]) => [name, code]));
    assert.deepEqual(documented, declared);
  });
});
