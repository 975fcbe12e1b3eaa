/** Watching an operation of Gluster to its end. Gluster does not tell how much there is to move, so there is no share of it to show. */
import type { Operation } from '../../schemas/gluster-operations.ts';
import type { Host } from '../client/types.ts';
import type { Context } from './context.ts';
import { OperationFailed } from './errors.ts';
import { ProgressLine } from './progress-line.ts';

/**
 * Shows an operation until it has ended, or is stale: then it would never end.
 * @param timeoutMs - from now until OperationTimeout; undefined: no limit
 */
export async function followOperation(
  context: Context,
  host: Host,
  operationId: string,
  timeoutMs: number | undefined,
): Promise<Operation> {
  const line = new ProgressLine(context);
  const wait = { signal: context.signal, ...(timeoutMs !== undefined && { timeout: timeoutMs }) };
  let last: Operation | undefined;
  try {
    for await (const operation of host.operation(operationId).follow(wait)) {
      last = operation;
      if (context.options.json) context.json(operation);
      else line.show(sightOf(operation));
      if (operation.stale === true) break;
    }
  } finally {
    line.clear();
  }
  if (context.signal.aborted || last === undefined) throw context.signal.reason;
  return last;
}

/** @throws OperationFailed */
export function throwUnlessCompleted(operation: Operation, stopCommand: string): void {
  if (operation.status === 'completed') return;
  const hints =
    operation.stale === true
      ? [`Clear it, then start it again: ${stopCommand}`]
      : ['The table above shows where'];
  throw new OperationFailed(operation, hints);
}

function sightOf({ kind, volume, status, bytesMoved }: Operation) {
  return {
    name: `${kind} ${volume}`,
    what: status,
    progress: { done: bytesMoved, total: 0, unit: 'bytes' },
  };
}
