/** `hostbus events`: what happens, as it happens. */
import type { HostEvent } from '../client/types.ts';
import { formatBytes } from '../lib/units.ts';
import type { Context } from './context.ts';
import { eventKinds, eventWords } from './ids.ts';
import type { Invocation } from './invocation.ts';
import { member, textMember } from './json.ts';
import { percentOf } from './progress-bar.ts';
import { nearest } from './suggest.ts';
import { printable } from './text.ts';

export async function events(context: Context, given: Invocation): Promise<void> {
  const count = given.count('count') ?? Number.POSITIVE_INFINITY;
  const filter = {
    ...one('host', given),
    ...one('kind', given),
    ...one('event', given),
    ...one('id', given),
  };
  warnAbout(context, 'kind', filter.kind, eventKinds);
  warnAbout(context, 'event', filter.event, eventWords);
  await context.withClient(async (client) => {
    const stream = client.events(filter, { signal: context.signal });
    stream.onGap(() => context.note('The connection was lost for a moment: events may have been missed'));
    await context.untilStopped(stream.ready);
    context.note('Listening; Ctrl-C ends it');
    let seen = 0;
    for await (const event of stream) {
      if (context.options.json) context.json(event);
      else context.line(eventLine(context, event));
      seen += 1;
      if (seen >= count) break;
    }
    if (context.signal.aborted) throw context.signal.reason;
  });
}

function one<Name extends string>(name: Name, given: Invocation): { [name in Name]?: string } {
  const value = given.text(name);
  return value === undefined ? {} : ({ [name]: value } as { [name in Name]: string });
}

/** Newer hosts may have more kinds; a typing error would wait for ever. So: said, not refused. */
function warnAbout(
  context: Context,
  what: string,
  given: string | undefined,
  known: readonly string[],
): void {
  if (given === undefined || known.includes(given)) return;
  const meant = nearest(given, known);
  context.note(
    `This version knows no ${what} ${given}${meant === undefined ? `; it knows ${known.join(', ')}` : `; did you mean ${meant}?`}`,
  );
}

/** `12:00:01.123 h1 task progress copy-42  copyImage 45 % of 4 GiB`. */
function eventLine(context: Context, event: HostEvent): string {
  const { time, words, summary } = eventWordsOf(event);
  return `${context.paint('dim', time)} ${words}${summary === '' ? '' : `  ${context.paint('cyan', summary)}`}`;
}

/** An event in words that can be printed: when, what, and what matters most of its data. */
export function eventWordsOf(event: HostEvent): { time: string; words: string; summary: string } {
  const words = [event.hostId, event.kind, event.event, event.id].map((word) => printable(String(word)));
  return {
    time: printable(String(event.time).slice(11, 23)),
    words: words.join(' '),
    summary: printable(summaryOf(event)),
  };
}

/** What matters most of an event's data, in a few words. */
export function summaryOf({ kind, event, data }: HostEvent): string {
  switch (kind) {
    case 'task': {
      const failure = textMember(member(data, 'error'), 'message');
      return [textMember(data, 'method'), shareOf(member(data, 'progress')), failure]
        .filter(Boolean)
        .join(' ');
    }
    case 'image': {
      if (event === 'deleted') return '';
      return [amount(data, 'capacity'), shareOf(member(data, 'copy')), textMember(data, 'message')]
        .filter(Boolean)
        .join(' ');
    }
    case 'domain':
      return [`${amount(data, 'available')} of ${amount(data, 'capacity')} free`, textMember(data, 'message')]
        .filter(Boolean)
        .join(', ');
    case 'operation':
      return [
        textMember(data, 'kind'),
        textMember(data, 'volume'),
        `${String(member(data, 'filesMoved') ?? '?')} files, ${amount(data, 'bytesMoved')} moved`,
        member(data, 'stale') === true ? 'stale' : undefined,
      ]
        .filter(Boolean)
        .join(' ');
    case 'host': {
      if (event === 'started') return `version ${textMember(data, 'version') ?? '?'}`;
      const tasks = member(data, 'tasks');
      return `${String(member(tasks, 'running') ?? '?')} running, ${String(member(tasks, 'queued') ?? '?')} queued, RSS ${amount(data, 'rss')}`;
    }
    default:
      return '';
  }
}

function amount(data: unknown, key: string): string {
  const value = member(data, key);
  return typeof value === 'number' ? formatBytes(value) : '?';
}

function shareOf(progress: unknown): string {
  const [done, total] = [member(progress, 'done'), member(progress, 'total')];
  if (typeof done !== 'number' || typeof total !== 'number') return '';
  const percent = percentOf(done, total);
  if (percent === undefined) return '';
  return `${percent} % of ${member(progress, 'unit') === 'bytes' ? formatBytes(total) : total}`;
}
