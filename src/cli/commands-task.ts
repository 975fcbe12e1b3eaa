/** Declarations of `hostbus task …`. */
import { type ArgumentSpec, type CommandSpec, hostArgument } from './command-spec.ts';
import { taskStates } from './ids.ts';

const taskArgument: ArgumentSpec = { name: 'ID', description: 'ID of the task' };

export const taskCommands: readonly CommandSpec[] = [
  {
    path: ['task', 'list'],
    summary: 'the tasks of a host, oldest first',
    args: [hostArgument],
    options: [
      { flags: '--state <STATE>', description: 'only in this state', choices: taskStates, repeatable: true },
      { flags: '--method <METHOD>', description: 'only of this verb', repeatable: true, kind: 'method' },
      { flags: '--limit <N>', description: 'at most so many (default: all)' },
    ],
    examples: [
      { line: 'hostbus task list h1', says: 'all that h1 knows' },
      { line: 'hostbus task list h1 --state running,queued --method copyImage', says: 'copies under way' },
    ],
    load: async () => (await import('./task.ts')).taskList,
  },
  {
    path: ['task', 'status'],
    summary: 'what a task is doing, or how it ended',
    args: [hostArgument, taskArgument],
    options: [],
    examples: [{ line: 'hostbus task status h1 copy-42', says: 'task copy-42 of h1' }],
    load: async () => (await import('./task.ts')).taskStatus,
  },
  {
    path: ['task', 'wait'],
    summary: 'wait until a task has ended, showing its progress',
    details:
      'The exit status tells how it ended: 0 succeeded, 1 failed, 7 cancelled; 4 when --timeout was over first.',
    args: [hostArgument, taskArgument],
    options: [],
    examples: [{ line: 'hostbus task wait h1 copy-42 --timeout 600', says: 'at most ten minutes' }],
    load: async () => (await import('./task.ts')).taskWait,
  },
  {
    path: ['task', 'cancel'],
    summary: 'ask a task to stop',
    args: [hostArgument, taskArgument],
    options: [],
    examples: [{ line: 'hostbus task cancel h1 copy-42', says: 'its target image stays, interrupted' }],
    load: async () => (await import('./task.ts')).taskCancel,
  },
];
