/** What the benchmark `peers` has found, as tables and a plot; in docs/performance.md between its two marks. */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { Cpu, Sample, Samples } from './contender.ts';
import { svgOf } from './plot.ts';
import { median } from './round-trips.ts';

export interface PeersResult {
  readonly rounds: number;
  /** By how many were in flight. */
  readonly calls: Map<number, Samples>;
  /** By how many were outstanding. */
  readonly lasting: Map<number, Samples>;
  /** By how many subscribers there were. */
  readonly events: Map<number, Samples>;
}

const base = 'amqplib echo';
const begin = '<!-- peers: made by npm run bench -- peers ROUNDS --write -->';
const end = '<!-- /peers -->';
const page = new URL('../docs/performance.md', import.meta.url);
const plot = new URL('../docs/performance-peers.svg', import.meta.url);

/** Prints the tables; with `write` it renews the page and the plot too. */
export function writePage(result: PeersResult, write: boolean): void {
  const text = tables(result);
  process.stdout.write(`${text}\n`);
  if (!write) return;
  const old = readFileSync(page, 'utf8');
  const [from, to] = [old.indexOf(begin), old.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no ${begin} before ${end}`);
  writeFileSync(page, `${old.slice(0, from + begin.length)}\n\n${text}\n${old.slice(to)}`);
  writeFileSync(plot, plotOf(result));
}

function tables({ rounds, calls, lasting, events }: PeersResult): string {
  return [
    `Measured with ${rounds} interleaved round${rounds === 1 ? '' : 's'}: ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; server, client and broker on the same machine.`,
    '',
    '![Calls per second and CPU per call, by calls in flight](performance-peers.svg)',
    '',
    'Calls per second; in brackets, × the amqplib echo of the same round:',
    '',
    ratesTable('in flight', calls),
    '',
    'CPU ms a call, of server / client / broker; in brackets, that of the server × the amqplib echo:',
    '',
    cpuTable('in flight', calls),
    '',
    'Tasks that last 1 s, all outstanding at once: how many ended per second, and CPU ms of each, server / client / broker:',
    '',
    ratesTable('outstanding', lasting),
    '',
    cpuTable('outstanding', lasting),
    '',
    'Events delivered per second, to all subscribers together; and CPU ms a delivery, of publisher / subscribers / broker:',
    '',
    ratesTable('subscribers', events),
    '',
    cpuTable('subscribers', events),
    '',
  ].join('\n');
}

function ratesTable(what: string, by: ReadonlyMap<number, Samples>): string {
  return table(what, by, (own, other) => {
    const rate = median(own.map(perSecond)).toLocaleString('en', { maximumFractionDigits: 0 });
    return `${rate} (${ratio(own, other, perSecond)})`;
  });
}

function cpuTable(what: string, by: ReadonlyMap<number, Samples>): string {
  return table(what, by, (own, other) => {
    const ms = (side: keyof Cpu) => median(own.map((sample) => cpuMs(sample, side))).toPrecision(2);
    const times = ratio(own, other, (sample) => cpuMs(sample, 'server'));
    return `${ms('server')} / ${ms('client')} / ${ms('broker')} (${times})`;
  });
}

function table(
  what: string,
  by: ReadonlyMap<number, Samples>,
  cell: (own: readonly Sample[], base: readonly Sample[]) => string,
): string {
  const columns = [...by.values()];
  const names = new Set(columns.flatMap((samples) => [...samples.keys()]));
  const head = ['', ...[...by.keys()].map((value) => `${value.toLocaleString('en')} ${what}`)];
  const rows = [...names].map((name) => [
    name,
    ...columns.map((samples) => {
      const own = samples.get(name);
      return own === undefined ? '—' : cell(own, samples.get(base) ?? []);
    }),
  ]);
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Median of the ratios of each round. */
function ratio(own: readonly Sample[], other: readonly Sample[], of: (sample: Sample) => number): string {
  const ratios = own.map((sample, round) => of(sample) / of(other[round] ?? sample));
  const times = median(ratios);
  // CPU time is counted in ticks of 10 ms: there may have been none.
  return Number.isFinite(times) ? `× ${times.toPrecision(2)}` : '—';
}

function perSecond({ count, seconds }: Sample): number {
  return count / seconds;
}

function cpuMs({ count, cpu }: Sample, side: keyof Cpu): number {
  return (cpu[side] / count) * 1000;
}

function plotOf({ calls }: PeersResult): string {
  const names = [...([...calls.values()][0]?.keys() ?? [])];
  const chart = (title: string, of: (sample: Sample) => number) => ({
    title,
    xLabel: 'calls in flight',
    series: names.map((name) => ({
      name,
      points: [...calls].map(([x, samples]) => ({ x, y: median((samples.get(name) ?? []).map(of)) })),
    })),
  });
  return svgOf([
    chart('Calls per second', perSecond),
    chart('CPU ms a call: server, client, broker', (sample) => {
      return cpuMs(sample, 'server') + cpuMs(sample, 'client') + cpuMs(sample, 'broker');
    }),
  ]);
}
