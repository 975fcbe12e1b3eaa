/** What `hostbus top` knows: hosts, the tasks that they have under way, the last events. */
import type { HostStats } from '../../../schemas/host.ts';
import type { Task } from '../../../schemas/task.ts';
import type { HostEvent } from '../../client/types.ts';
import { hasEnded } from '../follow.ts';
import { type HostSeen, remember } from '../hosts.ts';
import { member, textMember } from '../json.ts';
import { RateMeter } from '../progress-bar.ts';

const eventsKept = 200;
const endedKept = 2000;

export interface TaskRow {
  readonly task: Task;
  readonly meter: RateMeter;
}

export class View {
  readonly hosts = new Map<string, HostSeen>();
  /** Queued or running, by host and ID. */
  readonly tasks = new Map<string, TaskRow>();
  /** The last ones that are more than signs of life, oldest first. */
  readonly events: HostEvent[] = [];
  readonly #sequences = new Map<string, { bootId: string; sequence: number }>();
  /** When the tasks that ended lately were made: an answer may tell of them later than the event of their end. */
  readonly #ended = new Map<string, string>();

  /** @returns whether events of this host were missed, or it is unknown: it should be asked */
  take(event: HostEvent): boolean {
    const { hostId, bootId, sequence, kind } = event;
    const before = this.#sequences.get(hostId);
    this.#sequences.set(hostId, { bootId, sequence });
    if (before !== undefined && before.bootId !== bootId) this.#forgetTasks(hostId);
    if (kind === 'host') remember(this.hosts, event);
    if (kind === 'host' && event.event === 'stopping') this.#forgetTasks(hostId);
    if (kind === 'task' && isTask(event.data)) this.#see({ ...event.data, hostId });
    if (event.event !== 'heartbeat' && event.event !== 'progress') this.events.push(event);
    if (this.events.length > eventsKept) this.events.shift();
    return before?.bootId !== bootId || sequence !== before.sequence + 1;
  }

  /** What a host answered when it was asked. */
  answered(hostId: string, bootId: string, stats: HostStats, tasks: readonly Task[]): void {
    this.hosts.set(hostId, { hostId, bootId, stats, seenAtMs: Date.now(), stopping: false });
    const named = new Set(tasks.map(({ taskId }) => keyOf(hostId, taskId)));
    for (const [key, { task }] of this.tasks)
      if (task.hostId === hostId && !named.has(key)) this.tasks.delete(key);
    for (const task of tasks) {
      const ended = this.#ended.get(keyOf(hostId, task.taskId));
      if (isTask(task) && (ended === undefined || ended < task.createdAt)) this.#see({ ...task, hostId });
    }
  }

  #see(task: Task): void {
    const key = keyOf(task.hostId, task.taskId);
    if (hasEnded(task)) {
      this.tasks.delete(key);
      this.#ended.set(key, task.createdAt);
      const [oldest] = this.#ended.keys();
      if (this.#ended.size > endedKept && oldest !== undefined) this.#ended.delete(oldest);
      return;
    }
    const before = this.tasks.get(key);
    const meter = before?.task.createdAt === task.createdAt ? before.meter : new RateMeter();
    if (task.progress) meter.add(performance.now(), task.progress.done);
    this.tasks.set(key, { task, meter });
  }

  #forgetTasks(hostId: string): void {
    for (const [key, { task }] of this.tasks) if (task.hostId === hostId) this.tasks.delete(key);
  }
}

function keyOf(hostId: string, taskId: string): string {
  return `${hostId}/${taskId}`;
}

/** Other versions, and others who may write events, send what they like. */
function isTask(data: unknown): data is Task {
  const texts = ['taskId', 'method', 'state', 'createdAt'].every(
    (key) => textMember(data, key) !== undefined,
  );
  const progress = member(data, 'progress');
  const numbers = ['done', 'total'].every((key) => typeof member(progress, key) === 'number');
  const phase = member(data, 'phase');
  return (
    texts &&
    (phase === undefined || typeof phase === 'string') &&
    (progress === undefined || (numbers && typeof member(progress, 'unit') === 'string'))
  );
}
