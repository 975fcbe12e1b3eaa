/** The verbs that ask about the host itself. */
import os from 'node:os';
import * as host from '../../schemas/host.ts';
import { openRpcDocument, protocolVersion } from '../../schemas/openrpc.ts';
import { version } from '../lib/version.ts';
import { type ServedVerb, serve } from '../rpc/rpc-server.ts';

export interface HostFacts {
  readonly hostId: string;
  readonly bootId: string;
  readonly startedAt: Date;
  features(): string[];
  domains(): host.HostInfo['domains'];
  tasks(): host.HostStats['tasks'];
  events(): host.HostStats['events'];
  broker(): host.HostStats['broker'];
}

/** @param others - the verbs that the host serves beside these, for rpc.discover */
export function hostVerbs(facts: HostFacts, others: readonly ServedVerb[]): ServedVerb[] {
  const { hostId, bootId } = facts;
  const verbs = [
    serve(host.ping, () => ({ hostId, bootId, time: new Date().toISOString() })),
    serve(host.getHostInfo, () => hostInfo(facts)),
    serve(host.getHostStats, () => hostStats(facts)),
    serve(host.discover, () => document()),
  ];
  let made: Record<string, unknown> | undefined;
  const document = () => {
    made ??= openRpcDocument(
      [...verbs, ...others].map(({ verb }) => verb),
      version,
    );
    return made;
  };
  return verbs;
}

export function hostInfo(facts: HostFacts): host.HostInfo {
  return {
    hostId: facts.hostId,
    bootId: facts.bootId,
    startedAt: facts.startedAt.toISOString(),
    version,
    protocol: protocolVersion,
    node: process.version,
    os: `${os.type()} ${os.release()}`,
    cpus: os.availableParallelism(),
    memoryTotal: os.totalmem(),
    features: facts.features(),
    domains: facts.domains(),
  };
}

export function hostStats(facts: HostFacts): host.HostStats {
  const { user, system } = process.cpuUsage();
  return {
    uptime: process.uptime(),
    rss: residentBytes(),
    cpuSeconds: (user + system) / 1e6,
    loadAverage: os.loadavg(),
    tasks: facts.tasks(),
    events: facts.events(),
    broker: facts.broker(),
  };
}

let lastResidentBytes = 0;

/** Reading it opens a file of /proc: where no descriptor is left, what was read last is told. */
function residentBytes(): number {
  try {
    lastResidentBytes = process.memoryUsage.rss();
  } catch {
    // A heartbeat that cannot tell this is no reason for the daemon to end.
  }
  return lastResidentBytes;
}
