/** What the exit status of `hostbus` means, in one table: help text, docs and code all come from here. */
import { HostbusError } from '../../schemas/errors.ts';
import {
  BrokerRefused,
  CallTimeout,
  ConnectionClosed,
  HostUnreachable,
  OperationTimeout,
  OutcomeUnknown,
} from '../client/errors.ts';
import {
  HostDefective,
  ImageDefective,
  Interrupted,
  OperationFailed,
  TaskCancelled,
  TaskFailed,
  UsageError,
} from './errors.ts';

export const exitCodes = {
  ok: { code: 0, meaning: 'done' },
  refused: { code: 1, meaning: 'the host refused the call, or the task or operation failed' },
  usage: { code: 2, meaning: 'the command line is wrong; nothing was sent' },
  hostUnreachable: { code: 3, meaning: 'no daemon serves that host ID; nothing ran' },
  timeout: { code: 4, meaning: 'no answer in time; the task may still run' },
  broker: { code: 5, meaning: 'the broker is unreachable, or refused the connection' },
  outcomeUnknown: {
    code: 6,
    meaning: 'the answer was lost and the host no longer knows the task: it may or may not have run',
  },
  cancelled: { code: 7, meaning: 'the task was cancelled, or the operation stopped' },
  defective: { code: 8, meaning: 'the check found errors: in the image, or on the host' },
  internal: { code: 70, meaning: 'a mistake in hostbus itself' },
  interrupted: { code: 130, meaning: 'Ctrl-C; a task that was being followed goes on' },
  terminated: { code: 143, meaning: 'SIGTERM; as with Ctrl-C' },
} as const;

/** The exit status that tells a failure. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof HostbusError)
    return error.name === 'Cancelled' ? exitCodes.cancelled.code : exitCodes.refused.code;
  if (error instanceof OperationFailed)
    return (error.operation.status === 'stopped' ? exitCodes.cancelled : exitCodes.refused).code;
  if (error instanceof TaskFailed) return exitCodes.refused.code;
  if (error instanceof TaskCancelled) return exitCodes.cancelled.code;
  if (error instanceof UsageError) return exitCodes.usage.code;
  if (error instanceof HostUnreachable) return exitCodes.hostUnreachable.code;
  if (error instanceof CallTimeout || error instanceof OperationTimeout) return exitCodes.timeout.code;
  if (error instanceof ConnectionClosed || error instanceof BrokerRefused) return exitCodes.broker.code;
  if (error instanceof OutcomeUnknown) return exitCodes.outcomeUnknown.code;
  if (error instanceof ImageDefective || error instanceof HostDefective) return exitCodes.defective.code;
  if (error instanceof Interrupted)
    return (error.signal === 'SIGTERM' ? exitCodes.terminated : exitCodes.interrupted).code;
  return exitCodes.internal.code;
}

/** The table as lines of a help text. */
export function exitCodeLines(): string[] {
  return Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
}
