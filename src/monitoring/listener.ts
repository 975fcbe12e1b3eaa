/** A small HTTP server for programs that watch: a page for each path, GET and HEAD only. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';

export interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

export type Pages = Readonly<Record<string, () => Page | Promise<Page>>>;

/** Who watches asks seldom, and at once: neither many connections nor slow ones are of use. */
const maxConnections = 64;
const requestTimeoutMs = 10_000;

export function plainText(status: number, text: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body: `${text}\n` };
}

/**
 * @param address - `ADDRESS:PORT`, or `PORT` for loopback
 * @returns the URL that it listens on, for as long as the process lives
 * @throws the system's error where it cannot: taken by another program, not of this machine, not allowed
 */
export async function serveHttp(address: string, log: Logger, pages: Pages): Promise<string> {
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    void answer(request, response, pages, log);
  });
  server.maxConnections = maxConnections;
  server.listen(parseAddress(address));
  await once(server, 'listening');
  server.on('error', (error) =>
    log.warn({ err: error }, 'the monitoring listener failed to take a connection'),
  );
  const { address: ip, port, family } = server.address() as AddressInfo;
  return `http://${family === 'IPv6' ? `[${ip}]` : ip}:${port}`;
}

/** The pattern of the configuration has been checked. */
function parseAddress(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  const host = colon === -1 ? '127.0.0.1' : address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(address.slice(colon + 1)) };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  pages: Pages,
  log: Logger,
): Promise<void> {
  let page: Page;
  try {
    page = await pageFor(request, pages);
  } catch (error) {
    log.error({ err: error, path: request.url }, 'a page of the monitoring listener failed');
    page = plainText(500, "The daemon made a mistake; the host's log has the details");
  }
  response.writeHead(page.status, {
    'content-type': page.type,
    'content-length': Buffer.byteLength(page.body),
    'cache-control': 'no-store',
    ...(page.status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : page.body);
}

function pageFor(request: IncomingMessage, pages: Pages): Page | Promise<Page> {
  const path = (request.url ?? '').replace(/\?.*$/s, '');
  const make = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (make === undefined)
    return plainText(404, `There is nothing here; there are: ${Object.keys(pages).join(', ')}`);
  if (request.method !== 'GET' && request.method !== 'HEAD') return plainText(405, 'Only GET and HEAD');
  return make();
}
