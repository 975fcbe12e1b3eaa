/** JSON-RPC 2.0: from the bytes of a request to the text of its answer. Knows verbs and tasks; never sees a message. */
import {
  createJSONRPCErrorResponse,
  type JSONRPCErrorResponse,
  type JSONRPCResponse,
  JSONRPCServer,
} from 'json-rpc-2.0';
import { nanoid } from 'nanoid';
import type { Logger } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { Verb } from '../../schemas/verb.ts';
import type { LiveTask } from '../tasks/live-task.ts';
import type { Implementation, ImplementationsOf } from '../tasks/task-context.ts';
import type { TaskTable } from '../tasks/task-table.ts';
import type { AccessCheck } from './access.ts';
import { parseBody } from './body.ts';
import type { Caller, CallObserver } from './call-observer.ts';
import { compileParams } from './params.ts';
import { checkRequest, echoableId, type Request } from './request.ts';

/** A verb together with the function that does it. */
export interface ServedVerb {
  readonly verb: Verb;
  readonly implementation: Implementation<Verb>;
}

/** Pairs a declaration with its implementation, checked against each other. */
export function serve<V extends Verb>(verb: V, implementation: Implementation<NoInfer<V>>): ServedVerb {
  return { verb, implementation: implementation as unknown as Implementation<Verb> };
}

/** Pairs each declaration of a list with its implementation. */
export function serveAll<List extends readonly Verb[]>(
  verbs: List,
  implementations: ImplementationsOf<List>,
): ServedVerb[] {
  const byName = implementations as Readonly<Record<string, unknown>>;
  return verbs.map((verb) => ({ verb, implementation: byName[verb.name] as Implementation<Verb> }));
}

/** Sends an answer; undefined where the caller wants none. */
export type Reply = ((payload: string) => void) | undefined;

export interface RpcServerOptions {
  readonly verbs: readonly ServedVerb[];
  readonly tasks: TaskTable;
  readonly access: AccessCheck;
  readonly log: Logger;
  readonly maxRequestBytes: number;
  readonly observer?: CallObserver | undefined;
}

const maxBatch = 100;

/** What one entry of a body is handled with, and what it leaves for the answer. */
interface Entry {
  readonly caller: Caller;
  task: LiveTask | undefined;
  /** IDs that earlier entries of the same batch were accepted with. */
  readonly taken: Map<string, LiveTask> | undefined;
}

export class RpcServer {
  readonly #options: RpcServerOptions;
  readonly #server: JSONRPCServer<Entry>;

  constructor(options: RpcServerOptions) {
    this.#options = options;
    this.#server = new JSONRPCServer<Entry>({
      errorListener: (message, error) => options.log.error({ err: error }, message),
    });
    // Its default would send any thrown message, with code 0.
    this.#server.mapErrorToJSONRPCErrorResponse = (id, error) => this.#errorResponse(id, error);
    for (const { verb, implementation } of options.verbs) this.#add(verb, implementation);
  }

  /**
   * Handles one body: a request, a notification or a batch. Never throws, never rejects.
   * @param reply - called at most once, when all that is to be answered has been answered
   */
  async handle(body: Buffer, caller: Caller, reply: Reply): Promise<void> {
    let parsed: unknown;
    try {
      parsed = parseBody(body, this.#options.maxRequestBytes);
    } catch (error) {
      this.#send(this.#refusal(null, error, caller), reply);
      return;
    }
    if (Array.isArray(parsed)) await this.#handleBatch(parsed, caller, reply);
    else await this.#handleOne(parsed, caller, reply);
  }

  /** Answers a request that could not be looked at: its body is not read. */
  refuse(error: HostbusError, caller: Caller, reply: Reply): void {
    this.#send(this.#refusal(null, error, caller), reply);
  }

  async #handleOne(value: unknown, caller: Caller, reply: Reply): Promise<void> {
    const entry: Entry = { caller, task: undefined, taken: undefined };
    const response = await this.#respond(value, entry);
    if (response !== null && this.#send(response, reply)) entry.task?.markAnswered();
  }

  async #handleBatch(values: readonly unknown[], caller: Caller, reply: Reply): Promise<void> {
    if (values.length === 0 || values.length > maxBatch) {
      const message = `A batch has 1 to ${maxBatch} entries; this one has ${values.length}`;
      this.#send(this.#refusal(null, new HostbusError('InvalidRequest', message), caller), reply);
      return;
    }
    const taken = new Map<string, LiveTask>();
    const entries = values.map((): Entry => ({ caller, task: undefined, taken }));
    const responses = await Promise.all(entries.map((entry, i) => this.#respond(values[i], entry)));
    const answers = responses.filter((response) => response !== null);
    if (answers.length > 0 && this.#send(answers, reply)) {
      for (const [i, entry] of entries.entries()) if (responses[i] !== null) entry.task?.markAnswered();
    }
  }

  /** The response of one entry; null for notifications. */
  async #respond(value: unknown, entry: Entry): Promise<JSONRPCResponse | null> {
    let request: Request;
    try {
      request = checkRequest(value);
      if (!this.#server.hasMethod(request.method)) throw methodNotFound(request.method);
    } catch (error) {
      // A notification is never answered; what is no request at all is answered with a null id.
      const silent =
        error instanceof HostbusError &&
        error.name === 'MethodNotFound' &&
        !Object.hasOwn(value as object, 'id');
      const refusal = this.#refusal(echoableId(value), error, entry.caller);
      return silent ? null : refusal;
    }
    return this.#server.receive(request, entry);
  }

  #add(verb: Verb, implementation: Implementation<Verb>): void {
    const { tasks, access, observer } = this.#options;
    const checkParams = compileParams(verb);
    this.#server.addMethodAdvanced(verb.name, async (rpcRequest, entry) => {
      const request = rpcRequest as Request;
      const { id } = request;
      const { caller, taken } = entry;
      const observed = observer?.begin(verb.name, caller, id);
      try {
        const taskId = id === undefined ? nanoid() : String(id);
        const twin = taken?.get(taskId);
        if (twin !== undefined) throw idTakenInBatch(taskId, twin);
        access(caller.user, verb);
        const params = checkParams(request.params) as Record<string, unknown>;
        const laneKey = verb.laneKey?.(params);
        const task = tasks.accept({
          taskId,
          method: verb.name,
          query: verb.query,
          cancellable: verb.cancellable,
          lane: verb.lane,
          ...(laneKey === undefined ? {} : { laneKey }),
          subject: verb.subject?.(params),
          user: caller.user,
          flowId: caller.flowId,
          traceparent: observed?.traceparent ?? caller.traceparent,
          run: (context) => implementation(params, context),
        });
        entry.task = task;
        taken?.set(taskId, task);
        const result = await task.outcome;
        observed?.answered();
        return id === undefined ? null : { jsonrpc: '2.0', id, result };
      } catch (error) {
        observed?.answered(error);
        return id === undefined ? null : this.#errorResponse(id, error);
      }
    });
  }

  /** What names no verb that is served here. */
  #refusal(id: string | number | null, error: unknown, caller: Caller): JSONRPCErrorResponse {
    this.#options.observer?.begin(undefined, caller, id ?? undefined).answered(error);
    return this.#errorResponse(id, error);
  }

  #errorResponse(id: string | number | null, error: unknown): JSONRPCErrorResponse {
    if (!(error instanceof HostbusError)) {
      this.#options.log.error({ err: error }, 'a request failed unexpectedly');
      error = new HostbusError('InternalError', "The daemon made a mistake; the host's log has the details");
    }
    const { code, message, data } = (error as HostbusError).toJSON();
    return createJSONRPCErrorResponse(id, code, message, data);
  }

  #send(response: JSONRPCResponse | readonly JSONRPCResponse[], reply: Reply): boolean {
    if (reply === undefined) return false;
    reply(JSON.stringify(response));
    return true;
  }
}

function methodNotFound(method: string): HostbusError {
  const shown = method.length > 100 ? `${method.slice(0, 100)}…` : method;
  return new HostbusError(
    'MethodNotFound',
    `This host serves no verb ${JSON.stringify(shown)} (rpc.discover lists them)`,
    {
      method: shown,
    },
  );
}

function idTakenInBatch(taskId: string, holder: LiveTask): HostbusError {
  return new HostbusError('TaskIdInUse', `Task ID ${JSON.stringify(taskId)} is used twice in this batch`, {
    task: holder.toJSON(),
  });
}
