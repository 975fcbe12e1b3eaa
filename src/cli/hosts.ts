/** `hostbus hosts`: who is alive, from what hosts broadcast. Nobody is asked, so no host needs to be known beforehand. */
import type { HostStats } from '../../schemas/host.ts';
import type { Client, EventStream, HostEvent } from '../client/types.ts';
import { formatBytes, formatSeconds } from '../lib/units.ts';
import type { Context } from './context.ts';
import type { Invocation } from './invocation.ts';
import { widthOf } from './io.ts';
import { member } from './json.ts';
import { renderTable } from './table.ts';

/** One heartbeat of the default configuration, and a second for its way. */
export const listenMs = 6000;
/** Three heartbeats missed. */
export const silentMs = 15_000;
const redrawMs = 1000;

export interface HostSeen {
  readonly hostId: string;
  readonly bootId: string;
  /** Its last heartbeat; undefined when only its start was heard. */
  readonly stats: HostStats | undefined;
  /** By this machine's clock. */
  readonly seenAtMs: number;
  readonly stopping: boolean;
}

export const columns = [
  { title: 'HOST' },
  { title: 'BOOT' },
  { title: 'UPTIME', align: 'right' },
  { title: 'RUNNING', align: 'right' },
  { title: 'QUEUED', align: 'right' },
  { title: 'RSS', align: 'right' },
  { title: 'LOAD', align: 'right' },
  { title: 'SEEN' },
] as const;

export async function hosts(context: Context, given: Invocation): Promise<void> {
  const waitMs = given.seconds('wait') ?? listenMs;
  await context.withClient((client) =>
    given.flag('watch') ? watch(context, client) : listen(context, client, waitMs),
  );
}

/** Listens for a while, then prints who was heard. */
async function listen(context: Context, client: Client, waitMs: number): Promise<void> {
  const seen = new Map<string, HostSeen>();
  const stream = await subscribe(context, client);
  context.note(`Listening for heartbeats for ${waitMs / 1000} s …`);
  const timer = setTimeout(() => void stream.close(), waitMs);
  try {
    for await (const event of stream) remember(seen, event);
  } finally {
    clearTimeout(timer);
  }
  if (context.signal.aborted) throw context.signal.reason;
  const found = sorted(seen).filter(({ stopping }) => !stopping);
  if (context.options.json) context.json({ hosts: found.map(asDocument) });
  else
    context.table(
      columns,
      found.map(asRow),
      `No host was heard within ${waitMs / 1000} s; --wait SECONDS listens longer.`,
    );
}

/** Goes on until Ctrl-C: a table that is drawn again on a terminal, a line for each change elsewhere. */
async function watch(context: Context, client: Client): Promise<void> {
  const seen = new Map<string, HostSeen>();
  const stream = await subscribe(context, client);
  const redraw = context.options.json ? undefined : screen(context);
  const timer = redraw && setInterval(() => redraw(sorted(seen)), redrawMs);
  try {
    for await (const event of stream) {
      const host = remember(seen, event);
      if (context.options.json) context.json(asDocument(host));
      else if (redraw) redraw(sorted(seen));
      else context.line(asRow(host).join('  '));
    }
  } finally {
    clearInterval(timer);
  }
  if (context.signal.aborted) throw context.signal.reason;
}

async function subscribe(context: Context, client: Client): Promise<EventStream> {
  const stream = client.events({ kind: 'host' }, { signal: context.signal });
  await context.untilStopped(stream.ready);
  return stream;
}

export function remember(seen: Map<string, HostSeen>, { hostId, bootId, event, data }: HostEvent): HostSeen {
  const before = seen.get(hostId);
  const host: HostSeen = {
    hostId,
    bootId,
    stats: event === 'heartbeat' ? statsOf(data) : before?.bootId === bootId ? before.stats : undefined,
    seenAtMs: Date.now(),
    stopping: event === 'stopping',
  };
  seen.set(hostId, host);
  return host;
}

/** What a host says about itself, if it is what it should be. */
export function statsOf(data: unknown): HostStats | undefined {
  const tasks = member(data, 'tasks');
  const numbers = [
    member(data, 'uptime'),
    member(data, 'rss'),
    member(tasks, 'running'),
    member(tasks, 'queued'),
  ];
  const sound =
    numbers.every((value) => typeof value === 'number') && Array.isArray(member(data, 'loadAverage'));
  return sound ? (data as HostStats) : undefined;
}

function sorted(seen: ReadonlyMap<string, HostSeen>): HostSeen[] {
  return [...seen.values()].sort((a, b) => (a.hostId < b.hostId ? -1 : 1));
}

/** Draws the table over what it drew before; undefined where there is no terminal. */
function screen(context: Context): ((found: readonly HostSeen[]) => void) | undefined {
  const { stdout } = context.io;
  if (stdout.isTTY !== true) return undefined;
  let drawn = 0;
  return (found) => {
    const [titles = '', ...lines] = renderTable(columns, found.map(asRow), widthOf(stdout));
    const all = [context.paint('bold', titles), ...lines];
    stdout.write(`${drawn > 0 ? `\x1b[${drawn}A` : ''}\x1b[J${all.join('\n')}\n`);
    drawn = all.length;
  };
}

export function asRow({ hostId, bootId, stats, seenAtMs, stopping }: HostSeen): string[] {
  const agoMs = Date.now() - seenAtMs;
  const ago = agoMs < 1000 ? 'now' : `${formatSeconds(agoMs / 1000)} ago`;
  const seen = stopping ? `stopped ${ago}` : agoMs > silentMs ? `silent, ${ago}` : ago;
  const numbers = stats
    ? [
        formatSeconds(stats.uptime),
        String(stats.tasks.running),
        String(stats.tasks.queued),
        formatBytes(stats.rss),
        formatLoad(stats),
      ]
    : ['?', '?', '?', '?', '?'];
  return [hostId, bootId, ...numbers, seen];
}

function formatLoad({ loadAverage: [load] }: HostStats): string {
  return typeof load === 'number' ? load.toFixed(2) : '?';
}

export function asDocument({ hostId, bootId, stats, seenAtMs, stopping }: HostSeen): object {
  return { hostId, bootId, stopping, seenAt: new Date(seenAtMs).toISOString(), stats: stats ?? null };
}
