/** A queue between callbacks and an async iterator. */

export class AsyncQueue<T> {
  #items: T[] = [];
  #takers: ((item: T | undefined) => void)[] = [];
  #closed = false;

  get size(): number {
    return this.#items.length;
  }

  get closed(): boolean {
    return this.#closed;
  }

  push(item: T): void {
    if (this.#closed) return;
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  /** Takes are answered with undefined once the queue is empty. */
  close(): void {
    this.#closed = true;
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  /** The next item; undefined when the queue is closed and empty, or after `timeoutMs`. */
  take(timeoutMs?: number): Promise<T | undefined> {
    const item = this.#items.shift();
    if (item !== undefined || this.#closed) return Promise.resolve(item);
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const taker = (taken: T | undefined) => {
        clearTimeout(timer);
        resolve(taken);
      };
      if (timeoutMs !== undefined) {
        timer = setTimeout(() => {
          this.#takers = this.#takers.filter((other) => other !== taker);
          resolve(undefined);
        }, timeoutMs);
      }
      this.#takers.push(taker);
    });
  }
}
