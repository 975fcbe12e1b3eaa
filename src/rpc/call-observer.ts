/** Who calls, and who is told of each call, for metrics and traces. */

/** What is known of a caller beside the body. */
export interface Caller {
  /** As the broker verified it. */
  readonly user?: string | undefined;
  readonly flowId?: string | undefined;
  readonly traceparent?: string | undefined;
}

export interface CallObserver {
  /**
   * A call begins: one entry of a body, or a body that is refused as a whole. Must not throw.
   * @param method - a verb of this host; undefined where the request names none
   * @param id - the request's `id`, where it has one
   */
  begin(method: string | undefined, caller: Caller, id?: string | number): ObservedCall;
}

export interface ObservedCall {
  /** What its task is to carry on instead of the caller's trace context; undefined: the caller's. */
  readonly traceparent: string | undefined;
  /**
   * What it is answered with is known. Called once; must not throw.
   * @param error - undefined where it succeeded
   */
  answered(error?: unknown): void;
}
