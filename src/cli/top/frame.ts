/** One picture of `hostbus top`: lines that fit the terminal, whatever its size. */
import { formatSeconds } from '../../lib/units.ts';
import { eventWordsOf } from '../events.ts';
import { asRow, columns, type HostSeen, silentMs } from '../hosts.ts';
import type { Paint } from '../io.ts';
import { renderProgressBar } from '../progress-bar.ts';
import { renderTable } from '../table.ts';
import { stateOf } from '../task.ts';
import { pad, printable, truncate } from '../text.ts';
import type { TaskRow, View } from './view.ts';

export const sorts = ['host', 'load', 'tasks'] as const;
export type Sort = (typeof sorts)[number];

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface Look {
  readonly sort: Sort;
  /** Lines of the list that are scrolled past. */
  readonly offset: number;
  /** What is listed first, and scrolled. */
  readonly list: 'hosts' | 'tasks';
  /** How long the broker has been away. */
  readonly awayMs: number | undefined;
}

export interface Line {
  readonly text: string;
  readonly style?: Paint;
}

/** What each part gets of the lines when there are not enough. */
const shares = [0.4, 0.35, 0.25] as const;

/** Leaves room for a bar, amounts, rate and time left on 80 columns. */
const labelShare = 0.3;

/** @returns at most `rows` lines, each at most `columns` wide and fit for a terminal */
export function frame(view: View, size: Size, look: Look): Line[] {
  const width = Math.max(1, size.columns);
  const hosts = hostLines(sortedHosts(view.hosts.values(), look.sort), width);
  const tasks = taskLines([...view.tasks.values()], width);
  const events = view.events.map((event) => eventLine(event, width)).reverse();
  const room = Math.max(0, size.rows - 2);
  const wanted = [hosts.rows.length + 1, tasks.rows.length + 1, events.length + 1];
  const [forHosts = 0, forTasks = 0, forEvents = 0] = divide(room, wanted);
  const offsetOf = (list: Look['list']) => (look.list === list ? look.offset : 0);
  const lines: Line[] = [
    heading(view, look),
    ...part(hosts.title, hosts.rows, forHosts, 'hosts', offsetOf('hosts')),
    ...part(tasks.title, tasks.rows, forTasks, 'tasks', offsetOf('tasks')),
    ...part('LAST EVENTS', events, forEvents, undefined, 0),
  ];
  if (size.rows > 1) {
    while (lines.length < size.rows - 1) lines.push({ text: '' });
    lines.push({ text: `q quit   s sort: ${look.sort}   ↑ ↓ scroll ${look.list}`, style: 'dim' });
  }
  return lines.slice(0, size.rows).map((line) => ({ ...line, text: truncate(line.text, width) }));
}

/** How far down the list can be scrolled. */
export function lastOffset(view: View, { list }: Pick<Look, 'list'>): number {
  return Math.max(0, view[list].size - 1);
}

function heading(view: View, { awayMs }: Look): Line {
  const all = [...view.hosts.values()];
  const gone = all.filter((host) => !isThere(host)).length;
  const count = (state: string) => [...view.tasks.values()].filter(({ task }) => task.state === state).length;
  const facts = [
    `${all.length} host${all.length === 1 ? '' : 's'}${gone > 0 ? `, ${gone} of them silent or stopped` : ''}`,
    `tasks: ${count('running')} running, ${count('queued')} queued`,
    new Date().toISOString().slice(11, 19),
  ];
  return awayMs === undefined
    ? { text: `hostbus top   ${facts.join('   ')}`, style: 'bold' }
    : {
        text: `The broker is away since ${formatSeconds(awayMs / 1000)}; trying again …   ${facts.join('   ')}`,
        style: 'red',
      };
}

function isThere({ stopping, seenAtMs }: HostSeen): boolean {
  return !stopping && Date.now() - seenAtMs <= silentMs;
}

export function sortedHosts(hosts: Iterable<HostSeen>, sort: Sort): HostSeen[] {
  const weight = ({ stats }: HostSeen) =>
    sort === 'load' ? (stats?.loadAverage[0] ?? -1) : sort === 'tasks' ? (stats?.tasks.running ?? -1) : 0;
  const byId = new Intl.Collator('en', { numeric: true });
  return [...hosts].sort((a, b) => weight(b) - weight(a) || byId.compare(a.hostId, b.hostId));
}

interface Lines {
  readonly title: string;
  readonly rows: readonly string[];
}

function hostLines(hosts: readonly HostSeen[], width: number): Lines {
  // Without the boot, which says little to people.
  const shown = <T>(cells: readonly T[]) => cells.filter((_, at) => at !== 1);
  const [title = '', ...rows] = renderTable(
    shown(columns),
    hosts.map((host) => shown(asRow(host))),
    width,
  );
  return { title, rows };
}

function taskLines(tasks: readonly TaskRow[], width: number): Lines {
  const rank = ({ task }: TaskRow) => `${task.state === 'running' ? 0 : 1}${task.createdAt}${task.taskId}`;
  const ordered = [...tasks].sort((a, b) => (rank(a) < rank(b) ? -1 : 1));
  return { title: 'TASKS', rows: ordered.map((row) => taskLine(row, width)) };
}

/** With progress: labels of one width, so that the bars stand below each other. */
function taskLine({ task, meter }: TaskRow, width: number): string {
  const name = `${task.hostId} ${task.taskId} ${task.method}`;
  if (task.progress && task.state === 'running') {
    const what = task.cancelling ? ' cancelling' : task.phase === undefined ? '' : ` ${task.phase}`;
    const labelWidth = Math.max(8, Math.floor(width * labelShare));
    const label = pad(truncate(printable(name + what), labelWidth), labelWidth);
    return renderProgressBar({ label, ...task.progress, rate: meter.perSecond }, width);
  }
  const age = formatSeconds((Date.now() - Date.parse(task.createdAt)) / 1000);
  return `${printable(`${name} ${stateOf(task)}`)}  ${age}`;
}

function eventLine(event: Parameters<typeof eventWordsOf>[0], width: number): string {
  const { time, words, summary } = eventWordsOf(event);
  return truncate(`${time} ${words}  ${summary}`, width);
}

/** Lines for each part: its share, and what others leave over. A part that has no line beside its title gets none. */
function divide(room: number, wanted: readonly number[]): number[] {
  const given = wanted.map((want, at) => Math.min(want, Math.floor(room * (shares[at] ?? 0))));
  let spare = room - given.reduce((sum, lines) => sum + lines, 0);
  for (const [at, want] of wanted.entries()) {
    const more = Math.min(spare, want - (given[at] ?? 0));
    given[at] = (given[at] ?? 0) + more;
    spare -= more;
  }
  return given.map((lines, at) => (lines < 2 && (wanted[at] ?? 0) > 1 ? 0 : lines));
}

/** A title and rows; where some are left out the last line says how many, if they have a name. */
function part(
  title: string,
  rows: readonly string[],
  room: number,
  name: string | undefined,
  offset: number,
): Line[] {
  if (room === 0) return [];
  const head: Line = { text: title, style: 'cyan' };
  if (rows.length + 1 <= room && offset === 0) return [head, ...rows.map((text) => ({ text }))];
  const from = Math.min(offset, Math.max(0, rows.length - 1));
  const shown = rows.slice(from, from + room - (name === undefined ? 1 : 2)).map((text) => ({ text }));
  if (name === undefined) return [head, ...shown];
  const below = rows.length - from - shown.length;
  const left = [from > 0 ? `${from} above` : '', below > 0 ? `${below} below` : ''].filter(
    (text) => text !== '',
  );
  return [head, ...shown, { text: `… ${left.join(', ')}: of ${rows.length} ${name}`, style: 'dim' }];
}
