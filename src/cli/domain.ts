/** `hostbus domain …`: storage domains as a host sees them. */
import type { Domain } from '../../schemas/domain.ts';
import { formatBytes } from '../lib/units.ts';
import { ask } from './ask.ts';
import type { Context } from './context.ts';
import type { Invocation } from './invocation.ts';
import { isObject } from './json.ts';
import { send } from './send.ts';

export async function domainList(context: Context, given: Invocation): Promise<void> {
  const { domains } = await context.withClient((client) =>
    ask(context, client.host(given.word('HOST')), 'listStorageDomains', {}),
  );
  if (context.options.json) {
    context.json({ domains });
    return;
  }
  context.table(
    [
      { title: 'DOMAIN' },
      { title: 'STATUS' },
      { title: 'NAME' },
      { title: 'CAPACITY', align: 'right' },
      { title: 'AVAILABLE', align: 'right' },
      { title: 'DELAY', align: 'right' },
      { title: 'PATH' },
      { title: 'MESSAGE' },
    ],
    domains.map((domain) => [
      domain.domainId,
      domain.status,
      domain.name,
      formatBytes(domain.capacity),
      formatBytes(domain.available),
      delayOf(domain),
      domain.path,
      domain.message ?? '',
    ]),
    `${given.word('HOST')} has no storage domain connected.`,
  );
}

export async function domainStatus(context: Context, given: Invocation): Promise<void> {
  const domainId = given.domainId('DOMAIN');
  const domain = await context.withClient((client) =>
    ask(context, client.host(given.word('HOST')), 'getStorageDomainStatus', { domainId }),
  );
  print(context, domain);
}

export async function domainCreate(context: Context, given: Invocation): Promise<void> {
  const name = given.text('name');
  const params = {
    domainId: given.newDomainId('DOMAIN'),
    path: given.word('PATH'),
    ...(name !== undefined && { name }),
  };
  await change(context, given, 'createStorageDomain', params);
}

export async function domainConnect(context: Context, given: Invocation): Promise<void> {
  const params = { domainId: given.domainId('DOMAIN'), path: given.word('PATH') };
  await change(context, given, 'connectStorageDomain', params);
}

export async function domainDisconnect(context: Context, given: Invocation): Promise<void> {
  await change(context, given, 'disconnectStorageDomain', { domainId: given.domainId('DOMAIN') });
}

async function change(context: Context, given: Invocation, method: string, params: object): Promise<void> {
  const taskId = given.taskId();
  const sent = await context.withClient((client) =>
    send(context, client.host(given.word('HOST')), { method, params, taskId, follow: false, query: false }),
  );
  if (sent.kind === 'answer') print(context, sent.answer);
}

function print(context: Context, domain: unknown): void {
  if (context.options.json) context.json(domain);
  else if (isDomain(domain)) printDomain(context, domain);
}

function isDomain(value: unknown): value is Domain {
  return isObject(value) && typeof value.domainId === 'string' && typeof value.status === 'string';
}

function printDomain(context: Context, domain: Domain): void {
  const pairs: [string, string][] = [
    ['domain', domain.domainId],
    ['name', domain.name],
    ['path', domain.path],
    ['status', domain.status],
    ['capacity', formatBytes(domain.capacity)],
    ['available', formatBytes(domain.available)],
    ['read delay', delayOf(domain)],
    ['checked', domain.lastCheckedAt],
  ];
  if (domain.message !== undefined) pairs.push(['message', domain.message]);
  context.pairs(pairs);
}

function delayOf({ readDelay }: Domain): string {
  return `${Math.round(readDelay * 10_000) / 10} ms`;
}
