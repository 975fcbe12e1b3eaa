/** Asking a host something that its verbs' types describe; no task is left behind. */
import type { VerbName, VerbTypes } from '../../schemas/verbs.ts';
import type { Host } from '../client/types.ts';
import type { Context } from './context.ts';

/** The answer of a query, in time or not at all. */
export async function ask<M extends VerbName>(
  context: Context,
  host: Host,
  method: M,
  params: VerbTypes[M]['params'],
): Promise<VerbTypes[M]['result']> {
  Object.assign(context.doing, { hostId: host.hostId, method });
  const options = { timeout: context.timeoutMs, signal: context.signal };
  return context.untilStopped(host.call(method, params, options));
}

interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | undefined;
}

const pageSize = 1000;

/** All entries of a list that comes in pages, or the first `limit`. */
export async function allPages<Item>(
  limit: number | undefined,
  readPage: (page: { limit: number; cursor?: string }) => Promise<Page<Item>>,
): Promise<Item[]> {
  const items: Item[] = [];
  const wanted = limit ?? Number.POSITIVE_INFINITY;
  let cursor: string | undefined;
  do {
    const page = await readPage({
      limit: Math.min(pageSize, wanted - items.length),
      ...(cursor !== undefined && { cursor }),
    });
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined && items.length < wanted);
  return items;
}
