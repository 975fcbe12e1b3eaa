/** Work on file systems that may hang: waited for within a limit, and never more than one at a time in the same place. */
import { withTimeLimit } from './time-limit.ts';

interface Pending<T> {
  readonly promise: Promise<T>;
  readonly startedMs: number;
  readonly since: Date;
}

/** The work goes on, but nobody waits for it any more. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** When the work began. */
  readonly since: Date;

  constructor(since: Date) {
    super(`no answer since ${since.toISOString()}`);
    this.since = since;
  }
}

/** So many places may hang at once before no further one is tried: each holds a thread of the pool until the kernel lets go of it. */
const maxLate = 32;

/**
 * A system call that hangs cannot be stopped. So there is one piece of work for each place, which all who want it share, and
 * while it is late everybody is told so at once.
 */
export class LimitedWork<T> {
  readonly #limitMs: number;
  readonly #ended: (place: string) => void;
  readonly #pending = new Map<string, Pending<T>>();

  /** @param ended - told when work that was late has come to its end */
  constructor(limitMs: number, ended: (place: string) => void = () => {}) {
    this.#limitMs = limitMs;
    this.#ended = ended;
  }

  /**
   * Joins the work that is under way in that place, or starts it.
   *
   * @throws {NoAnswer} when it takes longer than the limit; what the work throws
   */
  async run(place: string, start: () => Promise<T>): Promise<T> {
    const { promise, startedMs, since } = this.#pending.get(place) ?? this.#start(place, start);
    const leftMs = startedMs + this.#limitMs - performance.now();
    if (leftMs <= 0) throw new NoAnswer(since);
    return withTimeLimit(promise, leftMs, () => new NoAnswer(since));
  }

  /** Since when work in that place has been under way, if that is longer than the limit. */
  lateSince(place: string): Date | undefined {
    const pending = this.#pending.get(place);
    return pending !== undefined && this.#isLate(pending) ? pending.since : undefined;
  }

  #start(place: string, start: () => Promise<T>): Pending<T> {
    const late = [...this.#pending.values()].filter((other) => this.#isLate(other));
    const [oldest] = late;
    if (oldest !== undefined && late.length >= maxLate) throw new NoAnswer(oldest.since);
    const pending = { promise: start(), startedMs: performance.now(), since: new Date() };
    this.#pending.set(place, pending);
    const end = () => {
      this.#pending.delete(place);
      if (this.#isLate(pending)) this.#ended(place);
    };
    pending.promise.then(end, end);
    return pending;
  }

  #isLate({ startedMs }: Pending<T>): boolean {
    return performance.now() - startedMs >= this.#limitMs;
  }
}
