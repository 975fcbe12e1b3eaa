/**
 * Spans of calls and tasks, for callers who record a trace: their `traceparent` says so. Others cost nothing.
 * A collector that is away or slow costs spans, never work: they wait in a bounded queue, and the oldest of what is too much are lost.
 */
import {
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import type { HostbusError } from '../../schemas/errors.ts';
import type { Task } from '../../schemas/task.ts';
import { version } from '../lib/version.ts';
import type { Caller } from '../rpc/call-observer.ts';

interface Origin {
  readonly hostId: string;
  readonly bootId: string;
  readonly log: Logger;
}

/** Soon enough to be looked at, seldom enough to cost nothing; what is much leaves earlier. */
const sendEveryMs = 500;

export class Traces {
  readonly #tracer: Tracer;
  readonly #provider: TracerProvider;

  /** @param endpoint - where the collector takes spans, by OTLP over HTTP */
  constructor(endpoint: string, { hostId, bootId, log }: Origin) {
    const exporter = toldOnce(new OTLPTraceExporter({ url: endpoint }), endpoint, log);
    this.#provider = new TracerProvider({
      resource: resourceFromAttributes({
        'service.name': 'hostbusd',
        'service.version': version,
        'service.instance.id': hostId,
        'hostbus.boot.id': bootId,
      }),
      spanProcessors: [new BatchSpanProcessor({ exporter, scheduledDelayMillis: sendEveryMs })],
    });
    this.#tracer = this.#provider.getTracer('hostbus', version);
  }

  /** The span of a call; undefined where its caller records no trace. */
  begin(method: string | undefined, caller: Caller, id: string | number | undefined): CallSpan | undefined {
    const parent = recordedContext(caller.traceparent);
    if (parent === undefined) return undefined;
    const span = this.#tracer.startSpan(
      method ?? 'jsonrpc',
      {
        kind: SpanKind.SERVER,
        attributes: {
          'rpc.system.name': 'jsonrpc',
          'rpc.method': method ?? '_OTHER',
          'messaging.system.name': 'rabbitmq',
          ...(id === undefined ? {} : { 'jsonrpc.request.id': String(id) }),
          ...(caller.user === undefined ? {} : { 'user.id': caller.user }),
          ...(caller.flowId === undefined ? {} : { 'hostbus.flow.id': caller.flowId }),
        },
      },
      parent,
    );
    return new CallSpan(span);
  }

  /** The span of a task that has ended, below the span of the call that began it. */
  taskEnded(task: Task, traceparent: string | undefined): void {
    const parent = recordedContext(traceparent);
    if (parent === undefined) return;
    const { taskId, method, state, createdAt, startedAt, finishedAt, subject, error } = task;
    const span = this.#tracer.startSpan(
      `task ${method}`,
      {
        kind: SpanKind.INTERNAL,
        startTime: new Date(createdAt),
        attributes: {
          'hostbus.task.id': taskId,
          'hostbus.task.state': state,
          ...(subject === undefined ? {} : { [`hostbus.${subject.kind}.id`]: subject.id }),
        },
      },
      parent,
    );
    if (startedAt !== undefined) span.addEvent('started', new Date(startedAt));
    if (error !== undefined) fail(span, error.data.name, error.message);
    span.end(new Date(finishedAt ?? Date.now()));
  }

  /** Sends what is left, for as long as `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    await this.#provider.forceFlush({ timeoutMillis: timeoutMs }).catch(() => {});
  }
}

export class CallSpan {
  readonly traceparent: string;
  readonly #span: Span;

  constructor(span: Span) {
    const { traceId, spanId } = span.spanContext();
    this.traceparent = `00-${traceId}-${spanId}-01`;
    this.#span = span;
  }

  end(error: HostbusError | undefined): void {
    if (error !== undefined) {
      fail(this.#span, error.name, error.message);
      this.#span.setAttribute('rpc.status_code', String(error.code));
    }
    this.#span.end();
  }
}

function fail(span: Span, name: string, message: string): void {
  span.setAttribute('error.type', name);
  span.setStatus({ code: SpanStatusCode.ERROR, message });
}

/** The context that a `traceparent` names, where its caller records it. */
function recordedContext(traceparent: string | undefined) {
  if (traceparent === undefined) return undefined;
  const [format, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
  const traceFlags = Number.parseInt(flags, 16);
  const context = { traceId, spanId, traceFlags, isRemote: true };
  if (format === 'ff' || (traceFlags & TraceFlags.SAMPLED) === 0 || !trace.isSpanContextValid(context))
    return undefined;
  return trace.setSpanContext(ROOT_CONTEXT, context);
}

/** An exporter whose failures are said in the log: one line when they begin, one when they end. */
function toldOnce(exporter: SpanExporter, endpoint: string, log: Logger): SpanExporter {
  let failing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const { error } = result;
        if (error !== undefined && !failing) {
          log.warn({ err: error, endpoint, spans: spans.length }, 'spans could not be sent, and are lost');
        } else if (error === undefined && failing) {
          log.info({ endpoint }, 'spans can be sent again');
        }
        failing = error !== undefined;
        done({ code: 0 });
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: async () => exporter.forceFlush?.(),
  };
}
