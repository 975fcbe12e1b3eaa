/** From the words of a command line to the params of a call, typed by the verb's schema. */

import { parseSize } from '../lib/units.ts';
import { UsageError } from './errors.ts';
import { isObject, listMember } from './json.ts';
import type { Schema, VerbDoc } from './openrpc.ts';
import { alternatives, countsBytes, type Fault, faultsOf, leaves, propertySchema } from './schema.ts';
import { nearest } from './suggest.ts';

interface Assignment {
  readonly path: string;
  readonly text: string;
  /** `key:=JSON`. */
  readonly raw: boolean;
}

/**
 * The params that the words say.
 * - `force=false`, `source.domainId=…`, `capacity=10G`: typed by the schema; a key given again adds to its list
 * - `key:=JSON`: the value as it is
 * - one word that is a JSON object or array: the whole params
 * @throws UsageError that names everything that is wrong
 */
export function paramsFromWords(verb: VerbDoc, words: readonly string[], hostId: string): unknown {
  const seeVerb = `What it takes: hostbus verbs ${hostId} ${verb.name}`;
  const refuse = (faults: readonly Fault[]): never => {
    const lines = faults.map((fault) => `  ${fault.path === '' ? 'params' : fault.path}: ${fault.message}`);
    throw new UsageError(`these parameters do not fit ${verb.name}`, [...lines, seeVerb]);
  };
  const [first] = words;
  if (first !== undefined && /^\s*[{[]/.test(first)) {
    if (words.length > 1)
      throw new UsageError('give the parameters either as one JSON text or as key=value words', [seeVerb]);
    const value = parseJson(first, 'the parameters');
    const faults = faultsOf(verb.params, byName(verb, value)).map((fault) => withSuggestion(verb, fault));
    return faults.length > 0 ? refuse(faults) : value;
  }
  const params: Record<string, unknown> = {};
  const faults: Fault[] = [];
  for (const word of words) {
    const fault = assign(params, verb, splitWord(word, seeVerb));
    if (fault) faults.push(fault);
  }
  const broken = new Set(faults.map((fault) => fault.path));
  const missing = faultsOf(verb.params, params).flatMap((fault) => asLeaves(verb, fault));
  faults.push(...missing.filter((fault) => !broken.has(fault.path)));
  return faults.length > 0 ? refuse(faults) : params;
}

function splitWord(word: string, seeVerb: string): Assignment {
  const at = word.indexOf('=');
  if (at < 1 || word.startsWith(':='))
    throw new UsageError(`'${word}' is not a parameter: write key=value, key:=JSON or one JSON object`, [
      seeVerb,
    ]);
  const raw = word[at - 1] === ':';
  return { path: word.slice(0, raw ? at - 1 : at), text: word.slice(at + 1), raw };
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${what}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Params by position, as the host maps them: in the order in which the verb declares its parameters. */
function byName(verb: VerbDoc, value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  if (value.length > verb.paramNames.length)
    throw new UsageError(`${verb.name} takes at most ${verb.paramNames.length} parameters`);
  return Object.fromEntries(value.map((item, index) => [verb.paramNames[index] ?? '', item]));
}

function withSuggestion(verb: VerbDoc, fault: Fault): Fault {
  if (fault.message !== 'unknown parameter') return fault;
  const paths = leaves(verb.params).map((leaf) => leaf.path);
  const meant = nearest(fault.path, paths);
  if (meant !== undefined) return { ...fault, message: `unknown parameter; did you mean ${meant}?` };
  return {
    ...fault,
    message:
      paths.length === 0
        ? `unknown parameter; ${verb.name} takes none`
        : `unknown parameter; there are ${paths.join(', ')}`,
  };
}

/** A missing object is told as its missing members: they are what can be written. */
function asLeaves(verb: VerbDoc, fault: Fault): Fault[] {
  if (fault.message !== 'is missing') return [fault];
  const below = leaves(verb.params).filter((leaf) => leaf.required && leaf.path.startsWith(`${fault.path}.`));
  return below.length > 0 ? below.map(({ path }) => ({ path, message: 'is missing' })) : [fault];
}

/** Puts one word's value where it belongs; answers with what is wrong, if anything. */
function assign(
  params: Record<string, unknown>,
  verb: VerbDoc,
  { path, text, raw }: Assignment,
): Fault | undefined {
  const keys = path.split('.');
  let schema = verb.params;
  for (const key of keys) {
    const next = propertySchema(schema, key);
    if (!next) return withSuggestion(verb, { path, message: 'unknown parameter' });
    schema = next;
  }
  const typed = raw ? rawValue(schema, path, text) : typeText(schema, text);
  if ('fault' in typed) return { path, message: typed.fault };
  const last = keys.pop() ?? '';
  let holder = params;
  for (const key of keys) {
    const inner = own(holder, key) ?? set(holder, key, {});
    if (!isObject(inner)) return { path, message: 'given twice' };
    holder = inner as Record<string, unknown>;
  }
  const before = own(holder, last);
  if (Array.isArray(before) && Array.isArray(typed.value)) before.push(...typed.value);
  else if (before !== undefined) return { path, message: 'given twice' };
  else set(holder, last, typed.value);
  return undefined;
}

function own(holder: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(holder, key) ? holder[key] : undefined;
}

/** Defines rather than assigns, so that a key `__proto__` is a member like any other. */
function set(holder: Record<string, unknown>, key: string, value: unknown): unknown {
  Object.defineProperty(holder, key, { value, enumerable: true, writable: true, configurable: true });
  return value;
}

type Typed = { value: unknown } | { fault: string };

function rawValue(schema: Schema, path: string, text: string): Typed {
  const value = parseJson(text, path);
  const isList = alternatives(schema).some((alternative) => alternative.type === 'array');
  return { value: isList && !Array.isArray(value) ? [value] : value };
}

/** The value that a text means for a schema: the first alternative of a union that it fits. */
export function typeText(schema: Schema, text: string): Typed {
  const choices = alternatives(schema);
  const results = choices.map((choice) => ({ choice, typed: typeSingle(choice, text) }));
  const fitting = results.find(
    ({ choice, typed }) =>
      'value' in typed && (choices.length === 1 || faultsOf(choice, typed.value).length === 0),
  );
  return (fitting ?? results[0])?.typed ?? { value: text };
}

function typeSingle(schema: Schema, text: string): Typed {
  const choices = listMember(schema, 'enum');
  if (choices.length > 0) return typeChoice(choices, text);
  if ('const' in schema) return typeChoice([schema.const], text);
  switch (schema.type) {
    case 'boolean':
      return text === 'true' || text === 'false'
        ? { value: text === 'true' }
        : { fault: 'must be true or false' };
    case 'null':
      return text === 'null' ? { value: null } : { fault: 'must be null' };
    case 'integer':
    case 'number':
      return typeNumber(schema, text);
    case 'array':
      return typeItem(schema, text);
    case 'object':
      return { fault: 'holds members: write key.member=value for each, or key:=JSON' };
    default:
      return { value: text };
  }
}

function typeChoice(choices: readonly unknown[], text: string): Typed {
  const found = choices.findIndex((choice) => String(choice) === text);
  if (found >= 0) return { value: choices[found] };
  const meant = nearest(text, choices.map(String));
  const suggestion = meant === undefined ? '' : `; did you mean ${meant}?`;
  return { fault: `must be one of ${choices.join(', ')}${suggestion}` };
}

function typeNumber(schema: Schema, text: string): Typed {
  if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) {
    const value = Number(text);
    if (schema.type !== 'integer') return { value };
    if (Number.isSafeInteger(value)) return { value };
    return { fault: Number.isInteger(value) ? 'is too large to be exact' : 'must be an integer' };
  }
  const sizeBytes = countsBytes(schema) ? parseSize(text) : undefined;
  if (sizeBytes !== undefined) return { value: sizeBytes };
  const wanted = schema.type === 'integer' ? 'an integer' : 'a number';
  return { fault: `must be ${wanted}${countsBytes(schema) ? ', or a size such as 10G or 512MiB' : ''}` };
}

function typeItem(schema: Schema, text: string): Typed {
  const items = schema.items;
  const item = typeText(isObject(items) ? items : {}, text);
  return 'fault' in item ? item : { value: [item.value] };
}

/** The words that say the params: the opposite of {@link paramsFromWords}, quoted for a shell. */
export function wordsFromParams(params: Readonly<Record<string, unknown>>, prefix = ''): string[] {
  return Object.entries(params).flatMap(([key, value]) => {
    const path = prefix + key;
    if (isObject(value) && Object.keys(value).length > 0) return wordsFromParams(value, `${path}.`);
    if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string'))
      return value.map((item) => shellQuote(`${path}=${item}`));
    const text =
      isObject(value) || Array.isArray(value)
        ? `${path}:=${JSON.stringify(value)}`
        : `${path}=${String(value)}`;
    return [shellQuote(text)];
  });
}

/** A word as a POSIX shell must be given it. */
export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
