/** The keys of the configuration, walked from its schema: path, environment variable, default, meaning. */
import type { TObject, TSchema } from 'typebox';
import { Config } from '../../schemas/config.ts';

export interface ConfigKey {
  /** Such as `['tasks', 'max']`. */
  readonly path: readonly string[];
  /** Such as `HOSTBUS_TASKS_MAX`. */
  readonly variable: string;
  readonly schema: KeySchema;
  readonly required: boolean;
}

/** What the schema of a key may say beside JSON Schema's own words. */
export type KeySchema = TSchema & {
  readonly type?: string;
  readonly default?: unknown;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  /** Seconds, or a text with a unit. */
  readonly duration?: boolean;
  /** Never shown. */
  readonly secret?: boolean;
  /** A list that may be given as one text. */
  readonly single?: boolean;
  /** What separates the entries of a list in an environment variable; without it: commas, or JSON. */
  readonly separator?: string;
};

export const configKeys: readonly ConfigKey[] = walk(Config, []);

function walk(object: TObject, prefix: readonly string[]): ConfigKey[] {
  const required = new Set(object.required ?? []);
  return Object.entries(object.properties as Record<string, KeySchema>).flatMap(([name, schema]) => {
    const path = [...prefix, name];
    if (schema.type === 'object' && 'properties' in schema) return walk(schema as unknown as TObject, path);
    const variable = `HOSTBUS_${path.join('_').toUpperCase()}`;
    return [{ path, variable, schema, required: required.has(name) && schema.default === undefined }];
  });
}
