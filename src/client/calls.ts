/**
 * Calls under way: each is found by its correlation ID, never by its task ID, which others may use too.
 *
 * A call is sent once. It is sent again only while that cannot make a difference: before the broker had it, or when its verb is one
 * that only reads. What became of any other call whose answer was lost is found out by asking the host for the task.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message } from 'amqplib';
import { nanoid } from 'nanoid';
import { HostbusError } from '../../schemas/errors.ts';
import type { Task } from '../../schemas/task.ts';
import type { Session } from '../bus/broker-link.ts';
import { encodeHeaders } from '../bus/frames.ts';
import { backoffMs } from '../lib/backoff.ts';
import { BrokerRefused, CallTimeout, ConnectionClosed, HostUnreachable, OutcomeUnknown } from './errors.ts';
import { isRepeatable } from './repeatable.ts';
import { Requests, type Sender } from './requests.ts';
import type { CallOptions } from './types.ts';

interface PendingCall extends Sender {
  readonly method: string;
  readonly taskId: string;
  /** A task found under the ID is this call's: the ID was made for it, or the broker has the request, so that the host saw it first. */
  known: boolean;
  /** When the host is to be asked about it next, and how long to wait after that. */
  askAtMs: number;
  askIntervalMs: number;
  body: string;
  readonly headers: Buffer | undefined;
  readonly deadlineMs: number;
  resolve(result: unknown): void;
  reject(error: unknown): void;
  sent: boolean;
  /** How often the broker has refused it, because too many wait. */
  nacks: number;
}

const defaultTimeoutMs = 30_000;
/** After so long the host is asked about a call that has not been answered, then in steps that double: an answer can be lost between host and broker. */
const firstAskMs = 5_000;
const longestAskMs = 60_000;
const sweepMs = 1_000;
const askTimeoutMs = 10_000;
const retryUnreachableMs = 500;
const firstNackPauseMs = 20;
const longestNackPauseMs = 500;
const accessRefused = 403;
const preconditionFailed = 406;

export class Calls {
  readonly #pending = new Map<string, PendingCall>();
  readonly #requests = new Requests();
  #closed: Error | undefined;
  #sweeper: NodeJS.Timeout | undefined;

  async setUp(session: Session): Promise<void> {
    await this.#requests.setUp(session, (message) => this.#answered(message));
    for (const call of this.#pending.values()) if (!call.sent) this.#send(call);
  }

  /** @param reason - why the session ended; the broker closes the channel of whoever may not send requests, or gives another's name */
  lost(reason: Error): void {
    for (const sender of this.#requests.lost()) {
      if (!this.#pending.has(sender.correlationId)) sender.reject(lostBeforeConfirm(reason));
    }
    const { code } = reason as { code?: unknown };
    const falseName = code === preconditionFailed && /user_id/.test(reason.message);
    const refused = code === accessRefused || falseName;
    for (const call of [...this.#pending.values()]) {
      if (refused && call.sent) call.reject(new BrokerRefused(reason.message, { cause: reason }));
      else if (call.sent) void this.#recover(call, true);
    }
  }

  close(): void {
    this.#closed = new ConnectionClosed('The client was closed');
    clearInterval(this.#sweeper);
    for (const call of [...this.#pending.values()]) call.reject(this.#closed);
  }

  call(hostId: string, method: string, params: unknown, options: CallOptions = {}): Promise<unknown> {
    const id = options.taskId ?? nanoid();
    const { timeout = defaultTimeoutMs, signal } = options;
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const correlationId = nanoid();
      const taskId = String(id);
      const finish = () => {
        this.#pending.delete(correlationId);
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
      };
      const call: PendingCall = {
        hostId,
        method,
        taskId,
        known: options.taskId === undefined,
        correlationId,
        askAtMs: performance.now() + firstAskMs,
        askIntervalMs: firstAskMs,
        body: encode(method, params, id),
        headers: headersOf(options),
        deadlineMs: performance.now() + timeout,
        sent: false,
        nacks: 0,
        confirmed: () => {
          call.known = true;
        },
        refused: () => void this.#nacked(call),
        resolve: (result) => {
          finish();
          resolve(result);
        },
        reject: (error) => {
          finish();
          reject(error);
        },
      };
      const abort = () => call.reject(signal?.reason);
      const timer = setTimeout(() => {
        // The broker's last word was that it does not take it: nothing runs.
        const refused = call.nacks > 0 && !call.sent;
        call.reject(refused ? overloaded(hostId) : new CallTimeout(taskId, timeout));
      }, timeout);
      signal?.addEventListener('abort', abort);
      this.#pending.set(correlationId, call);
      this.#sweeper ??= setInterval(() => this.#sweep(), sweepMs).unref();
      this.#send(call);
    });
  }

  /** Publishes a notification; resolves once the broker has it. */
  notify(hostId: string, method: string, params: unknown): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    return new Promise((resolve, reject) => {
      const refused = () => reject(overloaded(hostId));
      const sender: Sender = { hostId, correlationId: nanoid(), confirmed: resolve, refused, reject };
      const body = JSON.stringify({ jsonrpc: '2.0', method, params });
      if (!this.#requests.publish(sender, body, {})) reject(new ConnectionClosed('The broker is away'));
    });
  }

  #send(call: PendingCall): void {
    try {
      const properties = { headers: call.headers, replyTo: 'amq.rabbitmq.reply-to' };
      // What is not on its way goes out in the next session.
      call.sent = this.#requests.publish(call, call.body, properties);
    } catch (error) {
      call.reject(error);
    }
  }

  /** Others fill the host's queue. What only reads waits for a gap; who changes something is told, and decides. */
  async #nacked(call: PendingCall): Promise<void> {
    call.sent = false;
    call.nacks += 1;
    if (!(await isRepeatable(call.method))) return call.reject(overloaded(call.hostId));
    await sleep(backoffMs(call.nacks, firstNackPauseMs, longestNackPauseMs));
    if (!call.sent && this.#pending.has(call.correlationId)) this.#send(call);
  }

  #answered(message: Message): void {
    const call = this.#pending.get(String(message.properties.correlationId));
    if (call === undefined) return; // its caller no longer waits
    try {
      const response = JSON.parse(message.content.toString()) as { result?: unknown; error?: WireError };
      if (response.error === undefined) call.resolve(response.result);
      else call.reject(HostbusError.fromWire(response.error));
    } catch (error) {
      call.reject(error);
    }
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const call of this.#pending.values()) {
      if (call.askAtMs > nowMs) continue;
      call.askIntervalMs = Math.min(call.askIntervalMs * 2, longestAskMs);
      call.askAtMs = nowMs + call.askIntervalMs;
      void this.#recover(call, false);
    }
  }

  /**
   * Finds out what became of a call whose answer may have been lost.
   * @param sessionLost - whether the place that its answer would come to has gone
   */
  async #recover(call: PendingCall, sessionLost: boolean): Promise<void> {
    if (!this.#pending.has(call.correlationId) || !call.sent) return;
    if (await isRepeatable(call.method)) {
      if (!sessionLost) return;
      // The first one may still hold its ID on the host, so the second gets one of its own.
      call.body = JSON.stringify({ ...(JSON.parse(call.body) as object), id: nanoid() });
      call.sent = false;
      this.#send(call);
      return;
    }
    if (!sessionLost && !call.known) return; // the broker has not confirmed it: the host cannot know more
    try {
      const task = await this.#ask(call);
      if (!this.#pending.has(call.correlationId)) return;
      // The record may be of an earlier task with this ID, when nobody knows whether the request arrived.
      const mayBeEarlier = !call.known && task.finishedAt !== undefined;
      if (task.method !== call.method || mayBeEarlier) throw new OutcomeUnknown(call.hostId, call.taskId);
      call.known = true;
      // Its answer is sent before any later one: an ended task that says it has answered has lost its answer.
      if (task.answered) settleFrom(task, call);
    } catch (error) {
      if (error instanceof HostbusError && error.name === 'TaskNotFound') {
        call.reject(new OutcomeUnknown(call.hostId, call.taskId, { cause: error }));
      } else if (error instanceof OutcomeUnknown) {
        call.reject(error);
      }
      // Anything else: the host cannot be asked at the moment; the call's own time-out stands.
    }
  }

  async #ask(call: PendingCall): Promise<Task> {
    for (;;) {
      try {
        const answer = await this.call(
          call.hostId,
          'getTaskStatus',
          { taskId: call.taskId },
          { timeout: askTimeoutMs },
        );
        return answer as Task;
      } catch (error) {
        // After a broker's restart the host may come back later than this client.
        if (!(error instanceof HostUnreachable) || performance.now() >= call.deadlineMs) throw error;
        await new Promise((resolve) => void setTimeout(resolve, retryUnreachableMs));
      }
    }
  }
}

type WireError = Parameters<typeof HostbusError.fromWire>[0];

function encode(method: string, params: unknown, id: string | number): string {
  return JSON.stringify({ jsonrpc: '2.0', method, params, id });
}

function settleFrom(task: Task, call: PendingCall): void {
  if (task.state === 'succeeded') call.resolve(task.result);
  else if (task.error !== undefined) call.reject(HostbusError.fromWire(task.error as WireError));
}

function lostBeforeConfirm(cause: Error): ConnectionClosed {
  return new ConnectionClosed('The connection was lost before the broker confirmed', { cause });
}

function headersOf({ flowId, traceparent }: CallOptions): Buffer | undefined {
  if (flowId === undefined && traceparent === undefined) return undefined;
  return encodeHeaders({
    ...(flowId === undefined ? {} : { 'flow-id': flowId }),
    ...(traceparent === undefined ? {} : { traceparent }),
  });
}

function overloaded(hostId: string): HostbusError {
  return new HostbusError(
    'Overloaded',
    `The broker did not take the request for host ${hostId}: its queue is full, or is just going; try again later`,
    { retryAfter: 1000 },
  );
}
