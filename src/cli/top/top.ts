/** `hostbus top`: hosts, tasks and events, as they are at this moment. */
import type { Task } from '../../../schemas/task.ts';
import { ConnectionClosed } from '../../client/errors.ts';
import type { Client, EventStream } from '../../client/types.ts';
import { formatSeconds } from '../../lib/units.ts';
import { allPages, ask } from '../ask.ts';
import type { Context } from '../context.ts';
import { Interrupted, UsageError } from '../errors.ts';
import { asDocument, asRow, columns, listenMs } from '../hosts.ts';
import type { Invocation } from '../invocation.ts';
import { progressOf, stateOf } from '../task.ts';
import { frame, type Look, lastOffset, type Sort, sortedHosts, sorts } from './frame.ts';
import { type Key, Screen } from './screen.ts';
import { View } from './view.ts';

const redrawMs = 500;

export async function top(context: Context, given: Invocation): Promise<void> {
  const hostId = given.optionalWord('HOST');
  if ((hostId === undefined) !== given.flag('all'))
    throw new UsageError('either HOST or --all is needed', ['Which hosts there are: hostbus hosts']);
  const waitMs = given.seconds('wait') ?? listenMs;
  const once = given.flag('once') || context.options.json || context.width === undefined;
  await context.withClient(async (client) => {
    const watch = new Watch(context, client, hostId);
    if (once) await watch.once(waitMs);
    else await watch.live();
  });
}

class Watch {
  readonly #context: Context;
  readonly #client: Client;
  readonly #hostId: string | undefined;
  readonly #view = new View();
  readonly #asking = new Set<Promise<void>>();

  constructor(context: Context, client: Client, hostId: string | undefined) {
    this.#context = context;
    this.#client = client;
    this.#hostId = hostId;
  }

  /** What there is, as tables. */
  async once(waitMs: number): Promise<void> {
    const context = this.#context;
    if (this.#hostId !== undefined) await this.#ask(this.#hostId);
    else {
      const stream = await this.#subscribe();
      context.note(`Listening for heartbeats for ${waitMs / 1000} s …`);
      const timer = setTimeout(() => void stream.close(), waitMs);
      try {
        await this.#pump(stream);
      } finally {
        clearTimeout(timer);
      }
      await context.untilStopped(Promise.all(this.#asking));
    }
    if (context.signal.aborted) throw context.signal.reason;
    this.#print();
  }

  /** A picture that changes, until a key or a signal ends it, or the broker stays away. */
  async live(): Promise<void> {
    const ended = Promise.withResolvers<void>();
    const context = this.#context;
    let look: Look = {
      sort: 'host',
      offset: 0,
      list: this.#hostId === undefined ? 'hosts' : 'tasks',
      awayMs: undefined,
    };
    let awaySinceMs: number | undefined;
    const draw = () => {
      const awayMs = awaySinceMs === undefined ? undefined : performance.now() - awaySinceMs;
      look = { ...look, awayMs, offset: Math.min(look.offset, lastOffset(this.#view, look)) };
      screen.draw(frame(this.#view, screen.size, look));
      if (awayMs !== undefined && awayMs > context.timeoutMs)
        ended.reject(new ConnectionClosed(`The broker has been away for ${formatSeconds(awayMs / 1000)}`));
    };
    const pressed = (key: Key) => {
      if (key === 'quit') ended.resolve();
      else if (key === 'interrupt') ended.reject(new Interrupted());
      else look = changed(look, key);
      draw();
    };
    const screen = new Screen(context, { pressed, resized: draw });
    const stream = await this.#subscribe();
    stream.onLost(() => {
      awaySinceMs ??= performance.now();
    });
    stream.onGap(() => {
      awaySinceMs = undefined;
      for (const hostId of this.#view.hosts.keys()) this.#askLater(hostId);
    });
    if (this.#hostId !== undefined) await this.#ask(this.#hostId);
    screen.open();
    const timer = setInterval(draw, redrawMs);
    try {
      draw();
      this.#pump(stream).then(ended.resolve, ended.reject);
      await context.untilStopped(ended.promise);
    } finally {
      clearInterval(timer);
      screen.close();
    }
    if (context.signal.aborted) throw context.signal.reason;
  }

  async #subscribe(): Promise<EventStream> {
    const filter = this.#hostId === undefined ? {} : { host: this.#hostId };
    const stream = this.#client.events(filter, { signal: this.#context.signal });
    await this.#context.untilStopped(stream.ready);
    return stream;
  }

  async #pump(stream: EventStream): Promise<void> {
    for await (const event of stream) if (this.#view.take(event)) this.#askLater(event.hostId);
  }

  /** A host that does not answer is shown as what its events tell of it. */
  #askLater(hostId: string): void {
    const asking = this.#ask(hostId)
      .catch(() => undefined)
      .finally(() => this.#asking.delete(asking));
    this.#asking.add(asking);
  }

  async #ask(hostId: string): Promise<void> {
    const context = this.#context;
    const host = this.#client.host(hostId);
    const [{ bootId }, stats, tasks] = await Promise.all([
      ask(context, host, 'ping', {}),
      ask(context, host, 'getHostStats', {}),
      allPages<Task>(undefined, async (page) => {
        const answer = await ask(context, host, 'listTasks', { states: ['queued', 'running'], ...page });
        return { items: answer.tasks, nextCursor: answer.nextCursor };
      }),
    ]);
    this.#view.answered(hostId, bootId, stats, tasks);
  }

  #print(): void {
    const context = this.#context;
    const hosts = sortedHosts(this.#view.hosts.values(), 'host').filter(({ stopping }) => !stopping);
    const tasks = [...this.#view.tasks.values()].map(({ task }) => task);
    if (context.options.json) {
      context.json({ hosts: hosts.map(asDocument), tasks });
      return;
    }
    context.table(columns, hosts.map(asRow), 'No host was heard; --wait SECONDS listens longer.');
    if (tasks.length > 0) context.line('');
    context.table(
      [{ title: 'HOST' }, { title: 'TASK' }, { title: 'METHOD' }, { title: 'STATE' }, { title: 'PROGRESS' }],
      tasks.map((task) => [task.hostId, task.taskId, task.method, stateOf(task), progressOf(task)]),
      'No tasks.',
    );
  }
}

function changed(look: Look, key: 'sort' | 'up' | 'down'): Look {
  if (key === 'sort') return { ...look, sort: sorts[(sorts.indexOf(look.sort) + 1) % sorts.length] as Sort };
  return { ...look, offset: Math.max(0, look.offset + (key === 'up' ? -1 : 1)) };
}
