/** The one line that changes while something goes on (terminal), or lines now and then (anything else). */
import type { Context } from './context.ts';
import { widthOf } from './io.ts';
import { percentOf, RateMeter, renderProgressBar, renderProgressText } from './progress-bar.ts';
import { printable } from './text.ts';

/** Between two lines where there is no terminal. */
const lineIntervalMs = 5000;

export interface Sight {
  readonly name: string;
  /** What it is doing: a new line tells of each change. */
  readonly what: string;
  /** `total` 0: not known. */
  readonly progress: { done: number; total: number; unit: string } | undefined;
}

export class ProgressLine {
  readonly #context: Context;
  readonly #meter = new RateMeter();
  #shown = false;
  #lastLineMs = Number.NEGATIVE_INFINITY;
  #lastWhat = '';

  constructor(context: Context) {
    this.#context = context;
  }

  show({ name, what, progress }: Sight): void {
    if (this.#context.options.quiet) return;
    const nowMs = performance.now();
    if (progress) this.#meter.add(nowMs, progress.done);
    const label = `${name} ${what}`;
    const view = progress && { label, ...progress, rate: this.#meter.perSecond };
    const width = widthOf(this.#context.io.stderr);
    if (width !== undefined) {
      // one column stays free: a full line makes some terminals wrap
      const text = view ? renderProgressBar(view, width - 1) : printable(label).slice(0, width - 1);
      this.#context.io.stderr.write(`\r\x1b[K${text}`);
      this.#shown = true;
      return;
    }
    const complete = progress !== undefined && percentOf(progress.done, progress.total) === 100;
    if (what === this.#lastWhat && nowMs - this.#lastLineMs < lineIntervalMs && !complete) return;
    [this.#lastLineMs, this.#lastWhat] = [nowMs, what];
    this.#context.note(view ? renderProgressText(view) : label);
  }

  /** Leaves the line free for what comes next. */
  clear(): void {
    if (this.#shown) this.#context.io.stderr.write('\r\x1b[K');
    this.#shown = false;
  }
}
