/** One task on one host, from the caller's side. */
import type { Task, TaskState } from '../../schemas/task.ts';
import type { Calls } from './calls.ts';
import { Deadline } from './deadline.ts';
import { CallTimeout } from './errors.ts';
import { follow, patiently, type Subscribe } from './follow.ts';
import type { CallOptions, TaskHandle, WaitOptions } from './types.ts';

/** How long one waitTask lasts: a host that was restarted in between is noticed after that. */
const waitChunkMs = 10_000;
const answerMarginMs = 5_000;
/** Hosts tell of a task from memory: an answer that has not come by then was lost, and whoever follows asks again. */
const askTimeoutMs = 5_000;

export class RemoteTask implements TaskHandle {
  readonly taskId: string;
  readonly #hostId: string;
  readonly #calls: Calls;
  readonly #subscribe: Subscribe;

  constructor(hostId: string, taskId: string, calls: Calls, subscribe: Subscribe) {
    this.#hostId = hostId;
    this.taskId = taskId;
    this.#calls = calls;
    this.#subscribe = subscribe;
  }

  status(): Promise<Task> {
    return this.#status();
  }

  async wait(options: WaitOptions = {}): Promise<Task> {
    const deadline = this.#deadline(options);
    for (;;) {
      const timeout = Math.min(waitChunkMs, deadline.leftMs());
      const task = await deadline.orAbort(
        patiently(deadline, async () => {
          const params = { taskId: this.taskId, timeout: Math.ceil(timeout) };
          const patience = { timeout: timeout + answerMarginMs };
          return (await this.#calls.call(this.#hostId, 'waitTask', params, patience)) as Task;
        }),
      );
      if (isEnded(task)) return task;
      deadline.check();
    }
  }

  async cancel(): Promise<{ taskId: string; state: TaskState }> {
    const answer = await this.#calls.call(this.#hostId, 'cancelTask', { taskId: this.taskId });
    return answer as { taskId: string; state: TaskState };
  }

  follow(options: WaitOptions = {}): AsyncGenerator<Task> {
    const followed = {
      hostId: this.#hostId,
      kind: 'task',
      id: this.taskId,
      ask: () => this.#status({ timeout: askTimeoutMs }),
      isEnded,
      bootOf: (task: Task) => task.bootId,
    } as const;
    return follow(followed, this.#subscribe, this.#deadline(options));
  }

  async #status(options?: CallOptions): Promise<Task> {
    const params = { taskId: this.taskId };
    return (await this.#calls.call(this.#hostId, 'getTaskStatus', params, options)) as Task;
  }

  #deadline(options: WaitOptions): Deadline {
    return new Deadline((timeoutMs) => new CallTimeout(this.taskId, timeoutMs), options);
  }
}

function isEnded(task: Task): boolean {
  return task.finishedAt !== undefined;
}
