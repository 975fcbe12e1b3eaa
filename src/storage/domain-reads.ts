/** Looks at the images of one domain: a limited number at once, and none that is waited for once the domain is known to hang. */
export class DomainReads {
  readonly #atOnce: number;
  readonly #waiting: (() => void)[] = [];
  readonly #refusals = new Set<(error: Error) => void>();
  #running = 0;

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** @param work - changes nothing: it may go on when nobody waits for it any more */
  run<T>(work: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#refusals.add(reject);
    const begin = async () => {
      this.#running += 1;
      await work().then(resolve, reject);
      this.#refusals.delete(reject);
      this.#running -= 1;
      this.#waiting.shift()?.();
    };
    if (this.#running < this.#atOnce) void begin();
    else this.#waiting.push(() => void begin());
    return promise;
  }

  /** Ends the waiting. What has begun keeps its place, as it keeps its thread, until its system call returns. */
  refuseAll(error: Error): void {
    for (const refuse of this.#refusals) refuse(error);
    this.#refusals.clear();
    this.#waiting.length = 0;
  }
}
