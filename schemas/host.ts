/** The host itself. */
import Type from 'typebox';
import { BootId, HostId, NoParams, OpenObject, Timestamp } from './common.ts';
import { domainStates } from './domain.ts';
import { defineVerb } from './verb.ts';

const Count = Type.Integer({ minimum: 0 });

export const HostInfo = OpenObject({
  hostId: HostId,
  bootId: BootId,
  startedAt: Timestamp,
  version: Type.String({ description: 'Version of the daemon' }),
  protocol: Type.String({ description: 'Version of the wire contract: major.minor' }),
  node: Type.String({ description: 'Version of Node.js' }),
  os: Type.String(),
  cpus: Count,
  memoryTotal: Type.Integer({ minimum: 0, description: 'Bytes' }),
  features: Type.Array(Type.String()),
  domains: Type.Array(OpenObject({ domainId: Type.String(), status: Type.Enum([...domainStates]) })),
});
export type HostInfo = Type.Static<typeof HostInfo>;

export const HostStats = OpenObject({
  uptime: Type.Number({ minimum: 0, description: 'Seconds since the daemon started' }),
  rss: Type.Integer({ minimum: 0, description: 'Resident memory in bytes' }),
  cpuSeconds: Type.Number({ minimum: 0, description: 'CPU time of the daemon, user and system' }),
  loadAverage: Type.Array(Type.Number(), { description: 'Of the machine, over 1, 5 and 15 minutes' }),
  tasks: OpenObject({ queued: Count, running: Count, retained: Count, accepted: Count, refused: Count }),
  events: OpenObject({ published: Count, buffered: Count, dropped: Count }),
  broker: OpenObject({
    connectedAt: Type.Optional(Timestamp),
    reconnects: Count,
  }),
});
export type HostStats = Type.Static<typeof HostStats>;

export const ping = defineVerb({
  name: 'ping',
  doc: 'Answers at once.',
  params: NoParams,
  result: OpenObject({ hostId: HostId, bootId: BootId, time: Timestamp }),
  errors: [],
  access: 'read',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: {},
});

export const getHostInfo = defineVerb({
  name: 'getHostInfo',
  doc: 'Tells what the host is: versions, size, features, storage domains.',
  params: NoParams,
  result: HostInfo,
  errors: [],
  access: 'read',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: {},
});

export const getHostStats = defineVerb({
  name: 'getHostStats',
  doc: 'Tells how the host is doing: load, memory, tasks, events, its connection to the broker.',
  params: NoParams,
  result: HostStats,
  errors: [],
  access: 'read',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: {},
});

export const discover = defineVerb({
  name: 'rpc.discover',
  doc: 'Answers with the OpenRPC document of the verbs that this host serves.',
  params: NoParams,
  result: Type.Object({}, { description: 'An OpenRPC 1.x document' }),
  errors: [],
  access: 'read',
  lane: 'memory',
  query: true,
  cancellable: false,
  example: {},
});
