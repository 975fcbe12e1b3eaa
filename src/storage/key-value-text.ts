/** `KEY=VALUE` lines, which both kinds of metadata are made of. */

/** Keys are sorted when written; unknown ones are kept. */
export type KeyValues = ReadonlyMap<string, string>;

/** A metadata file that cannot be believed. The message says what is wrong with it. */
export class BadMetadata extends Error {
  override readonly name = 'BadMetadata';
}

/** One line each, sorted by key, without line ends. */
export function keyValueLines(values: KeyValues): string[] {
  return [...values.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${checkedValue(key, value)}`);
}

/**
 * Reads lines into a map. Blank lines are skipped; values are trimmed, as VDSM does.
 *
 * @throws {BadMetadata} when a line is not `KEY=VALUE`, or a key comes twice
 */
export function parseKeyValueLines(lines: readonly string[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of lines) {
    if (line.trim() === '') continue;
    const equals = line.indexOf('=');
    if (equals < 1) throw new BadMetadata('it has a line that is not KEY=VALUE');
    const key = line.slice(0, equals);
    if (values.has(key)) throw new BadMetadata(`it has the key ${key} twice`);
    values.set(key, line.slice(equals + 1).trim());
  }
  return values;
}

/** @throws {BadMetadata} when the key is missing */
export function requiredValue(values: KeyValues, key: string): string {
  const value = values.get(key);
  if (value === undefined) throw new BadMetadata(`it has no ${key}`);
  return value;
}

/**
 * A value that must be a whole number that JavaScript holds exactly.
 *
 * @param fallback - for a missing key; without it the key is required
 * @throws {BadMetadata} when it is missing or no such number
 */
export function integerValue(values: KeyValues, key: string, fallback?: number): number {
  if (fallback !== undefined && !values.has(key)) return fallback;
  const text = requiredValue(values, key);
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number)) {
    throw new BadMetadata(`its ${key} is not a whole number`);
  }
  return number;
}

/** @throws {BadMetadata} when the value is missing or none of those allowed */
export function choiceValue<T extends string>(values: KeyValues, key: string, allowed: readonly T[]): T {
  const text = requiredValue(values, key);
  const found = allowed.find((choice) => choice === text);
  if (found === undefined) throw new BadMetadata(`its ${key} is not ${allowed.join(' or ')}`);
  return found;
}

// A line break in a value would forge another key.
function checkedValue(key: string, value: string): string {
  if (/[\r\n]/.test(value)) throw new TypeError(`Value of ${key} has a line break`);
  return value;
}
