/**
 * When each node of a running operation last showed a sign of life. A process that lives is asked by each look, so that its run time
 * moves; of one that is gone, Gluster repeats the last words for ever. In memory: a fresh daemon needs two looks apart.
 */
import type { Operation, OperationNode } from '../../schemas/gluster-operations.ts';

interface Sign {
  readonly counters: string;
  readonly sinceMs: number;
}

export class OperationMemory {
  readonly #staleAfterMs: number;
  /** By operation ID, then by node. */
  readonly #signs = new Map<string, ReadonlyMap<string, Sign>>();

  constructor(staleAfterMs: number) {
    this.#staleAfterMs = staleAfterMs;
  }

  /**
   * Takes a look in, and marks what is stale.
   * @param localGone - the process of the host that was asked is known not to be there
   */
  judge(operation: Operation, localGone: boolean, nowMs = performance.now()): Operation {
    if (operation.status !== 'running') {
      this.#signs.delete(operation.operationId);
      return operation;
    }
    const before = this.#signs.get(operation.operationId);
    const signs = new Map<string, Sign>();
    const nodes = operation.nodes.map((node): OperationNode => {
      if (node.status !== 'running') return node;
      const key = node.peerId ?? node.host;
      const counters = countersOf(node);
      const last = before?.get(key);
      const sign = last?.counters === counters ? last : { counters, sinceMs: nowMs };
      signs.set(key, sign);
      const stale = (localGone && node.local) || nowMs - sign.sinceMs >= this.#staleAfterMs;
      return stale ? { ...node, stale } : node;
    });
    this.#signs.set(operation.operationId, signs);
    const alive = nodes.some((node) => node.status === 'running' && node.stale !== true);
    return alive ? { ...operation, nodes } : { ...operation, nodes, stale: true };
  }

  /** Forgets all operations but these. */
  keep(operationIds: ReadonlySet<string>): void {
    for (const id of this.#signs.keys()) if (!operationIds.has(id)) this.#signs.delete(id);
  }
}

/** Whatever moves while it lives. */
export function countersOf(counted: Operation | OperationNode): string {
  const { filesMoved, bytesMoved, filesScanned, filesFailed, filesSkipped, runTime } = counted;
  return [filesMoved, bytesMoved, filesScanned, filesFailed, filesSkipped, runTime].join(' ');
}
