/** Looks at every connected domain from time to time, so that what becomes of it is known and told without anybody asking. */
import type { DomainTable } from './domain-table.ts';

export class DomainProber {
  readonly #domains: DomainTable;
  readonly #timer: NodeJS.Timeout;

  /** Starts at once; the first look is due after one interval, since connecting has just taken one. */
  constructor(domains: DomainTable, intervalMs: number) {
    this.#domains = domains;
    this.#timer = setInterval(() => this.#lookAtAll(), intervalMs);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  // Side by side: none waits for another. A domain whose last look has not come back gets no second one.
  #lookAtAll(): void {
    for (const entry of this.#domains.entries()) void this.#domains.look(entry);
  }
}
