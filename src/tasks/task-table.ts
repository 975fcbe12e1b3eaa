/** The task table: which IDs are in use, what ran and how it ended. In memory only; a restart forgets it all. */
import type { Logger } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { Happening } from '../../schemas/events.ts';
import type { EndState, Task, TaskState } from '../../schemas/task.ts';
import { type LaneName, laneNames } from '../../schemas/verb.ts';
import { EndedTasks, type EndedTasksOptions } from './ended-tasks.ts';
import { type LaneLimits, Lanes } from './lanes.ts';
import { type Call, LiveTask, type TaskHome } from './live-task.ts';

export interface TaskTableOptions extends Omit<EndedTasksOptions, 'onForget'> {
  readonly hostId: string;
  readonly bootId: string;
  readonly log: Logger;
  /**
   * At most so many tasks may be queued or running; queries that last have a bound of their own, of the same size. A user who has
   * less than a hundredth of it is let in beyond it.
   */
  readonly max: number;
  readonly lanes: LaneLimits;
  /** Called with each event of kind `task`, in order, after the state that it tells can be read here. */
  readonly emit: (happening: Happening) => void;
}

export interface TaskFilter {
  readonly states?: readonly TaskState[] | undefined;
  readonly methods?: readonly string[] | undefined;
  /** How many at most. */
  readonly limit: number;
  /** Only tasks accepted after this one: `nextAfter` of the page before. */
  readonly after: number;
}

/** How long a refused caller should wait before it tries again. */
const retryAfterMs = 1000;

/**
 * Invariants: an ID is in `#live` exactly while its task is queued or running; `#ended` never holds queries; `#records` holds every live task that is no query and every ended one, in the
 * order of acceptance.
 */
export class TaskTable {
  readonly #options: TaskTableOptions;
  readonly #home: TaskHome;
  readonly #lanes: Lanes;
  readonly #live = new Map<string, LiveTask>();
  readonly #ended: EndedTasks;
  readonly #records = new Map<number, LiveTask>();
  readonly #waiters = new Map<LiveTask, Set<() => void>>();
  /** How many live queries, and other live tasks, each user has. */
  readonly #queriesOf = new Map<string | undefined, number>();
  readonly #tasksOf = new Map<string | undefined, number>();
  #lastSequence = 0;
  #queries = 0;
  #queued = 0;
  #running = 0;
  #accepted = 0;
  #refused = 0;
  #justEnded = new Set<LiveTask>();

  constructor(options: TaskTableOptions) {
    this.#options = options;
    this.#lanes = new Lanes(options.lanes);
    this.#ended = new EndedTasks({
      retentionMs: options.retentionMs,
      retainedMax: options.retainedMax,
      onForget: (task) => this.#records.delete(task.sequence),
    });
    this.#home = {
      hostId: options.hostId,
      bootId: options.bootId,
      log: options.log,
      changed: (task, what) => this.#changed(task, what),
    };
  }

  /**
   * Takes a call in: from now until its end the ID is in use.
   * @throws HostbusError TaskIdInUse or Overloaded; nothing has changed then
   */
  accept(call: Call): LiveTask {
    const holder = this.#live.get(call.taskId);
    if (holder !== undefined) {
      this.#refused += 1;
      throw new HostbusError(
        'TaskIdInUse',
        `Task ID ${JSON.stringify(call.taskId)} is in use by ${holder.call.method}`,
        {
          task: holder.toJSON(),
        },
      );
    }
    const { max } = this.#options;
    // Looks at memory end in the turn in which they came: however many others wait, asking and cancelling always work.
    const bounded = !call.query || call.lane !== 'memory';
    // Nobody can take all the room: when it is full, whoever has next to nothing of it is let in all the same.
    const mine = (call.query ? this.#queriesOf : this.#tasksOf).get(call.user) ?? 0;
    const full = (call.query ? this.#queries : this.#queued + this.#running) >= max;
    if (bounded && full && mine >= max / 100) {
      this.#refused += 1;
      throw new HostbusError('Overloaded', `${max} tasks are queued or running; try again later`, {
        limit: max,
        retryAfter: retryAfterMs,
      });
    }
    this.#lastSequence += 1;
    const task = new LiveTask(call, this.#lastSequence, this.#home);
    this.#live.set(call.taskId, task);
    this.#count(task, 1);
    if (call.query) {
      this.#queries += 1;
    } else {
      this.#accepted += 1;
      this.#queued += 1;
      const earlier = this.#ended.find(call.taskId);
      if (earlier !== undefined) this.#ended.forget(earlier);
      this.#records.set(task.sequence, task);
    }
    task.leaveLane = this.#lanes.run(call.lane, call.laneKey ?? '', call.user, () => this.#run(task));
    return task;
  }

  /**
   * The task that holds the ID, or else the one that held it last.
   * @param asking - the task that asks, which is never the answer
   */
  find(taskId: string, asking?: string): LiveTask | undefined {
    const live = taskId === asking ? undefined : this.#live.get(taskId);
    return live ?? this.#ended.find(taskId);
  }

  /** Tasks other than queries, in the order of acceptance; `nextAfter` is there when there are more. */
  list(filter: TaskFilter): { tasks: Task[]; nextAfter?: number } {
    const tasks: Task[] = [];
    let last = filter.after;
    for (const task of this.#records.values()) {
      if (task.sequence <= filter.after) continue;
      if (filter.states !== undefined && !filter.states.includes(task.state)) continue;
      if (filter.methods !== undefined && !filter.methods.includes(task.call.method)) continue;
      if (tasks.length === filter.limit) return { tasks, nextAfter: last };
      tasks.push(task.toJSON());
      last = task.sequence;
    }
    return { tasks };
  }

  /** Resolves once the task has ended, at the latest after `timeoutMs`, or when `signal` is aborted. */
  whenEnded(task: LiveTask, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (task.ended && !this.#justEnded.has(task)) return Promise.resolve();
    if (timeoutMs === 0 || signal?.aborted === true) return Promise.resolve();
    return new Promise((resolve) => {
      let waiters = this.#waiters.get(task);
      if (waiters === undefined) {
        waiters = new Set();
        this.#waiters.set(task, waiters);
      }
      const mine = waiters;
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        mine.delete(done);
        if (mine.size === 0) this.#waiters.delete(task);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      signal?.addEventListener('abort', done);
      mine.add(done);
    });
  }

  /**
   * Asks a task to stop. One that is still queued ends at once.
   * @throws HostbusError TaskNotFound, TaskEnded, NotCancellable
   */
  cancel(taskId: string, asking?: string): LiveTask {
    const task = this.find(taskId, asking);
    if (task === undefined) throw this.notFound(taskId);
    if (task.ended) {
      throw new HostbusError('TaskEnded', `Task ${JSON.stringify(taskId)} has ended already: ${task.state}`, {
        task: task.toJSON(),
      });
    }
    const reason = new HostbusError('Cancelled', 'The task was cancelled', { taskId });
    if (task.state === 'queued') {
      this.#endQueued(task, reason);
    } else if (task.call.cancellable) {
      task.requestStop(reason);
    } else {
      throw new HostbusError('NotCancellable', `${task.call.method} cannot be stopped once it has begun`, {
        method: task.call.method,
      });
    }
    return task;
  }

  /**
   * Gives a running task's place in its lane to others: it waits for something that may never come. It goes on when that does,
   * and then is one more than the lane's limit.
   */
  stepAside(taskId: string): void {
    const task = this.#live.get(taskId);
    if (task?.state === 'running') task.leaveLane();
  }

  /** Asks every task to stop, the ones that cannot be cancelled by callers too: the daemon is going. */
  stopAll(): void {
    for (const task of [...this.#live.values()]) {
      const reason = new HostbusError('Cancelled', 'The daemon is stopping', { taskId: task.taskId });
      if (task.state === 'queued') this.#endQueued(task, reason);
      else task.requestStop(reason);
    }
  }

  /** Resolves once nothing is queued or running, queries aside, and all ends have been told; at the latest after `timeoutMs`. */
  async whenIdle(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (const task of [...this.#records.values(), ...this.#justEnded]) {
      await this.whenEnded(task, Math.max(0, deadlineMs - performance.now()));
    }
  }

  notFound(taskId: string): HostbusError {
    const { bootId } = this.#options;
    return new HostbusError(
      'TaskNotFound',
      `No task ${JSON.stringify(taskId)}: it never was, has been forgotten, or belonged to an earlier start of the daemon`,
      { taskId, bootId },
    );
  }

  counts(): { queued: number; running: number; retained: number; accepted: number; refused: number } {
    return {
      queued: this.#queued,
      running: this.#running,
      retained: this.#ended.size,
      accepted: this.#accepted,
      refused: this.#refused,
    };
  }

  /** How many are queued and running in each lane, queries too. */
  countsByLane(): Record<LaneName, { queued: number; running: number }> {
    const counts = Object.fromEntries(
      laneNames.map((lane) => [lane, { queued: 0, running: 0 }]),
    ) as ReturnType<TaskTable['countsByLane']>;
    for (const { call, state } of this.#live.values()) {
      if (state === 'queued' || state === 'running') counts[call.lane][state] += 1;
    }
    return counts;
  }

  #count({ call: { query, user } }: LiveTask, step: 1 | -1): void {
    const counts = query ? this.#queriesOf : this.#tasksOf;
    const count = (counts.get(user) ?? 0) + step;
    if (count === 0) counts.delete(user);
    else counts.set(user, count);
  }

  #endQueued(task: LiveTask, reason: HostbusError): void {
    task.leaveLane();
    task.requestStop(reason);
    this.#end(task, () => task.fail(reason));
  }

  async #run(task: LiveTask): Promise<void> {
    if (!task.call.query) {
      this.#queued -= 1;
      this.#running += 1;
    }
    task.start();
    try {
      const returned = task.call.run(task);
      // Most queries answer from memory: they end within the turn in which they came.
      const result = returned instanceof Promise ? await returned : returned;
      this.#end(task, () => task.succeed(result));
    } catch (error) {
      this.#end(task, () => task.fail(this.#asHostbusError(task, error)));
    }
  }

  #asHostbusError(task: LiveTask, error: unknown): HostbusError {
    if (task.cancelling && error instanceof Error && error.name === 'AbortError') {
      return new HostbusError('Cancelled', 'The task was cancelled', { taskId: task.taskId });
    }
    if (error instanceof HostbusError) {
      if (error.cause !== undefined) task.log.warn({ err: error.cause }, error.message);
      return error;
    }
    task.log.error({ err: error }, 'the verb failed unexpectedly');
    return new HostbusError('InternalError', "The daemon made a mistake; the host's log has the details", {
      taskId: task.taskId,
    });
  }

  #end(task: LiveTask, settle: () => void): void {
    const wasRunning = task.state === 'running';
    settle();
    this.#live.delete(task.taskId);
    this.#count(task, -1);
    if (task.call.query) {
      this.#queries -= 1;
    } else {
      if (wasRunning) this.#running -= 1;
      else this.#queued -= 1;
      this.#ended.add(task);
    }
    if (task.call.query && !this.#waiters.has(task)) return;
    this.#justEnded.add(task);
    // The answer is sent by promise callbacks of this turn: by its end, `answered` can be told with the end.
    if (this.#justEnded.size === 1) setImmediate(() => this.#announceEnds());
  }

  /** Tells of ends; always before any other event, so that a new task with the same ID never overtakes. */
  #announceEnds(): void {
    const ended = this.#justEnded;
    this.#justEnded = new Set();
    for (const task of ended) {
      if (!task.call.query) {
        const event = task.state as EndState;
        this.#emit(task, event);
        task.logEnd();
      }
      for (const wake of [...(this.#waiters.get(task) ?? [])]) wake();
    }
  }

  #changed(task: LiveTask, what: 'started' | 'progress' | 'answered'): void {
    if (task.call.query) return;
    if (what === 'answered' && this.#justEnded.has(task)) return; // its end tells it
    // The answer of a batch may come when another task has the ID already, whose events this one would disturb.
    if (what === 'answered' && this.#records.get(task.sequence) !== task) return;
    if (this.#justEnded.size > 0) this.#announceEnds();
    this.#emit(task, what);
  }

  #emit(task: LiveTask, event: 'started' | 'progress' | 'answered' | EndState): void {
    const { taskId, flowId, traceparent } = task.call;
    this.#options.emit({ kind: 'task', event, id: taskId, data: task.toJSON(), flowId, traceparent });
  }
}
