/** hostbusd with a few verbs more, by which tests and benchmarks of the bus can tell exactly what happened. */
process.env.UV_THREADPOOL_SIZE ??= '256';

import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Type from 'typebox';
import { OpenObject, StrictObject } from '../../schemas/common.ts';
import { HostbusError } from '../../schemas/errors.ts';
import { defineVerb } from '../../schemas/verb.ts';
import { loadConfig } from '../../src/daemon/config.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import { live } from '../../src/daemon/main.ts';
import { loadMonitoring } from '../../src/monitoring/monitoring.ts';
import { serve } from '../../src/rpc/rpc-server.ts';
import type { Implementation } from '../../src/tasks/task-context.ts';

const common = {
  doc: 'For tests.',
  errors: [],
  access: 'read',
  query: false,
  cancellable: false,
  lane: 'wait',
} as const;

/** The methods of the JSON-RPC 2.0 specification's examples. */
const subtract = defineVerb({
  ...common,
  name: 'subtract',
  params: StrictObject({ minuend: Type.Number(), subtrahend: Type.Number() }),
  result: Type.Number(),
  example: { minuend: 42, subtrahend: 23 },
});
const sum = defineVerb({
  ...common,
  name: 'sum',
  params: StrictObject({ a: Type.Number(), b: Type.Number(), c: Type.Number() }),
  result: Type.Number(),
  example: { a: 1, b: 2, c: 4 },
});
const getData = defineVerb({
  ...common,
  name: 'get_data',
  params: StrictObject({}),
  result: Type.Array(Type.Unknown()),
  example: {},
});
const numbers = (name: string) =>
  defineVerb({
    ...common,
    name,
    params: StrictObject({
      a: Type.Optional(Type.Number()),
      b: Type.Optional(Type.Number()),
      c: Type.Optional(Type.Number()),
      d: Type.Optional(Type.Number()),
      e: Type.Optional(Type.Number()),
    }),
    result: Type.Null(),
    example: {},
  });
const update = numbers('update');
const notifyHello = numbers('notify_hello');
const notifySum = numbers('notify_sum');

/** Answers with what it was given. */
const echo = defineVerb({
  ...common,
  name: 'echo',
  query: true,
  lane: 'memory',
  params: StrictObject({ text: Type.String() }),
  result: OpenObject({ text: Type.String() }),
  example: { text: 'hello' },
});

const workParams = StrictObject({
  ms: Type.Number({ minimum: 0 }),
  /** Answers after so many ms, and goes on. */
  answerAfter: Type.Optional(Type.Number()),
  /** Fails at the end with this error's name. */
  fail: Type.Optional(Type.String()),
  steps: Type.Optional(Type.Integer()),
});
const workResult = OpenObject({ worked: Type.Number() });
/** Lasts, can be stopped, tells progress. */
const work = defineVerb({
  ...common,
  name: 'work',
  access: 'write',
  cancellable: true,
  params: workParams,
  result: workResult,
  example: { ms: 10 },
});
/** The same, in a lane with a limit. */
const laneWork = defineVerb({ ...work, name: 'laneWork', lane: 'copy' });
/** The same, and cannot be stopped. */
const stubborn = defineVerb({ ...work, name: 'stubborn', cancellable: false });
const danger = defineVerb({ ...work, name: 'danger', access: 'admin' });

const doWork: Implementation<{ params: typeof workParams; result: typeof workResult }> = async (
  { ms, answerAfter, fail, steps = 0 },
  task,
) => {
  const nap = (howLongMs: number) => sleep(howLongMs, undefined, { signal: task.signal });
  if (answerAfter !== undefined) {
    await nap(answerAfter);
    task.answer({ worked: answerAfter });
  }
  for (let step = 1; step <= steps; step += 1) {
    await nap(ms / steps);
    task.progress(step, steps, 'steps');
  }
  if (steps === 0) await nap(ms);
  if (fail === 'TypeError') throw new TypeError('a defect of /secret/path');
  if (fail !== undefined) throw new HostbusError('NoSpace', 'As asked', { available: 0 });
  return { worked: ms };
};

const noteParams = StrictObject({
  file: Type.String(),
  ms: Type.Number({ minimum: 0 }),
});
/** Notes in a file when it begins and when it ends, so that what ran can be compared with what callers were told. */
const note = defineVerb({
  ...common,
  name: 'note',
  access: 'write',
  params: noteParams,
  result: OpenObject({ pid: Type.Integer() }),
  example: { file: '/tmp/notes', ms: 10 },
});
/** Kept open: noting takes no descriptor. */
const noteFiles = new Map<string, number>();

const doNote: Implementation<typeof note> = async ({ file, ms }, task) => {
  const fd = noteFiles.get(file) ?? openSync(file, 'a');
  noteFiles.set(file, fd);
  const { pid } = process;
  writeSync(fd, `begin ${task.taskId} ${pid}\n`);
  await sleep(ms, undefined, { signal: task.signal });
  writeSync(fd, `end ${task.taskId} ${pid}\n`);
  return { pid };
};

/** Blocks the event loop. */
const spin = defineVerb({
  ...common,
  name: 'spin',
  access: 'write',
  params: StrictObject({ ms: Type.Number({ minimum: 0 }) }),
  result: OpenObject({}),
  example: { ms: 10 },
});

const doSpin: Implementation<typeof spin> = ({ ms }) => {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
  return {};
};

const load = () => loadConfig(undefined, process.env);
const config = load();
await live(
  new Daemon(config, {
    makeMonitoring: await loadMonitoring(config),
    extraVerbs: [
      serve(subtract, ({ minuend, subtrahend }) => minuend - subtrahend),
      serve(sum, ({ a, b, c }) => a + b + c),
      serve(getData, () => ['hello', 5]),
      serve(update, () => null),
      serve(notifyHello, () => null),
      serve(notifySum, () => null),
      serve(echo, ({ text }) => ({ text })),
      serve(work, doWork),
      serve(laneWork, doWork),
      serve(stubborn, doWork),
      serve(danger, doWork),
      serve(note, doNote),
      serve(spin, doSpin),
    ],
  }),
  load,
);
