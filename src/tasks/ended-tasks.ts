/** Records of tasks that have ended, for as long as they are kept. */
import type { LiveTask } from './live-task.ts';

export interface EndedTasksOptions {
  /** How long the record of an ended task stays, in ms. */
  readonly retentionMs: number;
  /** How many records of ended tasks stay at most; the oldest go first. */
  readonly retainedMax: number;
  readonly onForget: (task: LiveTask) => void;
}

/** Node's timers hold 31 bits of milliseconds; a longer retention is looked at again then. */
const longestTimerMs = 2 ** 31 - 1;

export class EndedTasks {
  readonly #options: EndedTasksOptions;
  readonly #byId = new Map<string, LiveTask>();
  /**
   * In the order of their ends, from `#head` on, with some that are no longer kept. The map has that order too, but to find its
   * first entry V8 passes over all that were deleted before it.
   */
  #order: LiveTask[] = [];
  #head = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: EndedTasksOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#byId.size;
  }

  find(taskId: string): LiveTask | undefined {
    return this.#byId.get(taskId);
  }

  add(task: LiveTask): void {
    this.#byId.set(task.taskId, task);
    this.#order.push(task);
    while (this.size > this.#options.retainedMax) this.#forgetOldest();
    if (this.#order.length > 2 * this.size + 1024) this.#compact();
    this.#schedule();
  }

  forget(task: LiveTask): void {
    this.#byId.delete(task.taskId);
    this.#options.onForget(task);
  }

  #oldest(): LiveTask | undefined {
    for (; this.#head < this.#order.length; this.#head += 1) {
      const task = this.#order[this.#head];
      if (task !== undefined && this.#byId.get(task.taskId) === task) return task;
    }
    return undefined;
  }

  #forgetOldest(): void {
    const oldest = this.#oldest();
    if (oldest !== undefined) this.forget(oldest);
  }

  #compact(): void {
    this.#order = this.#order.slice(this.#head).filter((task) => this.#byId.get(task.taskId) === task);
    this.#head = 0;
  }

  #schedule(): void {
    if (this.#timer !== undefined) return;
    const oldest = this.#oldest();
    if (oldest === undefined) return;
    const dueInMs = oldest.endedAtMs + this.#options.retentionMs - performance.now();
    this.#timer = setTimeout(() => this.#forgetOverdue(), Math.min(Math.max(dueInMs, 0) + 1, longestTimerMs));
    this.#timer.unref();
  }

  #forgetOverdue(): void {
    this.#timer = undefined;
    const limitMs = performance.now() - this.#options.retentionMs;
    for (let oldest = this.#oldest(); oldest !== undefined; oldest = this.#oldest()) {
      if (oldest.endedAtMs > limitMs) break;
      this.forget(oldest);
    }
    this.#compact();
    this.#schedule();
  }
}
