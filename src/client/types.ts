/** The public types of the client library. */
import type { EventKind } from '../../schemas/events.ts';
import type { Operation } from '../../schemas/gluster-operations.ts';
import type { Task, TaskState } from '../../schemas/task.ts';
import type { VerbName, VerbTypes } from '../../schemas/verbs.ts';

export interface TlsOptions {
  /** Certificate authorities, PEM. Default: the system's. */
  ca?: string | Buffer;
  /** Client certificate, PEM. */
  cert?: string | Buffer;
  /** Key of the client certificate, PEM. */
  key?: string | Buffer;
  passphrase?: string;
}

export interface ConnectOptions {
  tls?: TlsOptions;
  /** Shown in the broker's list of connections. @default 'hostbus client' */
  name?: string;
  /** AMQP heartbeat in seconds. @default 10 */
  heartbeat?: number;
  /** How long the first connection is tried for, in ms, before `connect` fails. @default 10000 */
  connectTimeout?: number;
}

export interface CallOptions {
  /** The task ID. @default a new nanoid */
  taskId?: string | number;
  /** Milliseconds to wait for the answer, across reconnects. The task itself goes on. @default 30000 */
  timeout?: number;
  /** Stops waiting; the task itself goes on (see `task(id).cancel()`). */
  signal?: AbortSignal;
  /** Carried to log lines, the task and its events. At most 128 characters. */
  flowId?: string;
  /** W3C trace context. */
  traceparent?: string;
}

export interface WaitOptions {
  /** Milliseconds. @default no limit */
  timeout?: number;
  signal?: AbortSignal;
}

export interface Client extends AsyncDisposable {
  /** A host by its ID; costs nothing and asks nothing. */
  host(hostId: string): Host;
  /** Subscribes. Iteration ends when `close` is called on it or on the client, or `signal` is aborted. */
  events(filter?: EventFilter, options?: { signal?: AbortSignal }): EventStream;
  /** Closes the connection. Calls that are waiting fail with ConnectionClosed. */
  close(): Promise<void>;
}

export interface Host {
  readonly hostId: string;
  /** Calls a verb and waits for its answer. */
  call<M extends VerbName>(
    method: M,
    params: VerbTypes[M]['params'],
    options?: CallOptions,
  ): Promise<VerbTypes[M]['result']>;
  /** Calls a verb that this version of the library does not know. */
  callUntyped(method: string, params: unknown, options?: CallOptions): Promise<unknown>;
  /** Sends a notification: it runs, and nothing is answered. Resolves once the broker has queued it. */
  notify<M extends VerbName>(method: M, params: VerbTypes[M]['params']): Promise<void>;
  task(taskId: string | number): TaskHandle;
  /** One of Gluster's long operations, by Gluster's ID; any host of the pool can tell of it. */
  operation(operationId: string): OperationHandle;
}

export interface TaskHandle {
  readonly taskId: string;
  status(): Promise<Task>;
  /** Waits for its end. Fails with CallTimeout when it has not ended in time. */
  wait(options?: WaitOptions): Promise<Task>;
  cancel(): Promise<{ taskId: string; state: TaskState }>;
  /**
   * The task each time that something about it changed, the last one being its end. Fed by events; asks the host at the
   * beginning, after a reconnect, where a heartbeat shows a new boot or that events were dropped, and after a silence.
   * Fails with a HostbusError TaskNotFound when the host forgot the task.
   */
  follow(options?: WaitOptions): AsyncIterable<Task>;
}

export interface OperationHandle {
  readonly operationId: string;
  /** As Gluster tells now. Fails with a HostbusError NoOperation when Gluster no longer knows it. */
  status(): Promise<Operation>;
  /**
   * The operation each time that something about it changed, the last one being its end: `completed`, `failed` or `stopped`. Fed by
   * events as `TaskHandle.follow` is; it goes on though the daemon restarts. A stale one does not end: look at `stale`.
   * Fails with OperationTimeout, or with a HostbusError NoOperation when it went while nobody could tell.
   */
  follow(options?: WaitOptions): AsyncIterable<Operation>;
}

/** Each is one word of the routing key; left out: any. */
export interface EventFilter {
  host?: string;
  kind?: EventKind | (string & {});
  event?: string;
  /** The object's ID, as it is: it is encoded for the routing key here. */
  id?: string;
}

export interface HostEvent {
  hostId: string;
  kind: EventKind | (string & {});
  event: string;
  /** ID of the object that it is about, whole. */
  id: string;
  bootId: string;
  /** Counts up by one per event of one boot. */
  sequence: number;
  /** RFC 3339, UTC. */
  time: string;
  flowId?: string;
  traceparent?: string;
  // biome-ignore lint/suspicious/noExplicitAny: its shape depends on kind; subscribers know which they asked for
  data: any;
}

export interface EventStream extends AsyncIterable<HostEvent> {
  /** Resolves once the broker has bound the subscription: events after this moment are seen. */
  readonly ready: Promise<void>;
  /** Told when events may have been missed: after a reconnect of this client. */
  onGap(listener: () => void): void;
  /** Told when the connection is lost; this client tries again by itself until it can tell `onGap`. May be told more than once. */
  onLost(listener: () => void): void;
  close(): Promise<void>;
}
