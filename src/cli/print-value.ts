/** Any JSON value for people: names and values, lists as tables, bytes as sizes where the schema says that they are bytes. */

import { formatBytes } from '../lib/units.ts';
import type { Context } from './context.ts';
import { isObject, member } from './json.ts';
import type { Schema } from './openrpc.ts';
import { countsBytes, propertySchema } from './schema.ts';
import { printable } from './text.ts';

/** @param schema - what the verb's document says about the value; `{}` when nothing is known */
export function printValue(context: Context, value: unknown, schema: Schema): void {
  if (!isObject(value)) {
    if (Array.isArray(value) && value.some(isObject)) printTable(context, value, itemsOf(schema));
    else context.line(printable(text(value, schema)));
    return;
  }
  const flat = flatten(value, schema, '');
  if (flat.pairs.length > 0) context.pairs(flat.pairs);
  for (const [index, table] of flat.tables.entries()) {
    const alone = flat.pairs.length === 0 && flat.tables.length === 1;
    if (!alone)
      context.line(
        `${index > 0 || flat.pairs.length > 0 ? '\n' : ''}${context.paint('cyan', printable(table.path))}`,
      );
    printTable(context, table.rows, table.schema);
  }
  if (flat.pairs.length === 0 && flat.tables.length === 0) context.note('Done.');
}

interface Flat {
  pairs: [string, string][];
  tables: { path: string; rows: readonly unknown[]; schema: Schema }[];
}

function flatten(value: Readonly<Record<string, unknown>>, schema: Schema, prefix: string): Flat {
  const flat: Flat = { pairs: [], tables: [] };
  for (const [key, item] of Object.entries(value)) {
    const itemSchema = propertySchema(schema, key) ?? {};
    const path = prefix + key;
    if (isObject(item) && Object.keys(item).length > 0) {
      const inner = flatten(item, itemSchema, `${path}.`);
      flat.pairs.push(...inner.pairs);
      flat.tables.push(...inner.tables);
    } else if (Array.isArray(item) && item.some(isObject)) {
      flat.tables.push({ path, rows: item, schema: itemsOf(itemSchema) });
    } else flat.pairs.push([path, text(item, itemSchema)]);
  }
  return flat;
}

function printTable(context: Context, rows: readonly unknown[], schema: Schema): void {
  const flatRows = rows.map((row) => {
    if (!isObject(row)) return new Map([['', text(row, schema)]]);
    const { pairs, tables } = flatten(row, schema, '');
    return new Map([
      ...pairs,
      ...tables.map(({ path, rows: list }) => [path, JSON.stringify(list)] as const),
    ]);
  });
  const names = [...new Set(flatRows.flatMap((row) => [...row.keys()]))];
  context.table(
    names.map((title) => ({ title })),
    flatRows.map((row) => names.map((name) => row.get(name) ?? '')),
    'None.',
  );
}

function itemsOf(schema: Schema): Schema {
  const items = member(schema, 'items');
  return isObject(items) ? items : {};
}

function text(value: unknown, schema: Schema): string {
  if (typeof value === 'number') {
    const size = countsBytes(schema) && Math.abs(value) >= 1024 ? ` (${formatBytes(value)})` : '';
    return `${value}${size}`;
  }
  if (typeof value === 'string') return value;
  if (Array.isArray(value))
    return value.length === 0 ? 'none' : value.map((item) => text(item, {})).join(', ');
  if (isObject(value)) return 'none';
  return String(value);
}
