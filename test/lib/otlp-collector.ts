/** A collector that takes OTLP over HTTP, and can be bad at it. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Attribute {
  key: string;
  value: { stringValue: string };
}
export interface Span {
  traceId: string;
  spanId: string;
  parentSpanId: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: Attribute[];
  events: { name: string }[];
  status: { code: number; message?: string };
}
interface Batch {
  resourceSpans: { resource: { attributes: Attribute[] }; scopeSpans: { spans: Span[] }[] }[];
}

/** Attributes by name. */
export const named = (attributes: readonly Attribute[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]));

export interface Collector {
  readonly url: string;
  readonly batches: readonly Batch[];
  /** Of all batches, in the order in which they came. */
  spans(): Span[];
  mode: 'takes' | 'refuses' | 'hangs';
  /** How many requests there were. */
  readonly asked: number;
  stop(): void;
}

export async function startCollector(): Promise<Collector> {
  const batches: Batch[] = [];
  let asked = 0;
  const server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => void pieces.push(piece));
    request.on('end', () => {
      asked += 1;
      const { mode } = collector;
      if (mode === 'hangs') return;
      if (mode === 'takes') batches.push(JSON.parse(Buffer.concat(pieces).toString()) as Batch);
      const known = request.method === 'POST' && request.url === '/v1/traces';
      response.writeHead(known && mode === 'takes' ? 200 : 400, { 'content-type': 'application/json' });
      response.end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const collector: Collector = {
    url: `http://127.0.0.1:${port}/v1/traces`,
    batches,
    spans: () =>
      batches.flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      ),
    mode: 'takes',
    get asked() {
      return asked;
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
  return collector;
}
