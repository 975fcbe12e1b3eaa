/** What a verb's implementation sees of its task. It knows nothing of JSON-RPC or AMQP. */
import type { Logger } from 'pino';
import type { ParamsOf, ResultOf, Verb } from '../../schemas/verb.ts';

export interface TaskContext<Result = unknown> {
  readonly taskId: string;
  /** The broker user who asked, where the broker verified one. */
  readonly user: string | undefined;
  readonly flowId: string | undefined;
  /** Aborted when the task is asked to stop; `signal.reason` is an Error that says by whom. Only verbs declared cancellable get it aborted while they run. */
  readonly signal: AbortSignal;
  /** Logs with the task's ID, method and flow. */
  readonly log: Logger;
  /**
   * Answers the call now; the task goes on until the implementation returns. A second call is ignored.
   * What the implementation returns at last is the `result` in the task's record.
   */
  answer(result: Result): void;
  /** How far it is. `done` and `total` are non-negative; cheap enough to call as often as there is news. */
  progress(done: number, total: number, unit: string): void;
  /** What it is doing now: one word. */
  phase(name: string): void;
}

/** Does what a verb declares. A {@link HostbusError} that it throws goes to the caller as it stands; anything else is an InternalError. */
export type Implementation<V extends Pick<Verb, 'params' | 'result'>> = (
  params: ParamsOf<V>,
  task: TaskContext<ResultOf<V>>,
) => ResultOf<V> | Promise<ResultOf<V>>;

/** An implementation for each verb of a list, by name: one that is missing is a type error. */
export type ImplementationsOf<List extends readonly Verb[]> = {
  readonly [V in List[number] as V['name']]: Implementation<V>;
};
