/** Lanes: how many tasks of a sort may run at once, and whose turn it is. */
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

/**
 * Users take turns, however many tasks each has waiting; the tasks of one user run in the order of their coming. As start-time
 * fair queueing does it: a task's turn is one after its user's last, but never before the turn that has come.
 */
class Lane {
  readonly queue: PQueue;
  #turn = 0;
  readonly #lastTurns = new Map<string | undefined, number>();

  constructor(concurrency: number) {
    this.queue = new PQueue({ concurrency });
  }

  add(user: string | undefined, work: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const turn = Math.max(this.#turn, this.#lastTurns.get(user) ?? 0) + 1;
    this.#lastTurns.set(user, turn);
    const run = () => {
      this.#turn = Math.max(this.#turn, turn);
      return work();
    };
    return this.queue.add(run, { signal, priority: -turn });
  }
}

export class Lanes {
  readonly #limits: LaneLimits;
  readonly #lanes = new Map<string, Lane>();

  constructor(limits: LaneLimits) {
    this.#limits = limits;
  }

  /**
   * Runs `work` when the lane has room; at once in lanes without a limit.
   * `work` must not reject: it settles only once whatever it started has stopped, since its end frees the slot.
   * @param user - whose turn it takes
   * @returns takes it out of the lane again: while it waits, and it never runs; once it runs, and its slot is free although it goes on
   */
  run(lane: LaneName, key: string, user: string | undefined, work: () => Promise<void>): () => void {
    if (lane === 'memory' || lane === 'wait') {
      void work();
      return () => {};
    }
    const name = `${lane}:${key}`;
    let used = this.#lanes.get(name);
    if (used === undefined) {
      used = new Lane(lane === 'gluster' ? glusterLimit : this.#limits[lane]);
      this.#lanes.set(name, used);
    }
    const { queue } = used;
    const leaving = new AbortController();
    const settled = () => {
      // An idle lane is dropped, so that keys which callers made up do not pile up.
      if (queue.pending === 0 && queue.size === 0 && this.#lanes.get(name)?.queue === queue)
        this.#lanes.delete(name);
    };
    void used.add(user, work, leaving.signal).then(settled, settled);
    return () => leaving.abort();
  }
}
