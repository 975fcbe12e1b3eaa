/** Lanes: how many tasks of a sort may run at once. */
import PQueue from 'p-queue';
import type { LaneName } from '../../schemas/verb.ts';

/** Concurrency of each limited lane, for each key (storage domain) of it. */
export interface LaneLimits {
  readonly read: number;
  readonly change: number;
  readonly copy: number;
}

/** Gluster refuses a change while another one runs; more than one at a time would only fight for its lock. */
const glusterLimit = 1;

export class Lanes {
  readonly #limits: LaneLimits;
  readonly #queues = new Map<string, PQueue>();

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /**
   * Runs `work` when the lane has room; at once in lanes without a limit.
   * `work` must not reject: it settles only once whatever it started has stopped, since its end frees the slot.
   * @returns takes it out of the lane again: while it waits, and it never runs; once it runs, and its slot is free although it goes on
   */
  run(lane: LaneName, key: string, work: () => Promise<void>): () => void {
    if (lane === 'memory' || lane === 'wait') {
      void work();
      return () => {};
    }
    const name = `${lane}:${key}`;
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new PQueue({ concurrency: lane === 'gluster' ? glusterLimit : this.#limits[lane] });
      this.#queues.set(name, queue);
    }
    const used = queue;
    const leaving = new AbortController();
    const settled = () => {
      // An idle queue is dropped, so that keys which callers made up do not pile up.
      if (used.pending === 0 && used.size === 0 && this.#queues.get(name) === used) this.#queues.delete(name);
    };
    void used.add(work, { signal: leaving.signal }).then(settled, settled);
    return () => leaving.abort();
  }
}
