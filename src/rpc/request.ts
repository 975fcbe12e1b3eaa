/** One request of a body: is it JSON-RPC 2.0, and can its `id` be a task ID? */
import { HostbusError } from '../../schemas/errors.ts';

/** A request as it came; `id` absent: a notification. */
export interface Request {
  readonly jsonrpc: '2.0';
  readonly method: string;
  readonly params?: object;
  readonly id?: string | number;
}

const maxIdCharacters = 128;
/** Control characters, line separators and halves of surrogate pairs cannot be printed. */
const unprintable = /[\p{Cc}\p{Cs}\u2028\u2029]/u;

/** The `id` of a value that may be a request, where it can be echoed; null as JSON-RPC wants it otherwise. */
export function echoableId(value: unknown): string | number | null {
  if (!isObject(value) || !Object.hasOwn(value, 'id')) return null;
  return idDefect(value.id) === undefined ? (value.id as string | number) : null;
}

/**
 * @throws HostbusError InvalidRequest that says what is wrong
 */
export function checkRequest(value: unknown): Request {
  if (!isObject(value)) throw invalid('A request is a JSON object');
  const { jsonrpc, method, params } = value;
  if (jsonrpc !== '2.0') throw invalid('`jsonrpc` has to be "2.0"');
  if (typeof method !== 'string') throw invalid('`method` has to be a string');
  if (params !== undefined && (typeof params !== 'object' || params === null)) {
    throw invalid('`params` has to be an object or an array, or be left out');
  }
  if (Object.hasOwn(value, 'id')) {
    const defect = idDefect(value.id);
    if (defect !== undefined) throw invalid(defect);
  }
  return value as unknown as Request;
}

function idDefect(id: unknown): string | undefined {
  if (typeof id === 'number') {
    if (!Number.isInteger(id)) return '`id` has to be a string or an integer';
    return Number.isSafeInteger(id)
      ? undefined
      : '`id` is an integer that JSON cannot carry exactly: use a string';
  }
  if (typeof id !== 'string') return '`id` has to be a string or an integer';
  if (id === '') return '`id` is empty';
  // Characters are code points: an emoji counts once.
  if (id.length > maxIdCharacters && [...id].length > maxIdCharacters) {
    return `\`id\` is longer than ${maxIdCharacters} characters`;
  }
  return unprintable.test(id) ? '`id` holds characters that cannot be printed' : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(message: string): HostbusError {
  return new HostbusError('InvalidRequest', message);
}
