/** One task, from its acceptance to the end of its record. */
import type { Logger } from 'pino';
import type { HostbusError } from '../../schemas/errors.ts';
import type { Task, TaskState } from '../../schemas/task.ts';
import type { LaneName, Subject } from '../../schemas/verb.ts';
import { isoTime } from '../lib/iso-time.ts';
import type { TaskContext } from './task-context.ts';

/** What somebody asked for, checked and ready to run. */
export interface Call {
  readonly taskId: string;
  readonly method: string;
  readonly query: boolean;
  readonly cancellable: boolean;
  readonly lane: LaneName;
  readonly laneKey?: string | undefined;
  readonly subject?: Subject | undefined;
  readonly user?: string | undefined;
  readonly flowId?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly run: (task: TaskContext) => unknown;
}

/** What a task needs of the table that holds it. */
export interface TaskHome {
  readonly hostId: string;
  readonly bootId: string;
  readonly log: Logger;
  changed(task: LiveTask, what: 'started' | 'progress' | 'answered'): void;
}

/** At most two progress events a second. */
const progressIntervalMs = 500;

/**
 * Invariants: `state` only moves queued → running → (succeeded | failed | cancelled), or queued → cancelled;
 * `outcome` settles exactly once, with the early answer or with the end, whichever is first.
 */
export class LiveTask implements TaskContext {
  readonly call: Call;
  /** Order of acceptance within one boot. */
  readonly sequence: number;
  /** The answer's result, or what the task failed with. */
  readonly outcome: Promise<unknown>;
  state: TaskState = 'queued';
  /** Takes it out of its lane: while it is queued, so that it never runs; while it runs, so that its place is free. */
  leaveLane: () => void = () => {};
  /** `performance.now()` at the end: retention is not moved by a changed clock. */
  endedAtMs = 0;
  readonly #home: TaskHome;
  readonly #createdAt = Date.now();
  #startedAt = 0;
  #finishedAt = 0;
  #outcomeSettled = false;
  #answered = false;
  #cancelling = false;
  #progress: { done: number; total: number; unit: string } | undefined;
  #phase: string | undefined;
  #result: unknown;
  #error: HostbusError | undefined;
  #settle: { resolve(value: unknown): void; reject(reason: unknown): void };
  #abort: AbortController | undefined;
  #log: Logger | undefined;
  #progressTimer: NodeJS.Timeout | undefined;
  #progressEmittedAtMs = Number.NEGATIVE_INFINITY;
  #progressPending = false;

  constructor(call: Call, sequence: number, home: TaskHome) {
    this.call = call;
    this.sequence = sequence;
    this.#home = home;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.outcome = promise;
    this.#settle = { resolve, reject };
  }

  get taskId(): string {
    return this.call.taskId;
  }
  get user(): string | undefined {
    return this.call.user;
  }
  get flowId(): string | undefined {
    return this.call.flowId;
  }
  get ended(): boolean {
    return this.endedAtMs !== 0;
  }
  get cancelling(): boolean {
    return this.#cancelling;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  get log(): Logger {
    this.#log ??= this.#home.log.child(this.#bindings());
    return this.#log;
  }

  logEnd(): void {
    // A logger of its own would cost more than the line.
    this.#home.log.info(
      { ...this.#bindings(), state: this.state, error: this.#error?.toJSON() },
      'task ended',
    );
  }

  answer(result: unknown): void {
    if (this.#outcomeSettled) return;
    this.#outcomeSettled = true;
    this.#settle.resolve(result);
  }

  progress(done: number, total: number, unit: string): void {
    this.#progress = { done, total, unit };
    this.#news();
  }

  phase(name: string): void {
    this.#phase = name;
    this.#news();
  }

  /** The lane has let it in. */
  start(): void {
    this.state = 'running';
    this.#startedAt = Date.now();
    this.#home.changed(this, 'started');
  }

  /** Its answer has been handed to the broker's connection. */
  markAnswered(): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#home.changed(this, 'answered');
  }

  /** Asks it to stop; whether and when it does is its own affair. */
  requestStop(reason: HostbusError): void {
    if (this.#cancelling) return;
    this.#cancelling = true;
    this.#abort ??= new AbortController();
    this.#abort.abort(reason);
  }

  succeed(result: unknown): void {
    this.#result = result;
    this.#end('succeeded');
    this.answer(result);
  }

  /** Ends it with an error: as `cancelled` where the error is the stop that was asked for. */
  fail(error: HostbusError): void {
    this.#error = error;
    this.#end(error.name === 'Cancelled' ? 'cancelled' : 'failed');
    if (this.#outcomeSettled) return;
    this.#outcomeSettled = true;
    this.#settle.reject(error);
  }

  /** Emits the progress that was held back, so that the last one before the end is not lost. */
  flushProgress(): void {
    clearTimeout(this.#progressTimer);
    this.#progressTimer = undefined;
    if (!this.#progressPending) return;
    this.#progressPending = false;
    this.#progressEmittedAtMs = performance.now();
    this.#home.changed(this, 'progress');
  }

  toJSON(): Task {
    const { call } = this;
    const task: Task = {
      taskId: call.taskId,
      method: call.method,
      state: this.state,
      answered: this.#answered,
      createdAt: isoTime(this.#createdAt),
      cancelling: this.#cancelling,
      hostId: this.#home.hostId,
      bootId: this.#home.bootId,
    };
    if (this.#startedAt !== 0) task.startedAt = isoTime(this.#startedAt);
    if (this.#finishedAt !== 0) task.finishedAt = isoTime(this.#finishedAt);
    if (this.#progress !== undefined) task.progress = this.#progress;
    if (this.#phase !== undefined) task.phase = this.#phase;
    if (call.subject !== undefined) task.subject = call.subject;
    if (this.state === 'succeeded') task.result = this.#result;
    if (this.#error !== undefined) task.error = this.#error.toJSON();
    if (call.user !== undefined) task.user = call.user;
    if (call.flowId !== undefined) task.flowId = call.flowId;
    return task;
  }

  #bindings() {
    const { taskId, method, flowId, traceparent } = this.call;
    return { taskId, method, flowId, traceparent };
  }

  #end(state: TaskState): void {
    // The news before the end goes out while the task still reads as running.
    this.flushProgress();
    this.state = state;
    this.endedAtMs = performance.now();
    this.#finishedAt = Date.now();
  }

  #news(): void {
    if (this.ended) return;
    this.#progressPending = true;
    if (this.#progressTimer !== undefined) return;
    const waitMs = this.#progressEmittedAtMs + progressIntervalMs - performance.now();
    if (waitMs <= 0) {
      this.flushProgress();
    } else {
      this.#progressTimer = setTimeout(() => this.flushProgress(), waitMs);
      this.#progressTimer.unref();
    }
  }
}
