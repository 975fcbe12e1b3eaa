/** Configuration: a TOML file, then environment variables over it, checked whole and frozen. */
import { readFileSync } from 'node:fs';
import { parse, stringify } from 'smol-toml';
import type Type from 'typebox';
import { Compile } from 'typebox/compile';
import { Config } from '../../schemas/config.ts';
import type { AccessLevel } from '../../schemas/verb.ts';
import { maskUrl } from '../bus/broker-link.ts';
import { type ConfigKey, configKeys, type KeySchema } from './config-keys.ts';

/** What is wrong with the configuration: a line for each key. Exit code 78 (EX_CONFIG). */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(`The configuration is wrong:\n${problems.map((problem) => `  ${problem}`).join('\n')}`, options);
  }
}

/** First words of the keys: `BROKER` of `HOSTBUS_BROKER_URL`. */
const sections = new Set(
  configKeys.filter(({ path }) => path.length > 1).map(({ path }) => path[0]?.toUpperCase() ?? ''),
);

type Tree = { [key: string]: unknown };

/** The environment variable that names the file, for where no argument can be given. */
export const fileVariable = 'HOSTBUS_CONFIG';

/**
 * @param file - TOML file, or undefined for environment variables alone
 * @throws ConfigError
 */
export function loadConfig(file: string | undefined, env: NodeJS.ProcessEnv): Config {
  const tree = file === undefined ? {} : readToml(file);
  const problems: string[] = [];
  const known = new Set([...configKeys.map((key) => key.variable), fileVariable]);
  for (const key of configKeys) takeKey(tree, key, env[key.variable], problems);
  for (const name of Object.keys(env)) {
    // Only variables in the daemon's own sections: others of this prefix belong to the command line or to tests.
    const [prefix, section = '', ...rest] = name.split('_');
    if (!known.has(name) && prefix === 'HOSTBUS' && sections.has(section) && rest.length > 0) {
      problems.push(`environment variable ${name}: there is no such key`);
    }
  }
  problems.push(...check(tree));
  if (problems.length > 0) throw new ConfigError(problems);
  const config = tree as unknown as Config;
  config.access.anonymous ??= defaultAnonymous(config.broker.url);
  return deepFreeze(config);
}

/** The effective configuration as TOML, secrets masked. */
export function printConfig(config: Config): string {
  const copy = structuredClone(config) as unknown as Tree;
  for (const { path, schema } of configKeys) {
    if (schema.secret !== true) continue;
    const value = valueAt(copy, path);
    if (Array.isArray(value))
      set(
        copy,
        path,
        value.map((entry) => maskUrl(String(entry))),
      );
    else if (value !== undefined) set(copy, path, '***');
  }
  return stringify(copy);
}

function readToml(file: string): Tree {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError([`${file}: cannot be read: ${(error as Error).message}`], { cause: error });
  }
  try {
    return parse(text) as Tree;
  } catch (error) {
    // The parser's message shows the line, which may hold a password: only its first sentence and the place are told.
    const { line, column, message } = error as { line?: number; column?: number; message: string };
    throw new ConfigError([`${file}:${line ?? '?'}:${column ?? '?'}: ${message.split('\n')[0] ?? ''}`]);
  }
}

function takeKey(tree: Tree, key: ConfigKey, variable: string | undefined, problems: string[]): void {
  const { path, schema } = key;
  if (!hasRoom(tree, path)) return; // a section that is no table: the check says so
  let value =
    variable === undefined || variable === '' ? valueAt(tree, path) : fromVariable(variable, key, problems);
  if (value === undefined) value = structuredClone(schema.default);
  if (schema.single === true && typeof value === 'string') value = [value];
  if (schema.duration === true && typeof value === 'string') value = parseDuration(value);
  set(tree, path, value);
}

function fromVariable(text: string, { variable, schema }: ConfigKey, problems: string[]): unknown {
  const structured = schema.type === 'array' || schema.type === 'object';
  if (structured && /^\s*[[{]/.test(text)) {
    try {
      return JSON.parse(text);
    } catch {
      problems.push(`${variable}: is not valid JSON`);
      return undefined;
    }
  }
  switch (schema.type) {
    case 'array':
      return text.split(schema.separator ?? /[,\s]+/).filter((entry) => entry !== '');
    case 'object':
      return Object.fromEntries(text.split(',').map((pair) => pair.split('=').map((word) => word.trim())));
    case 'integer':
    case 'number':
      return /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : text;
    default:
      return text;
  }
}

const unitSeconds: Readonly<Record<string, number>> = {
  ms: 0.001,
  s: 1,
  sec: 1,
  m: 60,
  min: 60,
  h: 3600,
  d: 86_400,
};

/** Seconds, or the text itself where it is no duration: the check then refuses it. */
function parseDuration(text: string): number | string {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)?\s*$/.exec(text);
  const factor = unitSeconds[match?.[2] ?? 's'];
  return match === null || factor === undefined ? text : Number(match[1]) * factor;
}

const validator = Compile(Config);

function check(tree: Tree): string[] {
  if (validator.Check(tree)) return unreadableUrls(tree);
  const problems = validator.Errors(tree).flatMap((error) => {
    const at = error.instancePath.split('/').slice(1);
    switch (error.keyword) {
      case 'required':
        return error.params.requiredProperties.map((name) => describe([...at, name], 'is missing'));
      case 'additionalProperties':
        return error.params.additionalProperties.map(
          (name) => `${[...at, name].join('.')}: there is no such key`,
        );
      case 'boolean': // its twin, of which there may be so many that the other is cut off
        return [`${at.join('.')}: there is no such key`];
      default:
        return [describe(at, error.message)];
    }
  });
  return [...new Set(problems)];
}

/** The schema's patterns let some through that have no host, or a password with raw `/`. */
function unreadableUrls({ broker, traces }: Type.Static<typeof Config>): string[] {
  const problem = 'is not a URL: percent-encode what is special in user and password, such as / as %2F';
  const { endpoint } = traces;
  return [
    ...(broker.url.every((url) => URL.canParse(url)) ? [] : [describe(['broker', 'url'], problem)]),
    ...(endpoint === undefined || URL.canParse(endpoint)
      ? []
      : [describe(['traces', 'endpoint'], 'is not a URL')]),
  ];
}

function describe(path: readonly string[], message: string): string {
  const key = configKeys.find((candidate) => candidate.path.every((word, i) => word === path[i]));
  const expected = key === undefined ? '' : `; expected: ${expectation(key.schema)} (${key.variable})`;
  return `${path.join('.')}: ${message}${expected}`;
}

function expectation(schema: KeySchema): string {
  const values = schema.enum === undefined ? '' : `one of ${schema.enum.join(', ')}. `;
  const least = schema.minimum === undefined ? '' : ` of at least ${schema.minimum}`;
  const most = schema.maximum === undefined ? '' : ` and at most ${schema.maximum}`;
  const name = schema.single === true ? 'string, or array of strings' : (schema.type ?? 'value');
  const type = values === '' ? `${name}${least}${most}. ` : values;
  return `${type}${schema.description ?? ''}`;
}

function defaultAnonymous(urls: readonly string[]): AccessLevel {
  const loopback = urls.every((url) => {
    if (!URL.canParse(url)) return false;
    const { hostname } = new URL(url);
    return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  });
  return loopback ? 'write' : 'none';
}

function hasRoom(tree: Tree, path: readonly string[]): boolean {
  let node: unknown = tree;
  for (const word of path.slice(0, -1)) {
    node = (node as Tree)[word];
    if (node === undefined) return true;
    if (typeof node !== 'object' || node === null || Array.isArray(node)) return false;
  }
  return true;
}

/** What a key's path leads to. */
export function valueAt(tree: object, path: readonly string[]): unknown {
  return path.reduce<unknown>((node, word) => (node as Tree | undefined)?.[word], tree);
}

function set(tree: Tree, path: readonly string[], value: unknown): void {
  let node = tree;
  for (const word of path.slice(0, -1)) {
    node[word] ??= {};
    node = node[word] as Tree;
  }
  const last = path.at(-1);
  if (last !== undefined && value !== undefined) node[last] = value;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
