/** The end of somebody's patience: a time-out, a signal, or neither. */
import type { WaitOptions } from './types.ts';

export class Deadline {
  readonly #error: (timeoutMs: number) => Error;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #atMs: number;

  /** @param error - what is thrown when the time is over */
  constructor(
    error: (timeoutMs: number) => Error,
    { timeout = Number.POSITIVE_INFINITY, signal }: WaitOptions,
  ) {
    this.#error = error;
    this.#timeoutMs = timeout;
    this.#signal = signal;
    this.#atMs = performance.now() + timeout;
  }

  leftMs(): number {
    return Math.max(0, this.#atMs - performance.now());
  }

  check(): void {
    this.#signal?.throwIfAborted();
    if (performance.now() >= this.#atMs) throw this.#error(this.#timeoutMs);
  }

  /** The work's outcome, or the signal's reason if that comes first. */
  async orAbort<T>(work: Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return work;
    signal.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort);
    try {
      return await Promise.race([work, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
      work.catch(() => {});
    }
  }
}
