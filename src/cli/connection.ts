/** Which broker, and with which credentials: from options, else from the environment. */
import { readFile } from 'node:fs/promises';
import type { Connector } from './context.ts';
import { UsageError } from './errors.ts';
import type { Io } from './io.ts';

const defaultUrl = 'amqp://localhost';
/** As long as the client library tries at most. */
const longestConnectMs = 10_000;

export interface ConnectionSettings {
  readonly urls: readonly string[];
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly passphrase: string | undefined;
}

/**
 * Options win over the environment: HOSTBUS_URL (else HOSTBUS_BROKER_URL), HOSTBUS_TLS_CA, HOSTBUS_TLS_CERT, HOSTBUS_TLS_KEY,
 * HOSTBUS_TLS_PASSPHRASE.
 * @throws UsageError that shows no password
 */
export function connectionSettings(
  options: { url?: readonly string[]; ca?: string; cert?: string; key?: string },
  env: Io['env'],
): ConnectionSettings {
  const fromEnv = env.HOSTBUS_URL || env.HOSTBUS_BROKER_URL || defaultUrl;
  const urls = (options.url ?? [fromEnv])
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (urls.length === 0) throw new UsageError('the broker URL is empty', [urlHint]);
  for (const url of urls) checkUrl(url);
  return {
    urls,
    caFile: options.ca ?? env.HOSTBUS_TLS_CA,
    certFile: options.cert ?? env.HOSTBUS_TLS_CERT,
    keyFile: options.key ?? env.HOSTBUS_TLS_KEY,
    passphrase: env.HOSTBUS_TLS_PASSPHRASE,
  };
}

const urlHint = 'It looks like amqp://USER:PASSWORD@HOST:5672/VHOST or amqps://…; set --url or HOSTBUS_URL';

function checkUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url)
    throw new UsageError('the broker URL cannot be read', [
      urlHint,
      'Special characters in a password are written %XX',
    ]);
  if (url.protocol !== 'amqp:' && url.protocol !== 'amqps:')
    throw new UsageError(`the broker URL begins with ${url.protocol}//, which is not AMQP`, [urlHint]);
}

/** The URL as it may be shown: without the password. */
export function maskUrl(text: string): string {
  if (!URL.canParse(text)) return '(not a URL)';
  const url = new URL(text);
  if (url.password !== '') url.password = '***';
  return url.href.replace('://guest:***@', '://guest@');
}

/** Connects with the client library, which is loaded only now. */
export function connector(settings: ConnectionSettings): Connector {
  return async (timeoutMs) => {
    const [ca, cert, key] = await Promise.all([
      readPem(settings.caFile, '--ca'),
      readPem(settings.certFile, '--cert'),
      readPem(settings.keyFile, '--key'),
    ]);
    const { connect } = await import('../client/client.ts');
    const tls = {
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(settings.passphrase !== undefined && { passphrase: settings.passphrase }),
    };
    return connect(settings.urls, {
      tls,
      name: `hostbus command line, process ${process.pid}`,
      connectTimeout: Math.min(timeoutMs, longestConnectMs),
    });
  };
}

async function readPem(path: string | undefined, option: string): Promise<Buffer | undefined> {
  if (path === undefined || path === '') return undefined;
  try {
    return await readFile(path);
  } catch (error) {
    throw new UsageError(`${option}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
