/** Failures as people are told them: what is wrong, then the way out. */
import { type ErrorName, HostbusError } from '../../schemas/errors.ts';
import { CallTimeout, HostUnreachable, OutcomeUnknown } from '../client/errors.ts';
import type { Doing } from './context.ts';
import { OperationFailed, TaskFailed, UsageError } from './errors.ts';
import { exitCodeOf } from './exit-codes.ts';
import { isObject, listMember, member, textMember } from './json.ts';
import { percentOf } from './progress-bar.ts';
import { shellQuote } from './values.ts';

export interface Report {
  /** One line: what is wrong. */
  readonly message: string;
  /** Lines: the details and the way out. */
  readonly hints: readonly string[];
}

/**
 * @param doing - what the command was at when it failed
 * @param brokers - the broker URLs, without passwords
 */
export function reportOf(error: unknown, doing: Doing, brokers: readonly string[]): Report {
  if (error instanceof UsageError) return { message: error.message, hints: error.hints };
  if (error instanceof TaskFailed) {
    const wire = error.task.error;
    const hints = hintsOf(wire?.data.name, wire?.data, { ...doing, method: error.task.method });
    return { message: error.message, hints };
  }
  if (error instanceof OperationFailed) return { message: error.message, hints: error.hints };
  if (!(error instanceof Error)) return { message: String(error), hints: [] };
  if (error instanceof HostbusError)
    return { message: error.message, hints: hintsOf(error.name, error.data, doing) };
  return { message: error.message, hints: localHints(error, doing, brokers) };
}

/** The error as `--json` shows it: `code` is null for what no host said; `data.name` is always there. */
export function errorDocument(error: unknown): {
  error: {
    code: number | null;
    message: string;
    data: { name: string; [key: string]: unknown };
    exitCode: number;
  };
} {
  const exitCode = exitCodeOf(error);
  if (error instanceof HostbusError) return { error: { ...error.toJSON(), exitCode } };
  const message = error instanceof Error ? error.message : String(error);
  const name = error instanceof Error ? error.name : 'Error';
  return { error: { code: null, message, data: { ...extraData(error), name }, exitCode } };
}

function extraData(error: unknown): Record<string, unknown> {
  if (error instanceof HostUnreachable) return { hostId: error.hostId };
  if (error instanceof CallTimeout || error instanceof OutcomeUnknown) return { taskId: error.taskId };
  return error instanceof UsageError ? { hints: error.hints } : {};
}

function localHints(error: Error, doing: Doing, brokers: readonly string[]): string[] {
  switch (error.name) {
    case 'HostUnreachable':
      return ['Which hosts are there: hostbus hosts'];
    case 'CallTimeout':
      return doing.hostId !== undefined && doing.taskId !== undefined
        ? [
            `Ask for it: hostbus task status ${doing.hostId} ${shellQuote(doing.taskId)}`,
            'Wait longer: --timeout SECONDS',
          ]
        : ['Wait longer: --timeout SECONDS'];
    case 'BrokerRefused':
      return [
        `Broker: ${brokers.join(', ')}`,
        error.cause instanceof Error && error.cause.name === 'TlsFailure'
          ? 'Certificates: --ca, --cert and --key, or HOSTBUS_TLS_CA, HOSTBUS_TLS_CERT and HOSTBUS_TLS_KEY'
          : 'Check user, password and virtual host in --url or HOSTBUS_URL',
      ];
    case 'ConnectionClosed':
      return [
        `Broker: ${brokers.join(', ')}`,
        'Is RabbitMQ running there? Say where it is with --url or HOSTBUS_URL',
      ];
    default:
      return [];
  }
}

/** The sentence for Ctrl-C; undefined when nothing was under way. */
export function interruptionNote({ hostId, taskId, operation }: Doing): string | undefined {
  if (operation !== undefined)
    return `Gluster goes on with operation ${operation.id}. Watch it: ${operation.watch}`;
  if (hostId === undefined || taskId === undefined) return undefined;
  const id = shellQuote(taskId);
  return `Task ${taskId} goes on at ${hostId}. Watch it: hostbus task wait ${hostId} ${id}   Cancel it: hostbus task cancel ${hostId} ${id}`;
}

type Hint = (data: unknown, doing: Doing) => readonly string[];

/** The way out of each error that has one; the host's own message stands above it. */
const hints: { readonly [name in ErrorName]?: Hint } = {
  InvalidParams: (data, doing) => [
    ...listMember(data, 'errors').map(
      (fault) => `  ${textMember(fault, 'path') || 'params'}: ${textMember(fault, 'message') ?? ''}`,
    ),
    `What it takes: hostbus verbs ${at(doing)} ${doing.method ?? ''}`.trimEnd(),
  ],
  MethodNotFound: (_, doing) => [`What the host serves: hostbus verbs ${at(doing)}`],
  InternalError: (data) => {
    const taskId = textMember(data, 'taskId');
    return [`The daemon's log has the details${taskId === undefined ? '' : ` under task ${taskId}`}`];
  },
  TaskIdInUse: (data, doing) => {
    const task = member(data, 'task');
    const id = textMember(task, 'taskId') ?? doing.taskId;
    const lines = [describeTask(task)];
    if (id !== undefined)
      lines.push(`Wait for it: hostbus task wait ${at(doing)} ${shellQuote(id)}; or choose another --id`);
    return lines.filter((line) => line !== '');
  },
  TaskNotFound: (_, doing) => [`Which tasks it knows: hostbus task list ${at(doing)}`],
  TaskEnded: (data, doing) => {
    const task = member(data, 'task');
    const id = textMember(task, 'taskId') ?? doing.taskId ?? 'ID';
    return [describeTask(task), `How it ended: hostbus task status ${at(doing)} ${shellQuote(id)}`].filter(
      (line) => line !== '',
    );
  },
  Overloaded: (data) => {
    const retryAfterMs = member(data, 'retryAfter');
    return typeof retryAfterMs === 'number' ? [`Try again in ${retryAfterMs} ms`] : ['Try again later'];
  },
  NotAllowed: () => ["The broker user in --url or HOSTBUS_URL needs a higher level in the daemon's [access]"],
  NotCancellable: (_, doing) => [
    `Wait for its end: hostbus task wait ${at(doing)} ${doing.taskId === undefined ? 'ID' : shellQuote(doing.taskId)}`,
  ],
  DomainNotFound: (_, doing) => [
    `Which it has: hostbus domain list ${at(doing)}; connect another: hostbus domain connect ${at(doing)} DOMAIN PATH`,
  ],
  ImageNotFound: (data, doing) => [
    `Which there are: hostbus image list ${at(doing)} ${textMember(data, 'domainId') ?? 'DOMAIN'}`,
  ],
  ImageBusy: (data) => {
    const holder = member(data, 'holder');
    const [hostId, taskId] = [textMember(holder, 'hostId'), textMember(holder, 'taskId')];
    return hostId === undefined || taskId === undefined
      ? []
      : [`Held by task ${taskId} at ${hostId}: hostbus task wait ${hostId} ${shellQuote(taskId)}`];
  },
  OperationRunning: (_, doing) => [`What runs: hostbus gluster operations ${at(doing)}`],
  NoOperation: (_, doing) => [`Which there are: hostbus gluster operations ${at(doing)}`],
  MigrationUnfinished: (_, doing) => [`How far it is: hostbus gluster operations ${at(doing)}`],
  ImageNotReady: (data, doing) => [
    `Its state: hostbus image status ${at(doing)} ${imageOf(data)}`,
    ...(textMember(data, 'status') === 'interrupted' ? [goingOn(data, doing)] : []),
  ],
  CopyFailed: (data, doing) => [goingOn(data, doing)],
  DomainUnavailable: (data, doing) => [
    `Its state: hostbus domain status ${at(doing)} ${textMember(data, 'domainId') ?? 'DOMAIN'}`,
  ],
};

function hintsOf(name: string | undefined, data: unknown, doing: Doing): readonly string[] {
  const hint = name !== undefined && Object.hasOwn(hints, name) ? hints[name as ErrorName] : undefined;
  return hint?.(data, doing) ?? [];
}

function goingOn(data: unknown, doing: Doing): string {
  return `Once the cause is gone, go on with it: hostbus image continue ${at(doing)} ${imageOf(data)} --follow`;
}

function imageOf(data: unknown): string {
  return `${textMember(data, 'domainId') ?? 'DOMAIN'}/${textMember(data, 'imageId') ?? 'IMAGE'}`;
}

function at(doing: Doing): string {
  return doing.hostId ?? 'HOST';
}

/** `copy-42 is running: copyImage, 45 %, since 2026-…`. */
function describeTask(task: unknown): string {
  const [id, state] = [textMember(task, 'taskId'), textMember(task, 'state')];
  if (id === undefined || state === undefined) return '';
  const facts = [textMember(task, 'method')];
  const progress = member(task, 'progress');
  if (isObject(progress)) {
    const percent = percentOf(Number(progress.done), Number(progress.total));
    if (percent !== undefined) facts.push(`${percent} %`);
  }
  const since =
    textMember(task, 'finishedAt') ?? textMember(task, 'startedAt') ?? textMember(task, 'createdAt');
  if (since !== undefined) facts.push(`since ${since}`);
  return `${id} is ${state}: ${facts.filter((fact) => fact !== undefined).join(', ')}`;
}
