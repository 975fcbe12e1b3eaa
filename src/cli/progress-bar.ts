/** How far a task is, as one line: share, amount, rate, time left. */

import { formatBytes, formatCount, formatQuantity, formatSeconds } from '../lib/units.ts';
import { pad, printable, textWidth, truncate } from './text.ts';

export interface ProgressView {
  /** What is going on: the task's ID, its phase. */
  readonly label: string;
  readonly done: number;
  /** 0: unknown. */
  readonly total: number;
  readonly unit: string;
  /** Units a second, where known. */
  readonly rate: number | undefined;
}

/** Measures a rate over the last seconds, so that it follows the present and does not jump. */
export class RateMeter {
  readonly #windowMs: number;
  #samples: { atMs: number; done: number }[] = [];

  constructor(windowMs = 8000) {
    this.#windowMs = windowMs;
  }

  /** @param atMs - of any clock that never runs backwards */
  add(atMs: number, done: number): void {
    const last = this.#samples.at(-1);
    if (last && done < last.done) this.#samples = [];
    this.#samples.push({ atMs, done });
    while (this.#samples.length > 2 && atMs - (this.#samples[0]?.atMs ?? atMs) > this.#windowMs)
      this.#samples.shift();
  }

  /** Units a second; undefined until there are two moments to compare. */
  get perSecond(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (!first || !last || last.atMs <= first.atMs) return undefined;
    return ((last.done - first.done) * 1000) / (last.atMs - first.atMs);
  }
}

/** Share of the whole in percent, 0 to 100; 100 only when all is done. */
export function percentOf(done: number, total: number): number | undefined {
  if (!(total > 0)) return undefined;
  if (done >= total) return 100;
  return Math.min(99, Math.max(0, Math.floor((done / total) * 100)));
}

/** The line without a bar: `copy-42: 45 %, 1.2 GiB of 4 GiB, 310 MiB/s, 9 s left`. */
export function renderProgressText(view: ProgressView): string {
  return `${printable(view.label)}: ${facts(view).join(', ')}`;
}

/** The line with a bar that fills the terminal's width, and never more than it. */
export function renderProgressBar(view: ProgressView, width: number): string {
  const [share, ...rest] = facts(view);
  const percent = percentOf(view.done, view.total);
  const label = truncate(printable(view.label), Math.max(8, Math.floor(width / 3)));
  const tail =
    percent === undefined
      ? [share, ...rest].join('  ')
      : `${pad(share ?? '', 5, 'right')}  ${rest.join('  ')}`;
  const room = Math.min(40, width - textWidth(label) - textWidth(tail) - 6);
  if (percent === undefined || room < 5) return truncate(`${label}  ${tail}`, width);
  const filled = Math.floor((room * percent) / 100);
  return truncate(`${label}  [${'#'.repeat(filled)}${'-'.repeat(room - filled)}] ${tail}`, width);
}

function facts({ done, total, rate, ...view }: ProgressView): string[] {
  const unit = printable(view.unit);
  const percent = percentOf(done, total);
  const words =
    percent === undefined
      ? [formatQuantity(done, unit)]
      : [`${percent} %`, `${formatNumber(done, unit)} of ${formatQuantity(total, unit)}`];
  if (rate !== undefined && rate > 0 && Number.isFinite(rate)) {
    words.push(
      unit === 'bytes'
        ? `${formatBytes(rate)}/s`
        : `${rate < 100 ? Math.round(rate * 10) / 10 : Math.round(rate)} ${unit}/s`,
    );
    if (percent !== undefined && percent < 100) words.push(`${formatSeconds((total - done) / rate)} left`);
  }
  return words;
}

/** Bytes as sizes; other counts without their unit. */
function formatNumber(value: number, unit: string): string {
  return unit === 'bytes' ? formatBytes(value) : formatCount(value);
}
