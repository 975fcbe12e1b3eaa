/**
 * The part of JSON Schema that hostbus' verbs use, checked before anything is sent: for quick and helpful errors only.
 * The host checks everything again; a keyword that is not known here is left to it.
 */
import { isObject, listMember, member, textMember } from './json.ts';
import type { Schema } from './openrpc.ts';

export interface Fault {
  /** Names joined by dots: `source.domainId`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** The alternatives of a union, or the schema itself. */
export function alternatives(schema: Schema): readonly Schema[] {
  const union = [...listMember(schema, 'anyOf'), ...listMember(schema, 'oneOf')].filter(isObject);
  return union.length > 0 ? union.flatMap(alternatives) : [schema];
}

/** The schema of a member, or undefined when the object has no such member; `{}` where any is allowed. */
export function propertySchema(schema: Schema, key: string): Schema | undefined {
  for (const alternative of alternatives(schema)) {
    const found = member(member(alternative, 'properties'), key);
    if (isObject(found)) return found;
  }
  const open = alternatives(schema).find((alternative) => isOpenObject(alternative));
  if (!open) return undefined;
  const additional = open.additionalProperties;
  return isObject(additional) ? additional : {};
}

function isOpenObject(schema: Schema): boolean {
  const type = textMember(schema, 'type');
  if (type !== undefined && type !== 'object') return false;
  if (type === undefined && Object.keys(schema).some((key) => key !== 'description')) return false;
  return schema.additionalProperties !== false;
}

export interface Leaf {
  readonly path: string;
  readonly schema: Schema;
  readonly required: boolean;
}

/** What `key=value` can name: the members that hold no further members, by dotted path. */
export function leaves(schema: Schema, prefix = '', required = true): Leaf[] {
  const properties = member(schema, 'properties');
  if (!isObject(properties)) return [];
  const needed = listMember(schema, 'required');
  return Object.entries(properties).flatMap(([key, value]) => {
    if (!isObject(value)) return [];
    const [path, must] = [prefix + key, required && needed.includes(key)];
    const below = leaves(value, `${path}.`, must);
    return below.length > 0 ? below : [{ path, schema: value, required: must }];
  });
}

/** What is wrong with a value; empty when nothing is, as far as this program can tell. */
export function faultsOf(schema: Schema, value: unknown, path = ''): Fault[] {
  const choices = alternatives(schema);
  if (choices.length > 1) {
    const each = choices.map((choice) => faultsOf(choice, value, path));
    return each.some((faults) => faults.length === 0) ? [] : (each[0] ?? []);
  }
  const wrong = (message: string): Fault[] => [{ path, message }];
  const type = schema.type;
  if (typeof type === 'string' && !hasType(value, type)) return wrong(`must be ${article(type)}`);
  const choicesOf = listMember(schema, 'enum');
  if (choicesOf.length > 0 && !choicesOf.includes(value))
    return wrong(`must be one of ${choicesOf.join(', ')}`);
  if ('const' in schema && schema.const !== value) return wrong(`must be ${JSON.stringify(schema.const)}`);
  if (typeof value === 'string') return textFault(schema, value).flatMap(wrong);
  if (typeof value === 'number') return numberFault(schema, value).flatMap(wrong);
  if (Array.isArray(value)) return arrayFaults(schema, value, path);
  return isObject(value) ? objectFaults(schema, value, path) : [];
}

function hasType(value: unknown, type: string): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  if (type === 'null') return value === null;
  return ['string', 'number', 'boolean'].includes(type) ? typeof value === type : true;
}

function article(type: string): string {
  return /^[aeio]/.test(type) ? `an ${type}` : `a ${type}`;
}

function textFault(schema: Schema, value: string): string[] {
  const { minLength, maxLength, pattern } = schema;
  // JSON Schema counts characters, not UTF-16 units
  const length = [...value].length;
  if (typeof minLength === 'number' && length < minLength)
    return [minLength === 1 ? 'must not be empty' : `must have at least ${minLength} characters`];
  if (typeof maxLength === 'number' && length > maxLength)
    return [`must have at most ${maxLength} characters`];
  if (typeof pattern === 'string' && !matches(pattern, value))
    return [`does not fit; expected: ${expectation(schema, pattern)}`];
  return [];
}

function matches(pattern: string, value: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(value);
  } catch {
    return true; // not a pattern of this dialect: the host decides
  }
}

function expectation(schema: Schema, pattern: string): string {
  const description = textMember(schema, 'description');
  return description ?? `text like ${pattern}`;
}

function numberFault(schema: Schema, value: number): string[] {
  const { minimum, maximum, multipleOf } = schema;
  if (typeof minimum === 'number' && value < minimum) return [`must be at least ${minimum}`];
  if (typeof maximum === 'number' && value > maximum) return [`must be at most ${maximum}`];
  if (typeof multipleOf === 'number' && Number.isInteger(multipleOf) && value % multipleOf !== 0)
    return [`must be a multiple of ${multipleOf}`];
  return [];
}

function arrayFaults(schema: Schema, value: readonly unknown[], path: string): Fault[] {
  const { minItems, maxItems, items } = schema;
  if (typeof minItems === 'number' && value.length < minItems)
    return [{ path, message: `must have at least ${minItems} entries` }];
  if (typeof maxItems === 'number' && value.length > maxItems)
    return [{ path, message: `must have at most ${maxItems} entries` }];
  if (!isObject(items)) return [];
  return value.flatMap((item, index) => faultsOf(items, item, join(path, String(index))));
}

function objectFaults(schema: Schema, value: Readonly<Record<string, unknown>>, path: string): Fault[] {
  const missing = listMember(schema, 'required').filter(
    (key): key is string => typeof key === 'string' && !Object.hasOwn(value, key),
  );
  const faults: Fault[] = missing.map((key) => ({ path: join(path, key), message: 'is missing' }));
  for (const [key, item] of Object.entries(value)) {
    const known = propertySchema(schema, key);
    if (known) faults.push(...faultsOf(known, item, join(path, key)));
    else faults.push({ path: join(path, key), message: 'unknown parameter' });
  }
  return faults;
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Whether a schema counts bytes, by what its description says: sizes may be written, and are shown, in IEC units. */
export function countsBytes(schema: Schema): boolean {
  const type = schema.type;
  return (
    (type === 'integer' || type === 'number') &&
    /^bytes\b|\bin bytes\b/i.test(textMember(schema, 'description') ?? '')
  );
}
