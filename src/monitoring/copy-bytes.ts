/** How much is copied, and still to be: from the progress that copies tell. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Task } from '../../schemas/task.ts';
import type { Verb } from '../../schemas/verb.ts';

export class CopyBytes {
  readonly #copied: Counter;
  /** Methods that copy. */
  readonly #methods: ReadonlySet<string>;
  /** By task ID, of those that run. */
  readonly #progress = new Map<string, { done: number; total: number }>();

  constructor(registry: Registry, verbs: readonly Verb[]) {
    const registers = [registry];
    this.#methods = new Set(verbs.filter(({ lane }) => lane === 'copy').map(({ name }) => name));
    this.#copied = new Counter({
      name: 'hostbus_copied_bytes_total',
      help: 'Bytes of data that copies, imports and conversions have got done, by whatever means.',
      registers,
    });
    const progress = this.#progress;
    new Gauge({
      name: 'hostbus_copy_remaining_bytes',
      help: 'Bytes that the running copies, imports and conversions have still to do.',
      registers,
      collect() {
        this.set([...progress.values()].reduce((sum, { done, total }) => sum + total - done, 0));
      },
    });
  }

  happened({ taskId, method, progress, finishedAt }: Task): void {
    if (progress?.unit !== 'bytes' || !this.#methods.has(method)) return;
    const { done, total } = progress;
    const before = this.#progress.get(taskId);
    // The first one of a copy that goes on tells what was there before.
    if (before !== undefined && done > before.done) this.#copied.inc(done - before.done);
    if (finishedAt === undefined) this.#progress.set(taskId, { done, total });
    else this.#progress.delete(taskId);
  }
}
