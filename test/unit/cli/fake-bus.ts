/** A bus of one process: hosts that answer from a table, for what the command line does with answers. */
import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { HostbusError } from '../../../schemas/errors.ts';
import type { Operation } from '../../../schemas/gluster-operations.ts';
import { openRpcDocument } from '../../../schemas/openrpc.ts';
import type { Task } from '../../../schemas/task.ts';
import { verbs } from '../../../schemas/verbs.ts';
import { Interrupted } from '../../../src/cli/errors.ts';
import { run } from '../../../src/cli/main.ts';
import { HostUnreachable } from '../../../src/client/errors.ts';
import type {
  CallOptions,
  Client,
  EventStream,
  Host,
  HostEvent,
  TaskHandle,
} from '../../../src/client/types.ts';

export interface FakeHost {
  /** What a verb answers with; an Error is thrown. */
  answer?: (method: string, params: unknown, options: CallOptions) => unknown;
  /** What following a task gives; an Error among them ends it. */
  follow?: (taskId: string) => Iterable<Task | Error> | AsyncIterable<Task | Error>;
  /** What following an operation of Gluster gives. */
  operations?: (operationId: string) => Iterable<Operation | Error> | AsyncIterable<Operation | Error>;
  notified?: (method: string, params: unknown) => void;
}

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface FakeRun {
  hosts?: Record<string, FakeHost>;
  events?: readonly HostEvent[];
  connectError?: Error;
  /** Both streams are terminals of so many columns. */
  columns?: number;
  env?: Record<string, string>;
  stdin?: string;
  /** Ctrl-C as soon as this shows up on stderr. */
  interruptAt?: RegExp;
}

/** Runs a command line against the fake; everything else is the real program. */
export async function runFake(words: readonly string[], fake: FakeRun = {}): Promise<Outcome> {
  const stop = new AbortController();
  const [stdout, stderr] = [new Screen(fake.columns), new Screen(fake.columns)];
  const { interruptAt } = fake;
  if (interruptAt) {
    stderr.onText = (text) => {
      if (interruptAt.test(text)) stop.abort(new Interrupted());
    };
  }
  const stdin = new PassThrough();
  stdin.end(fake.stdin ?? '');
  const connect = async () => {
    if (fake.connectError) throw fake.connectError;
    return fakeClient(fake);
  };
  const code = await run(
    words,
    { stdin, stdout, stderr, env: fake.env ?? {} },
    { signal: stop.signal, connect },
  );
  return { code, stdout: stdout.text, stderr: stderr.text };
}

class Screen extends Writable {
  text = '';
  onText: (text: string) => void = () => undefined;
  isTTY = false;
  columns = 80;

  constructor(columns: number | undefined) {
    super({ decodeStrings: false });
    if (columns !== undefined) {
      this.isTTY = true;
      this.columns = columns;
    }
  }

  override _write(chunk: string | Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    this.onText(this.text);
    done();
  }
}

function fakeClient({ hosts = {}, events = [] }: FakeRun): Client {
  const close = async () => undefined;
  return {
    host: (hostId) => fakeHost(hostId, hosts[hostId]),
    events: (_filter, options) => fakeEvents(events, options?.signal),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function fakeHost(hostId: string, fake: FakeHost | undefined): Host {
  const answer = async (method: string, params: unknown, options: CallOptions = {}) => {
    if (!fake) throw new HostUnreachable(hostId);
    if (method === 'rpc.discover') return openRpcDocument(verbs, '0.0.0');
    const value = await fake.answer?.(method, params, options);
    if (value instanceof Error) throw value;
    if (value === undefined) throw new HostbusError('MethodNotFound', `No verb ${method}`, { method });
    return value;
  };
  return {
    hostId,
    // the table's answers are as loosely typed as the wire's
    call: answer as Host['call'],
    callUntyped: answer,
    notify: async (method, params) => fake?.notified?.(method, params),
    task: (taskId) => fakeTask(hostId, String(taskId), fake),
    operation: (operationId) => ({
      operationId,
      status: async () => assert.fail('no test asks for it'),
      follow: () => operationsOf(operationId, fake),
    }),
  };
}

async function* operationsOf(operationId: string, fake: FakeHost | undefined): AsyncGenerator<Operation> {
  for await (const operation of fake?.operations?.(operationId) ?? []) {
    if (operation instanceof Error) throw operation;
    yield operation;
  }
}

function fakeTask(hostId: string, taskId: string, fake: FakeHost | undefined): TaskHandle {
  async function* follow() {
    for await (const task of fake?.follow?.(taskId) ?? []) {
      if (task instanceof Error) throw task;
      yield task;
    }
  }
  const wait = async () => {
    let last: Task | undefined;
    for await (const task of follow()) last = task;
    if (!last) throw new HostbusError('TaskNotFound', `No task ${taskId} at ${hostId}`, { taskId });
    return last;
  };
  return { taskId, status: wait, wait, follow, cancel: async () => ({ taskId, state: 'running' }) };
}

function fakeEvents(events: readonly HostEvent[], signal: AbortSignal | undefined): EventStream {
  const closed = Promise.withResolvers<void>();
  signal?.addEventListener('abort', () => closed.resolve(), { once: true });
  return {
    ready: Promise.resolve(),
    onGap: () => undefined,
    onLost: () => undefined,
    close: async () => closed.resolve(),
    async *[Symbol.asyncIterator]() {
      yield* events;
      await closed.promise;
    },
  };
}

/** A task with what a test wants different. */
export function taskOf(fields: Partial<Task>): Task {
  return {
    taskId: 'copy-42',
    method: 'copyImage',
    state: 'running',
    answered: true,
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: '2026-01-01T00:00:00.000Z',
    cancelling: false,
    hostId: 'h1',
    bootId: 'boot1',
    ...fields,
  };
}
