/** Broken requests of every sort, made from a seed, each with what has to become of it. */
import type { Options } from 'amqplib';

export interface BrokenMessage {
  readonly sort: string;
  readonly body: Buffer;
  readonly properties: Options.Publish;
  /** True: exactly one answer has to come. */
  readonly answerable: boolean;
}

export type Random = () => number;

/** A small generator (mulberry32) with which a failure can be repeated. */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const birthNames = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype', 'valueOf', 'then'];
const methods = [
  ...birthNames,
  'ping',
  'work',
  'getTaskStatus',
  'subtract',
  'echo',
  'nothing',
  '',
  '\u0000',
  '💥',
];
const badReplyTo = [
  '/exchange/hostbus.rpc/h1',
  '/exchange/',
  '/',
  '//',
  '/queue/%',
  'hostbus.rpc.h1',
  '/nonsense/x',
];

const pick = <T>(random: Random, values: readonly T[]): T =>
  values[Math.floor(random() * values.length)] as T;
const upTo = (random: Random, max: number) => Math.floor(random() * max);
const bytes = (random: Random, length: number) =>
  Buffer.from(Array.from({ length }, () => upTo(random, 256)));

/** Raw JSON text of a value that may be anything. */
function anyJson(random: Random, depth = 0): string {
  const scalars = [
    'null',
    'true',
    '0',
    '-1',
    '1.5',
    '1e999',
    '-1e-999',
    '9'.repeat(400),
    '""',
    '"\\ud800"',
    '"x"',
  ];
  const kind = upTo(random, depth > 3 ? 2 : 4);
  if (kind < 2) return random() < 0.2 ? JSON.stringify(pick(random, birthNames)) : pick(random, scalars);
  const inner = Array.from({ length: upTo(random, 4) }, () => anyJson(random, depth + 1));
  if (kind === 2) return `[${inner.join()}]`;
  return `{${inner.map((value) => `${JSON.stringify(pick(random, [...birthNames, 'a', 'id', '']))}:${value}`).join()}}`;
}

function requestText(random: Random): string {
  const members = [
    `"jsonrpc":${random() < 0.9 ? '"2.0"' : anyJson(random)}`,
    `"method":${random() < 0.9 ? JSON.stringify(pick(random, methods)) : anyJson(random)}`,
  ];
  if (random() < 0.8) members.push(`"params":${badParams(random)}`);
  if (random() < 0.8) members.push(`"id":${anyJson(random)}`);
  if (random() < 0.2) members.push(`${JSON.stringify(pick(random, birthNames))}:${anyJson(random)}`);
  return `{${members.join()}}`;
}

/** Never right for a verb that would last. */
function badParams(random: Random): string {
  return random() < 0.5
    ? anyJson(random)
    : `{"${pick(random, [...birthNames, 'nothing'])}":${anyJson(random)}}`;
}

const anyHeader = (random: Random): unknown =>
  pick<unknown>(random, [
    null,
    true,
    -1,
    2 ** 40,
    1.5,
    'text',
    '',
    'x'.repeat(1000),
    Buffer.from([0, 255]),
    [1, 'two', null, [3]],
    { deep: { deeper: { deepest: true } } },
    { '!': 'timestamp', value: 1 },
    { '!': 'double', value: 0.1 },
    { '!': 'decimal', value: { digits: 5, places: 2 } },
    { '!': 'byte', value: 1 },
    { '!': 'short', value: 1 },
  ]);

function oddProperties(random: Random): Options.Publish {
  const names = ['flow-id', 'ovirtCorrelationId', 'traceparent', 'x-odd', ...birthNames.slice(1)];
  const headers = Object.fromEntries(
    names.filter(() => random() < 0.5).map((name) => [name, anyHeader(random)]),
  );
  return {
    headers,
    contentType: pick(random, ['application/json', 'text/plain', '', 'x'.repeat(255)]),
    contentEncoding: pick(random, ['gzip', 'utf-8', '']),
    priority: upTo(random, 256),
    messageId: pick(random, ['', '__proto__']),
    type: 'x'.repeat(upTo(random, 256)),
    timestamp: upTo(random, 2 ** 31),
    deliveryMode: pick(random, [1, 2]),
  };
}

const valid = Buffer.from('{"jsonrpc":"2.0","method":"ping","id":"ok"}');

/** How to break something, by name; `limit` is the largest body that the host reads. */
const sorts: Record<
  string,
  (random: Random, limit: number) => { body: Buffer; properties?: Options.Publish }
> = {
  'random bytes': (random) => ({ body: bytes(random, upTo(random, 300)) }),
  'invalid UTF-8': (random) => {
    const body = Buffer.from(valid);
    body[upTo(random, body.length)] = pick(random, [0xff, 0xc0, 0x80, 0xed]);
    return { body };
  },
  'truncated JSON': (random) => ({ body: valid.subarray(0, upTo(random, valid.length)) }),
  'flipped bits': (random) => {
    const body = Buffer.from(requestText(random));
    const at = upTo(random, body.length);
    body[at] = (body[at] ?? 0) ^ (1 << upTo(random, 8));
    return { body };
  },
  'deep nesting': (random, limit) => {
    const levels = 60 + upTo(random, random() < 0.1 ? limit / 2 - 100 : 100);
    const [open, close] = random() < 0.5 ? ['[', ']'] : ['{"a":', '}'];
    const inner = `${open.repeat(Math.min(levels, limit / 8))}0${random() < 0.8 ? close.repeat(Math.min(levels, limit / 8)) : ''}`;
    return { body: Buffer.from(`{"jsonrpc":"2.0","method":"echo","params":${inner},"id":"deep"}`) };
  },
  'wrong requests': (random) => ({ body: Buffer.from(requestText(random)) }),
  'wrong batches': (random) => {
    const entries = Array.from({ length: upTo(random, random() < 0.05 ? 150 : 5) }, () =>
      random() < 0.7 ? requestText(random) : anyJson(random),
    );
    return { body: Buffer.from(`[${entries.join()}]`) };
  },
  'any JSON': (random) => ({ body: Buffer.from(anyJson(random)) }),
  'too large': (random, limit) => ({
    body: Buffer.alloc(limit + 1 + upTo(random, 100), pick(random, ['[', ' ', 'x'])),
  }),
  'odd properties': (random) => ({ body: valid, properties: oddProperties(random) }),
  'a bad reply_to': (random) => ({ body: valid, properties: { replyTo: pick(random, badReplyTo) } }),
};

export function brokenMessage(random: Random, limit: number): BrokenMessage {
  const [sort, make] = pick(random, Object.entries(sorts));
  const { body, properties = {} } = make(random, limit);
  const answerable = properties.replyTo === undefined && (hasOddFlow(properties) || wantsAnswer(body, limit));
  return { sort, body, properties, answerable };
}

function hasOddFlow({ headers }: Options.Publish): boolean {
  return headers !== undefined; // its body is valid, and has an id
}

/** The contract's rule: only what is a notification for certain, or a batch of nothing else, gets no answer. */
function wantsAnswer(body: Buffer, limit: number): boolean {
  if (body.length > limit) return true;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    return true;
  }
  if (depthOf(value) > 64) return true;
  if (!Array.isArray(value)) return !isNotification(value);
  return value.length === 0 || value.length > 100 || !value.every(isNotification);
}

function isNotification(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const { jsonrpc, method, params } = value as Record<string, unknown>;
  const structured = params === undefined || (typeof params === 'object' && params !== null);
  return jsonrpc === '2.0' && typeof method === 'string' && structured && !Object.hasOwn(value, 'id');
}

function depthOf(value: unknown): number {
  let depth = 0;
  for (let level: unknown[] = [value]; level.length > 0; depth += 1) {
    level = level
      .filter((v) => typeof v === 'object' && v !== null)
      .flatMap((v) => Object.values(v as object));
    if (level.length === 0 && depth === 0) return typeof value === 'object' && value !== null ? 1 : 0;
  }
  return depth - 1;
}
