/** What monitoring is given of the daemon. */
import type { Logger } from 'pino';
import type { Domain } from '../../schemas/domain.ts';
import type { HostStats } from '../../schemas/host.ts';
import type { LaneName, Verb } from '../../schemas/verb.ts';

/** What is read of the host, at the time of a scrape. */
export interface MonitoredHost {
  readonly hostId: string;
  readonly bootId: string;
  readonly log: Logger;
  /** All that it serves. */
  verbs(): readonly Verb[];
  /** Queries included. */
  tasksByLane(): Readonly<Record<LaneName, { queued: number; running: number }>>;
  readonly tasksMax: number;
  tasks(): HostStats['tasks'];
  events(): HostStats['events'];
  broker(): HostStats['broker'] & { blocked: boolean };
  /** As they were last seen. */
  domains(): readonly Domain[];
  /** Why it does not serve requests; undefined: it does. */
  notReady(): string | undefined;
}
