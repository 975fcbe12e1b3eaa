/** What the host knows of itself anyway, read when somebody asks. */
import { Counter, Gauge, type Registry } from 'prom-client';
import { domainStates } from '../../schemas/domain.ts';
import { version } from '../lib/version.ts';
import type { MonitoredHost } from './monitored-host.ts';

export function watchHost(registry: Registry, host: MonitoredHost): void {
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(read());
      },
    });

  new Gauge({
    name: 'hostbus_build_info',
    help: 'Always 1: which host, and which version of the daemon.',
    labelNames: ['host_id', 'version'],
    registers,
  }).set({ host_id: host.hostId, version }, 1);

  new Gauge({
    name: 'hostbus_tasks',
    help: 'Tasks and queries that are queued or running, by lane.',
    labelNames: ['lane', 'state'],
    registers,
    collect() {
      for (const [lane, { queued, running }] of Object.entries(host.tasksByLane())) {
        this.set({ lane, state: 'queued' }, queued);
        this.set({ lane, state: 'running' }, running);
      }
    },
  });
  gauge('hostbus_tasks_limit', 'Tasks that may be queued or running (tasks.max).', () => host.tasksMax);
  gauge('hostbus_task_records', 'Records of ended tasks that are kept.', () => host.tasks().retained);
  counter('hostbus_tasks_accepted_total', 'Tasks accepted, queries aside.', () => host.tasks().accepted);
  counter(
    'hostbus_tasks_refused_total',
    'Calls refused since their task ID was in use, or since too many tasks were.',
    () => host.tasks().refused,
  );

  counter(
    'hostbus_events_published_total',
    'Events that the broker has confirmed.',
    () => host.events().published,
  );
  counter('hostbus_events_dropped_total', 'Events lost since too many waited.', () => host.events().dropped);
  gauge('hostbus_events_buffered', 'Events that wait for the broker.', () => host.events().buffered);

  gauge('hostbus_ready', '1 while requests are served, as /readyz tells.', () =>
    host.notReady() === undefined ? 1 : 0,
  );
  gauge('hostbus_broker_connected', '1 while there is a session with the broker.', () =>
    host.broker().connectedAt === undefined ? 0 : 1,
  );
  gauge('hostbus_broker_blocked', '1 while the broker takes no messages (memory or disk alarm).', () =>
    host.broker().blocked ? 1 : 0,
  );
  counter(
    'hostbus_broker_reconnects_total',
    'Sessions with the broker after the first.',
    () => host.broker().reconnects,
  );

  watchDomains(registry, host);
}

function watchDomains(registry: Registry, host: MonitoredHost): void {
  const registers = [registry];
  new Gauge({
    name: 'hostbus_domain_status',
    help: 'Storage domains as they were last seen: 1 for the status that each has.',
    labelNames: ['domain', 'status'],
    registers,
    collect() {
      this.reset();
      for (const { domainId, status } of host.domains()) {
        for (const each of domainStates)
          this.set({ domain: domainId, status: each }, each === status ? 1 : 0);
      }
    },
  });
  // What a domain that is down last told is no longer so.
  const sizeGauge = (name: string, help: string, key: 'capacity' | 'available' | 'readDelay') =>
    new Gauge({
      name,
      help,
      labelNames: ['domain'],
      registers,
      collect() {
        this.reset();
        for (const domain of host.domains()) {
          if (domain.status !== 'down') this.set({ domain: domain.domainId }, domain[key]);
        }
      },
    });
  sizeGauge('hostbus_domain_capacity_bytes', "Size of the domain's file system.", 'capacity');
  sizeGauge('hostbus_domain_available_bytes', "Space left in the domain's file system.", 'available');
  sizeGauge('hostbus_domain_read_delay_seconds', "How long reading the domain's metadata took.", 'readDelay');
}
