import type { Config } from '../../schemas/config.ts';
import { HostbusError } from '../../schemas/errors.ts';
import type { Happening } from '../../schemas/events.ts';
import { isEnd, type Task } from '../../schemas/task.ts';
import type { Caller, CallObserver, ObservedCall } from '../rpc/call-observer.ts';
import type { Pages } from './listener.ts';
import type { CallMetrics, Metrics } from './metrics.ts';
import type { MonitoredHost } from './monitored-host.ts';
import type { CallSpan, Traces } from './traces.ts';

/** The address of `monitoring.listen` cannot be listened on. */
export class ListenRefused extends Error {
  override readonly name = 'ListenRefused';
}

export type MakeMonitoring = (host: MonitoredHost) => Monitoring;

/** Loads the libraries that the configuration needs, and no others; undefined where it asks for nothing. */
export async function loadMonitoring(config: Config): Promise<MakeMonitoring | undefined> {
  const { listen } = config.monitoring;
  const { endpoint } = config.traces;
  if (listen === undefined && endpoint === undefined) return undefined;
  const metricsRoom = listen === undefined ? undefined : await import('./metrics.ts');
  const tracesRoom = endpoint === undefined ? undefined : await import('./traces.ts');
  return (host) =>
    new Monitoring(host, {
      listen,
      metrics: metricsRoom && new metricsRoom.Metrics(host),
      traces: tracesRoom && new tracesRoom.Traces(endpoint ?? '', host),
    });
}

interface Parts {
  readonly listen: string | undefined;
  readonly metrics: Metrics | undefined;
  readonly traces: Traces | undefined;
}

export class Monitoring implements CallObserver {
  readonly #host: MonitoredHost;
  readonly #parts: Parts;

  constructor(host: MonitoredHost, parts: Parts) {
    this.#host = host;
    this.#parts = parts;
  }

  begin(method: string | undefined, caller: Caller, id?: string | number): ObservedCall {
    const { metrics, traces } = this.#parts;
    return new WatchedCall(metrics?.callsOf(method), traces?.begin(method, caller, id));
  }

  /** To be told of each event, once the state that it reports can be read. */
  happened(happening: Happening): void {
    const { metrics, traces } = this.#parts;
    metrics?.happened(happening);
    if (happening.kind !== 'task') return;
    if (isEnd(happening.event)) traces?.taskEnded(happening.data as Task, happening.traceparent);
  }

  /** @throws ListenRefused */
  async listen(): Promise<void> {
    const { listen, metrics } = this.#parts;
    if (listen === undefined || metrics === undefined) return;
    const { serveHttp, plainText } = await import('./listener.ts');
    const { log, notReady } = this.#host;
    const pages: Pages = {
      '/metrics': async () => ({ status: 200, type: metrics.contentType, body: await metrics.text() }),
      '/healthz': () => plainText(200, 'ok'),
      '/readyz': () => {
        const reason = notReady();
        return reason === undefined ? plainText(200, 'ready') : plainText(503, `not ready: ${reason}`);
      },
    };
    try {
      const url = await serveHttp(listen, log, pages);
      log.info({ url }, 'serves metrics and health');
    } catch (error) {
      const { message } = error as Error;
      throw new ListenRefused(
        `monitoring.listen: cannot listen on ${listen}: ${message}. Name a free port and an address of this machine, or leave the key out`,
        { cause: error },
      );
    }
  }

  /** Sends the last spans, for as long as `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    await this.#parts.traces?.close(timeoutMs);
  }
}

class WatchedCall implements ObservedCall {
  readonly #metrics: CallMetrics | undefined;
  readonly #span: CallSpan | undefined;
  readonly #beganMs = performance.now();

  constructor(metrics: CallMetrics | undefined, span: CallSpan | undefined) {
    this.#metrics = metrics;
    this.#span = span;
  }

  get traceparent(): string | undefined {
    return this.#span?.traceparent;
  }

  answered(error?: unknown): void {
    const failure = error === undefined ? undefined : asHostbusError(error);
    this.#metrics?.answered(failure?.name ?? 'ok', (performance.now() - this.#beganMs) / 1000);
    this.#span?.end(failure);
  }
}

/** As the caller is told. */
function asHostbusError(error: unknown): HostbusError {
  return error instanceof HostbusError
    ? error
    : new HostbusError('InternalError', 'The daemon made a mistake');
}
