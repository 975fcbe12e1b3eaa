/** Tasks, and the verbs that ask about them. */
import Type from 'typebox';
import { BootId, Cursor, HostId, OpenObject, PageLimit, StrictObject, TaskId, Timestamp } from './common.ts';
import { defineVerb } from './verb.ts';

export const taskStates = ['queued', 'running', 'succeeded', 'failed', 'cancelled'] as const;
export type TaskState = (typeof taskStates)[number];

export type EndState = 'succeeded' | 'failed' | 'cancelled';

/** Whether a state, or an event of a task, is its end. */
export function isEnd(stateOrEvent: string): stateOrEvent is EndState {
  return stateOrEvent === 'succeeded' || stateOrEvent === 'failed' || stateOrEvent === 'cancelled';
}

export const Progress = OpenObject({
  done: Type.Number({ minimum: 0 }),
  total: Type.Number({ minimum: 0 }),
  unit: Type.String({ description: 'Such as `bytes`' }),
});

export const RpcError = OpenObject(
  { code: Type.Integer(), message: Type.String(), data: OpenObject({ name: Type.String() }) },
  { description: 'A JSON-RPC error object' },
);

export const Task = OpenObject(
  {
    taskId: TaskId,
    method: Type.String(),
    state: Type.Enum([...taskStates]),
    answered: Type.Boolean({ description: 'Its JSON-RPC answer has been sent; the task may go on' }),
    createdAt: Timestamp,
    startedAt: Type.Optional(Timestamp),
    finishedAt: Type.Optional(Timestamp),
    progress: Type.Optional(Progress),
    phase: Type.Optional(Type.String({ description: 'Where the verb has phases: one word' })),
    subject: Type.Optional(
      OpenObject(
        { kind: Type.String(), id: Type.String() },
        { description: 'The object it works on: `image`, `domain`, or one of Gluster such as `volume`' },
      ),
    ),
    result: Type.Optional(Type.Unknown({ description: 'Once it has succeeded' })),
    error: Type.Optional(RpcError),
    cancelling: Type.Boolean({ description: 'It has been asked to stop' }),
    user: Type.Optional(Type.String({ description: 'The broker user who asked, as the broker verified it' })),
    flowId: Type.Optional(Type.String()),
    hostId: HostId,
    bootId: BootId,
  },
  { description: 'A task, as it is at this moment' },
);
export type Task = Type.Static<typeof Task>;

const byId = StrictObject({ taskId: TaskId });

export const getTaskStatus = defineVerb({
  name: 'getTaskStatus',
  doc: 'Tells what a task is doing, or how it ended. A host forgets a task some time after its end, and all tasks when it restarts.',
  params: byId,
  result: Task,
  errors: ['TaskNotFound'],
  access: 'read',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: { taskId: 'copy-42' },
});

export const listTasks = defineVerb({
  name: 'listTasks',
  doc: 'Lists tasks, oldest first: those queued or running and those that ended lately. Queries are not listed.',
  params: StrictObject({
    states: Type.Optional(
      Type.Array(Type.Enum([...taskStates]), { minItems: 1, description: 'Only these states' }),
    ),
    methods: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'Only these methods' })),
    limit: Type.Optional(PageLimit),
    cursor: Type.Optional(Cursor),
  }),
  result: OpenObject({ tasks: Type.Array(Task), nextCursor: Type.Optional(Type.String()) }),
  errors: [],
  access: 'read',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: { states: ['running'], limit: 10 },
});

export const waitTask = defineVerb({
  name: 'waitTask',
  doc: 'Answers with the task once it has ended, or as it is when the time is over.',
  params: StrictObject({
    taskId: TaskId,
    timeout: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 600_000, default: 30_000, description: 'Milliseconds' }),
    ),
  }),
  result: Task,
  errors: ['TaskNotFound'],
  access: 'read',
  lane: 'wait',
  query: true,
  cancellable: true,
  example: { taskId: 'copy-42', timeout: 60_000 },
});

export const cancelTask = defineVerb({
  name: 'cancelTask',
  doc: 'Asks a task to stop. The task ends as `cancelled` when its work has stopped, which may take a moment.',
  params: byId,
  result: OpenObject({ taskId: TaskId, state: Type.Enum([...taskStates]) }),
  errors: ['TaskNotFound', 'TaskEnded', 'NotCancellable'],
  access: 'write',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: { taskId: 'copy-42' },
});
