/** The task table against a simple model, over random interleavings. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { pino } from 'pino';
import { HostbusError } from '../../../schemas/errors.ts';
import type { Happening } from '../../../schemas/events.ts';
import type { Task } from '../../../schemas/task.ts';
import type { Call } from '../../../src/tasks/live-task.ts';
import { TaskTable } from '../../../src/tasks/task-table.ts';

const limits = { max: 4, retainedMax: 3, copy: 1 };
const ids = ['a', 'b', 'c', 'd', 'e', '__proto__', '7'];

interface ModelTask {
  id: string;
  state: Task['state'];
  query: boolean;
  cancellable: boolean;
  lane: 'wait' | 'copy' | 'memory';
  early: boolean;
}

/** What the table has to hold: everything in plain lists, nothing clever. */
class Model {
  /** In the order of acceptance. */
  live: ModelTask[] = [];
  /** In the order of their ends. */
  ended: ModelTask[] = [];
  accepted: ModelTask[] = [];

  holder = (id: string) => this.live.find((task) => task.id === id);
  record = (id: string) => this.ended.find((task) => task.id === id);
  count = (query: boolean) => this.live.filter((task) => task.query === query).length;

  refusal({ id, query, lane }: ModelTask): string | undefined {
    if (this.holder(id)) return 'TaskIdInUse';
    return this.count(query) >= limits.max && lane !== 'memory' ? 'Overloaded' : undefined;
  }

  accept(task: ModelTask): void {
    this.live.push(task);
    if (!task.query) {
      this.ended = this.ended.filter(({ id }) => id !== task.id);
      this.accepted.push(task);
    }
    this.startQueued();
  }

  end(task: ModelTask, state: Task['state']): void {
    task.state = state;
    this.live = this.live.filter((other) => other !== task);
    if (!task.query) this.ended = [...this.ended, task].slice(-limits.retainedMax);
    this.startQueued();
  }

  startQueued(): void {
    for (const task of this.live) {
      const inLane = this.live.filter(({ lane, state }) => lane === 'copy' && state === 'running').length;
      if (task.state === 'queued' && (task.lane !== 'copy' || inLane < limits.copy)) task.state = 'running';
    }
  }

  listed(): string[] {
    return this.accepted
      .filter((task) => this.live.includes(task) || this.ended.includes(task))
      .map(({ id, state }) => `${id} ${state}`);
  }
}

/** The real table, with tasks that end when they are told to. */
class Real {
  /** An ID whose next task holds it already while the end of the last one is told. */
  reused: string | undefined;
  readonly events: { id: string; event: string; task: Task }[] = [];
  readonly work = new Map<string, { end: PromiseWithResolvers<unknown>; answer: () => void }>();
  readonly table: TaskTable = new TaskTable({
    hostId: 'h1',
    bootId: 'boot',
    log: pino({ level: 'silent' }),
    max: limits.max,
    retentionMs: 3_600_000,
    retainedMax: limits.retainedMax,
    lanes: { read: 1, change: 1, copy: limits.copy },
    emit: (happening) => this.emit(happening),
  });

  emit({ id, event, data }: Happening): void {
    const task = data as Task;
    // An event is published after what it tells can be read back; unless so much ended at once that it was forgotten.
    const readable = this.table.find(id)?.state;
    const states = ['queued', 'running', 'succeeded', 'failed', 'cancelled'];
    if (readable !== undefined && id !== this.reused)
      assert.ok(states.indexOf(readable) >= states.indexOf(task.state));
    this.events.push({ id, event, task });
  }

  call({ id, query, cancellable, lane }: ModelTask): Call {
    return {
      taskId: id,
      method: `method of ${id}`,
      query,
      cancellable,
      lane,
      run: (context) => {
        const end = Promise.withResolvers<unknown>();
        context.signal.addEventListener('abort', () => end.reject(context.signal.reason));
        this.work.set(id, { end, answer: () => context.answer('early') });
        return end.promise;
      },
    };
  }
}

type Command = fc.AsyncCommand<Model, Real>;

/** What it throws, by its stable name. */
function nameOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof HostbusError, String(error));
    return error.name;
  }
}

async function compare(model: Model, real: Real): Promise<void> {
  await turn(); // p-queue and the table's own announcements take a turn
  await turn();
  const { table } = real;
  const of = (state: string) => model.live.filter((task) => !task.query && task.state === state).length;
  const { queued, running, retained } = table.counts();
  assert.deepEqual(
    { queued, running, retained },
    { queued: of('queued'), running: of('running'), retained: model.ended.length },
  );
  const { tasks } = table.list({ limit: 1000, after: 0 });
  assert.deepEqual(
    tasks.map(({ taskId, state }) => `${taskId} ${state}`),
    model.listed(),
  );
  for (const id of ids) {
    assert.equal(table.find(id)?.state, (model.holder(id) ?? model.record(id))?.state);
  }
}

const accept = (task: Omit<ModelTask, 'state' | 'early'>): Command => ({
  toString: () => `accept(${JSON.stringify(task)})`,
  check: () => true,
  async run(model, real) {
    const mine: ModelTask = { ...task, state: 'queued', early: false };
    const refusal = model.refusal(mine);
    const counts = real.table.counts();
    let outcome: Promise<unknown> | undefined;
    const got = nameOf(() => {
      outcome = real.table.accept(real.call(mine)).outcome;
    });
    outcome?.catch(() => {});
    assert.equal(got, refusal);
    if (refusal === undefined) model.accept(mine);
    else assert.equal(real.table.counts().refused, counts.refused + 1);
    await compare(model, real);
  },
});

const end = (id: string, well: boolean): Command => ({
  toString: () => `end(${id}, ${well})`,
  check: (model) => model.holder(id)?.state === 'running',
  async run(model, real) {
    const task = model.holder(id);
    assert.ok(task);
    const { end: promise } = real.work.get(id) ?? assert.fail('it runs');
    if (well) promise.resolve('done');
    else promise.reject(new HostbusError('NoSpace', 'As asked'));
    model.end(task, well ? 'succeeded' : 'failed');
    await compare(model, real);
  },
});

const answerEarly = (id: string): Command => ({
  toString: () => `answerEarly(${id})`,
  check: (model) => model.holder(id)?.state === 'running' && model.holder(id)?.early === false,
  async run(model, real) {
    const task = model.holder(id);
    assert.ok(task);
    task.early = true;
    const live = real.table.find(id);
    assert.ok(live);
    real.work.get(id)?.answer();
    assert.equal(await live.outcome, 'early');
    live.markAnswered();
    assert.equal(
      nameOf(() => real.table.accept(real.call(task))),
      'TaskIdInUse',
      'the ID stays in use',
    );
    await compare(model, real);
    assert.equal(real.table.find(id)?.toJSON().answered, true);
  },
});

/** Within one turn, as a caller does who sends the next request when the answer has come. */
const endAndReuse = (id: string): Command => ({
  toString: () => `endAndReuse(${id})`,
  check: (model) => model.holder(id)?.state === 'running' && model.holder(id)?.query === false,
  async run(model, real) {
    const task = model.holder(id);
    assert.ok(task);
    real.work.get(id)?.end.resolve('done');
    model.end(task, 'succeeded');
    for (let i = 0; i < 20 && real.table.find(id)?.ended === false; i += 1) await Promise.resolve();
    const next: ModelTask = { ...task, lane: 'wait', state: 'queued', early: false };
    real.reused = id;
    // One has just ended, so there is room for one.
    real.table.accept(real.call(next)).outcome.catch(() => {});
    real.reused = undefined;
    model.accept(next);
    await compare(model, real);
  },
});

const cancel = (id: string): Command => ({
  toString: () => `cancel(${id})`,
  check: () => true,
  async run(model, real) {
    const task = model.holder(id);
    const stops = task !== undefined && (task.state === 'queued' || task.cancellable);
    const expected =
      task === undefined ? (model.record(id) ? 'TaskEnded' : 'TaskNotFound') : 'NotCancellable';
    assert.equal(
      nameOf(() => real.table.cancel(id)),
      stops ? undefined : expected,
    );
    if (stops) model.end(task, 'cancelled');
    await compare(model, real);
  },
});

const id = fc.constantFrom(...ids);
const commands = fc.commands<Model, Real, false>(
  [
    fc
      .record({ id, query: fc.boolean(), cancellable: fc.boolean(), lane: fc.constantFrom('wait', 'copy') })
      .map((task) => accept({ ...task, lane: task.query ? 'wait' : task.lane })),
    fc.tuple(id, fc.boolean()).map(([which, well]) => end(which, well)),
    id.map(answerEarly),
    id.map(cancel),
    id.map(endAndReuse),
  ],
  // By default lists are too short to fill anything.
  { maxCommands: 80, size: 'max' },
);

/** Events of one ID, in the order in which they left, have to be whole lives of tasks, one after the other. */
const lives = /^((started )?(answered )?(succeeded|failed|cancelled) )*(started )?(answered )?$/;

test('Random interleavings of accepting, ending, answering, reusing and cancelling agree with a simple model.', async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (list) => {
      const model = new Model();
      const real = new Real();
      await fc.asyncModelRun(() => ({ model, real }), list);
      for (const one of ids) {
        const names = real.events.filter((event) => event.id === one).map(({ event }) => `${event} `);
        assert.match(names.join(''), lives);
      }
      const ends = real.events.filter(({ event }) => ['succeeded', 'failed', 'cancelled'].includes(event));
      assert.equal(ends.length, model.accepted.length - model.live.filter(({ query }) => !query).length);
      for (const { event, task } of ends) assert.equal(task.state, event);
      real.table.stopAll();
      await real.table.whenIdle(1000);
      const { queued, running } = real.table.counts();
      assert.equal(queued + running, 0);
    }),
    { numRuns: 150 },
  );
});

test('A memory query is taken in however many others wait.', () => {
  const real = new Real();
  const query = { query: true, cancellable: true, state: 'queued', early: false } as const;
  for (let i = 0; i < limits.max; i += 1) {
    real.table.accept(real.call({ ...query, id: `w${i}`, lane: 'wait' })).outcome.catch(() => {});
  }
  assert.equal(
    nameOf(() => real.table.accept(real.call({ ...query, id: 'w', lane: 'wait' }))),
    'Overloaded',
  );
  assert.equal(
    nameOf(() => real.table.accept(real.call({ ...query, id: 'm', lane: 'memory' }))),
    undefined,
  );
});
