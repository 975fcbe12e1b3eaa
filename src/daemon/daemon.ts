/** The composition root: configuration → bus → rpc → tasks → verbs, and how it all starts and stops. */
import { nanoid } from 'nanoid';
import type { Logger } from 'pino';
import type { Config } from '../../schemas/config.ts';
import { HostbusError } from '../../schemas/errors.ts';
import type { Happening } from '../../schemas/events.ts';
import { glusterVerbs } from '../../schemas/gluster-verbs.ts';
import type { ImageRef } from '../../schemas/image.ts';
import { BrokerLink } from '../bus/broker-link.ts';
import { EventPublisher } from '../bus/event-publisher.ts';
import { type IncomingRequest, RequestConsumer } from '../bus/request-consumer.ts';
import { readTlsFiles } from '../bus/tls.ts';
import { createGluster, type Gluster } from '../gluster/gluster.ts';
import { withinMs } from '../lib/within-ms.ts';
import type { MakeMonitoring, Monitoring } from '../monitoring/monitoring.ts';
import { compileAccess } from '../rpc/access.ts';
import { RpcServer, type ServedVerb, serveAll } from '../rpc/rpc-server.ts';
import { createStorage, type Storage } from '../storage/storage.ts';
import { TaskTable } from '../tasks/task-table.ts';
import { type HostFacts, hostInfo, hostStats, hostVerbs } from './host-verbs.ts';
import { createLog } from './log.ts';
import { storageVerbs } from './storage-verbs.ts';
import { taskVerbs } from './task-verbs.ts';

/** How long running tasks have to stop in, and unsent events and spans to leave in, when the daemon is asked to stop. */
const tasksStopMs = 2000;
const flushMs = 800;
/** How many bodies of the largest size may wait in the broker: enough for a burst, and read in less than a second. */
const largestBodiesQueued = 64;

export interface DaemonOptions {
  /** Verbs beside the host's own; for tests and benchmarks of the bus. */
  readonly extraVerbs?: readonly ServedVerb[];
  readonly makeMonitoring?: MakeMonitoring | undefined;
}

export class Daemon {
  readonly bootId = nanoid();
  readonly log: Logger;
  readonly config: Config;
  readonly #startedAt = new Date();
  readonly #publisher: EventPublisher;
  readonly #tasks: TaskTable;
  readonly #storage: Storage;
  readonly #gluster: Gluster;
  readonly #ownVerbs: readonly ServedVerb[];
  readonly #facts: HostFacts;
  readonly #monitoring: Monitoring | undefined;
  readonly #rpc: RpcServer;
  readonly #consumer: RequestConsumer;
  readonly #link: BrokerLink;
  #connectedAt: Date | undefined;
  #sessions = 0;
  #heartbeat: NodeJS.Timeout | undefined;
  #stopping = false;

  constructor(config: Config, options: DaemonOptions = {}) {
    const { bootId } = this;
    const hostId = config.host_id;
    this.config = config;
    this.log = createLog(config.log, hostId, bootId);
    const { log } = this;
    const emit = (happening: Happening) => this.#emit(happening);
    this.#publisher = new EventPublisher({ hostId, bootId, bufferMax: config.events.buffer_max });
    const startTask = (method: string, params: ImageRef) => this.#startTask(method, params);
    const stepAside = (taskId: string) => this.#tasks.stepAside(taskId);
    const { roots, probe_interval, probe_timeout } = config.storage;
    this.#storage = createStorage(
      { hostId, bootId, roots, log, emit, startTask, stepAside },
      {
        probeIntervalMs: probe_interval * 1000,
        lookLimitMs: probe_timeout * 1000,
        readsAtOnce: config.tasks.lanes.read,
      },
    );
    this.#gluster = createGluster({
      hostId,
      bootId,
      log,
      program: config.gluster.program,
      timeoutS: config.gluster.timeout,
      emit,
      operationIntervalMs: config.gluster.operation_interval * 1000,
      operationIdleIntervalMs: config.gluster.operation_idle_interval * 1000,
      operationStaleAfterMs: config.gluster.operation_stale_after * 1000,
    });
    this.#tasks = new TaskTable({
      hostId,
      bootId,
      log,
      max: config.tasks.max,
      retentionMs: config.tasks.retention * 1000,
      retainedMax: config.tasks.retained_max,
      lanes: config.tasks.lanes,
      emit,
    });
    this.#ownVerbs = [
      ...storageVerbs(this.#storage),
      ...serveAll(glusterVerbs, this.#gluster.implementations),
    ];
    const others = [...taskVerbs(() => this.#tasks), ...this.#ownVerbs, ...(options.extraVerbs ?? [])];
    this.#facts = {
      hostId,
      bootId,
      startedAt: this.#startedAt,
      features: () => ['storage', ...(this.#gluster.installed() ? ['gluster'] : [])],
      domains: () => this.#storage.domains().map(({ domainId, status }) => ({ domainId, status })),
      tasks: () => this.#tasks.counts(),
      events: () => this.#publisher.counts(),
      broker: () => this.#brokerStats(),
    };
    const verbs = [...hostVerbs(this.#facts, others), ...others];
    this.#monitoring = options.makeMonitoring?.({
      ...this.#facts,
      log,
      verbs: () => verbs.map(({ verb }) => verb),
      tasksMax: config.tasks.max,
      tasksByLane: () => this.#tasks.countsByLane(),
      broker: () => ({ ...this.#brokerStats(), blocked: this.#publisher.isBlocked }),
      domains: () => this.#storage.domains(),
      notReady: () => this.#notReady(),
    });
    this.#rpc = new RpcServer({
      verbs,
      tasks: this.#tasks,
      access: compileAccess(config.access),
      log,
      maxRequestBytes: config.rpc.max_request_bytes,
      observer: this.#monitoring,
    });
    this.#consumer = new RequestConsumer({
      hostId,
      bootId,
      log,
      prefetch: config.broker.prefetch,
      queueMaxLength: config.broker.queue_max_length,
      queueMaxBytes: largestBodiesQueued * config.rpc.max_request_bytes,
      // A broker takes up to two heartbeats to notice that a peer is gone, and a little more to clean up.
      hostIdWaitMs: (2 * config.broker.heartbeat + 5) * 1000,
      onRequest: (request) => this.#receive(request),
    });
    this.#link = new BrokerLink(
      {
        urls: config.broker.url,
        tls: readTlsFiles(config.broker.tls),
        name: `hostbusd ${hostId}`,
        heartbeatSeconds: config.broker.heartbeat,
        log,
      },
      {
        setUp: async (session) => {
          await this.#consumer.declare(session);
          await this.#publisher.setUp(session);
          this.#connectedAt = new Date();
          this.#sessions += 1;
          // Last: whoever is answered finds a session that is whole.
          await this.#consumer.setUp(session);
        },
        lost: () => this.#sessionLost(),
        attemptFailed: () => this.#sessionLost(),
        blocked: (reason) => this.#publisher.blocked(reason !== undefined),
      },
    );
  }

  /** Serves until `stop()`. Rejects when it cannot: the host ID is taken, or the address for those who watch. */
  async run(): Promise<void> {
    this.log.info({ node: process.version, pid: process.pid }, 'hostbusd starts');
    await this.#monitoring?.listen();
    this.#emitHost('started');
    // One that waits for the broker would tell of a moment that is over, and all hosts' would come at once after an outage.
    const beat = () => {
      if (this.#connectedAt !== undefined) this.#emitHost('heartbeat');
    };
    this.#heartbeat = setInterval(beat, this.config.events.heartbeat * 1000);
    const domains = this.config.storage.domains.map(({ id, path, continue_copies }) => ({
      id,
      path,
      continueCopies: continue_copies ?? 'manual',
    }));
    void this.#storage.connectConfigured(domains);
    this.#gluster.watch();
    await this.#link.run();
    this.log.info('hostbusd has stopped');
  }

  /** Stops in a few seconds: no more requests, tasks told to stop, events sent. What is not done by then is found as after a crash. */
  async stop(why: string): Promise<void> {
    this.log.info({ why }, 'hostbusd stops');
    this.#stopping = true;
    clearInterval(this.#heartbeat);
    this.#emitHost('stopping');
    await withinMs(500, this.#consumer.stopTaking());
    this.#storage.stopping();
    await withinMs(500, this.#gluster.close());
    this.#tasks.stopAll();
    await this.#tasks.whenIdle(tasksStopMs);
    await Promise.all([
      this.#connectedAt === undefined ? undefined : this.#publisher.flush(flushMs),
      this.#monitoring?.close(flushMs),
    ]);
    await this.#storage.close();
    await this.#link.stop();
  }

  #receive(request: IncomingRequest): void {
    const { body, defect, reply, user, flowId, traceparent } = request;
    const caller = { user, flowId, traceparent };
    if (defect === undefined) void this.#rpc.handle(body, caller, reply);
    else this.#rpc.refuse(new HostbusError('InvalidRequest', defect), caller, reply);
  }

  /** A task of the daemon's own: it has a record and events like any other, and no user. Rejects with what it failed with. */
  async #startTask(method: string, params: ImageRef): Promise<unknown> {
    const served = this.#ownVerbs.find(({ verb }) => verb.name === method);
    if (served === undefined) throw new TypeError(`no verb ${method}`);
    const { verb, implementation } = served;
    const laneKey = verb.laneKey?.(params);
    const task = this.#tasks.accept({
      taskId: nanoid(),
      method,
      query: verb.query,
      cancellable: verb.cancellable,
      lane: verb.lane,
      ...(laneKey === undefined ? {} : { laneKey }),
      subject: verb.subject?.(params),
      run: (context) => implementation(params, context),
    });
    return task.outcome;
  }

  #sessionLost(): void {
    this.#connectedAt = undefined;
    this.#consumer.lost();
    this.#publisher.lost();
  }

  #brokerStats(): ReturnType<HostFacts['broker']> {
    const reconnects = Math.max(0, this.#sessions - 1);
    return this.#connectedAt === undefined
      ? { reconnects }
      : { connectedAt: this.#connectedAt.toISOString(), reconnects };
  }

  #emitHost(event: 'started' | 'heartbeat' | 'stopping'): void {
    const data = event === 'started' ? hostInfo(this.#facts) : hostStats(this.#facts);
    this.#emit({ kind: 'host', event, id: this.#facts.hostId, data });
  }

  #emit(happening: Happening): void {
    this.#publisher.publish(happening);
    this.#monitoring?.happened(happening);
  }

  #notReady(): string | undefined {
    if (this.#stopping) return 'the daemon is stopping';
    if (this.#connectedAt === undefined)
      return 'no session with the broker, or another daemon holds the host ID';
    return this.#publisher.isBlocked ? 'the broker has blocked publishing (memory or disk alarm)' : undefined;
  }
}
