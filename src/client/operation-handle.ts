/** One of Gluster's long operations, as one host tells of it. */
import { HostbusError } from '../../schemas/errors.ts';
import type { Operation } from '../../schemas/gluster-operations.ts';
import type { Calls } from './calls.ts';
import { Deadline } from './deadline.ts';
import { OperationTimeout } from './errors.ts';
import { follow, type Subscribe } from './follow.ts';
import type { OperationHandle, WaitOptions } from './types.ts';

export class RemoteOperation implements OperationHandle {
  readonly operationId: string;
  readonly #hostId: string;
  readonly #calls: Calls;
  readonly #subscribe: Subscribe;

  constructor(hostId: string, operationId: string, calls: Calls, subscribe: Subscribe) {
    this.#hostId = hostId;
    this.operationId = operationId;
    this.#calls = calls;
    this.#subscribe = subscribe;
  }

  async status(): Promise<Operation> {
    const answer = await this.#calls.call(this.#hostId, 'gluster.getOperationStatuses', {});
    const { operations } = answer as { operations: Operation[] };
    const found = operations.find(({ operationId }) => operationId === this.operationId);
    if (found !== undefined) return found;
    const message = `Gluster knows no operation ${this.operationId}: it was stopped, committed, or replaced by another`;
    throw new HostbusError('NoOperation', message, { operationId: this.operationId });
  }

  follow(options: WaitOptions = {}): AsyncGenerator<Operation> {
    const { operationId } = this;
    const deadline = new Deadline((timeoutMs) => new OperationTimeout(operationId, timeoutMs), options);
    const followed = {
      hostId: this.#hostId,
      kind: 'operation',
      id: operationId,
      ask: () => this.status(),
      isEnded: (operation: Operation) => ended.has(operation.status),
    } as const;
    return follow(followed, this.#subscribe, deadline);
  }
}

const ended: ReadonlySet<Operation['status']> = new Set(['completed', 'failed', 'stopped']);
