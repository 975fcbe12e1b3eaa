/** What Prometheus is told. Names and labels are part of what users build on: docs/monitoring.md lists them. */
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import { eventNames, type Happening } from '../../schemas/events.ts';
import { isEnd, type Task } from '../../schemas/task.ts';
import { CopyBytes } from './copy-bytes.ts';
import { watchHost } from './host-metrics.ts';
import type { MonitoredHost } from './monitored-host.ts';

/** The method of requests that name no verb of this host: whatever a caller sends, labels are bounded. */
const noMethod = '_OTHER';

/** Gauges of prom-client with the names of counters, which Prometheus' own check refuses. */
const misnamed = ['handles', 'requests', 'resources'].map((what) => `nodejs_active_${what}_total`);

const callSeconds = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];
const taskSeconds = [0.1, 0.5, 1, 5, 10, 60, 300, 1800, 7200, 43_200];

export class Metrics {
  readonly #registry = new Registry();
  readonly #calls: Counter;
  readonly #callDuration: Histogram;
  readonly #tasksEnded: Counter;
  readonly #taskDuration: Histogram;
  readonly #events: Counter;
  readonly #copies: CopyBytes;
  readonly #byMethod = new Map<string, CallMetrics>();

  constructor(host: MonitoredHost) {
    const registers = [this.#registry];
    this.#calls = new Counter({
      name: 'hostbus_calls_total',
      help: 'Calls answered, refused ones and notifications included, by verb; outcome is "ok" or the name of the error.',
      labelNames: ['method', 'outcome'],
      registers,
    });
    this.#callDuration = new Histogram({
      name: 'hostbus_call_duration_seconds',
      help: 'From a request to its answer: waiting in the lane included, what a task does after an early answer not.',
      labelNames: ['method'],
      buckets: callSeconds,
      registers,
    });
    this.#tasksEnded = new Counter({
      name: 'hostbus_tasks_ended_total',
      help: 'Tasks that have ended, queries aside, by verb and state at the end.',
      labelNames: ['method', 'state'],
      registers,
    });
    this.#taskDuration = new Histogram({
      name: 'hostbus_task_duration_seconds',
      help: 'From the acceptance of a task to its end, queries aside.',
      labelNames: ['method'],
      buckets: taskSeconds,
      registers,
    });
    this.#events = new Counter({
      name: 'hostbus_events_total',
      help: 'Events by kind and name, whether they have left yet or not.',
      labelNames: ['kind', 'event'],
      registers,
    });
    this.#copies = new CopyBytes(this.#registry, host.verbs());
    watchHost(this.#registry, host);
    collectDefaultMetrics({ register: this.#registry });
    for (const name of misnamed) this.#registry.removeSingleMetric(name);
    this.#startAtZero(host);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** @param method - undefined: the request names no verb of this host */
  callsOf(method = noMethod): CallMetrics {
    let calls = this.#byMethod.get(method);
    if (calls === undefined) {
      calls = new CallMetrics(method, this.#calls, this.#callDuration);
      this.#byMethod.set(method, calls);
    }
    return calls;
  }

  happened({ kind, event, data }: Happening): void {
    this.#events.inc({ kind, event });
    if (kind !== 'task') return;
    const task = data as Task;
    this.#copies.happened(task);
    if (!isEnd(event)) return;
    const { method, state, createdAt, finishedAt = createdAt } = task;
    this.#tasksEnded.inc({ method, state });
    this.#taskDuration.observe(
      { method },
      Math.max(0, Date.parse(finishedAt) - Date.parse(createdAt)) / 1000,
    );
  }

  /** An alert on an increase misses the first one of a series that begins with it. */
  #startAtZero(host: MonitoredHost): void {
    for (const { name: method } of host.verbs()) this.#calls.inc({ method, outcome: 'InternalError' }, 0);
    for (const [kind, events] of Object.entries(eventNames)) {
      for (const event of events) this.#events.inc({ kind, event }, 0);
    }
  }
}

/** The series of one verb, looked up once: this is on the way of every call. */
export class CallMetrics {
  readonly #method: string;
  readonly #calls: Counter;
  readonly #byOutcome = new Map<string, Counter.Internal>();
  readonly #duration: Histogram.Internal<string>;

  constructor(method: string, calls: Counter, duration: Histogram) {
    this.#method = method;
    this.#calls = calls;
    this.#duration = duration.labels(method);
  }

  /** @param outcome - "ok", or the name of the error */
  answered(outcome: string, seconds: number): void {
    let count = this.#byOutcome.get(outcome);
    if (count === undefined) {
      count = this.#calls.labels(this.#method, outcome);
      this.#byOutcome.set(outcome, count);
    }
    count.inc();
    this.#duration.observe(seconds);
  }
}
