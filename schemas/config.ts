/** The daemon's configuration: its keys as the TOML file has them. Environment variables and the example file follow from it. */
import Type from 'typebox';
import { DomainId, HostId, StrictObject } from './common.ts';

/** Seconds, or a text such as "500ms", "30s", "10 min", "1h"; the loader turns it into seconds. */
function Duration(description: string, defaultSeconds: number, minimum: number) {
  return Type.Number({
    minimum,
    default: defaultSeconds,
    description: `${description}. Seconds, or a text such as "500ms", "30s", "10 min", "1h"`,
    duration: true,
  });
}

const Level = Type.Enum(['none', 'read', 'write', 'admin']);
/** 0 to 65535. */
const portNumber = '(\\d{1,4}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';
const file = (description: string) => Type.Optional(Type.String({ minLength: 1, description }));

export const Config = StrictObject({
  host_id: Type.String({
    ...HostId,
    description: 'ID of this host: 1 to 63 of a-z, 0-9 and -, not starting or ending with -',
  }),
  broker: StrictObject({
    url: Type.Array(Type.String({ pattern: '^amqps?://[^\\s]+$' }), {
      minItems: 1,
      default: ['amqp://localhost'],
      secret: true,
      single: true,
      description:
        'URL of the broker, or a list of them for a cluster: amqp://user:password@host:5672/vhost, amqps:// for TLS',
    }),
    heartbeat: Type.Integer({
      minimum: 1,
      maximum: 600,
      default: 10,
      description: 'AMQP heartbeat in seconds: a connection that is silent for twice as long is dead',
    }),
    prefetch: Type.Integer({
      minimum: 1,
      maximum: 65_535,
      default: 512,
      description: 'Requests that the broker may have under way to the daemon',
    }),
    queue_max_length: Type.Integer({
      minimum: 1,
      default: 10_000,
      description:
        'Requests that may wait in the broker, and at most 64 times rpc.max_request_bytes; publishers of more get a nack',
    }),
    tls: StrictObject({
      ca: file('File with the certificate authorities, PEM. Default: those of the system'),
      cert: file('File with the client certificate, PEM'),
      key: file("File with the client certificate's key, PEM"),
      passphrase: Type.Optional(Type.String({ secret: true, description: 'Passphrase of the key' })),
    }),
  }),
  rpc: StrictObject({
    max_request_bytes: Type.Integer({
      minimum: 1024,
      maximum: 134_217_728,
      default: 1_048_576,
      description: 'The largest body that a request may have',
    }),
  }),
  storage: StrictObject({
    roots: Type.Array(Type.String({ pattern: '^/' }), {
      default: [],
      separator: ':',
      description: 'Absolute paths: the daemon touches no path outside them, whatever a caller sends',
    }),
    domains: Type.Array(
      StrictObject({
        id: DomainId,
        path: Type.String({ pattern: '^/' }),
        continue_copies: Type.Optional(Type.Enum(['auto', 'manual'])),
      }),
      {
        default: [],
        description:
          'Storage domains to connect at start: `id` and `path`, and `continue_copies`: "manual" (the default) or "auto", for copies that a restart cut short',
      },
    ),
    probe_interval: Duration('Time between two looks at each connected storage domain', 10, 0.1),
    probe_timeout: Duration(
      'How long a look at a storage domain may take; one whose file system does not answer by then is down',
      5,
      0.1,
    ),
  }),
  gluster: StrictObject({
    program: Type.String({
      minLength: 1,
      default: 'gluster',
      description: "Gluster's command line: a name that is looked for in PATH, or an absolute path",
    }),
    timeout: Duration(
      'How long one command of Gluster may take, in whole seconds. It is told to give up by then itself, and killed a little later. What is slow by nature may take 2.5 or 5 times as long',
      120,
      1,
    ),
    operation_interval: Duration(
      'Time between two looks at rebalances and brick removals while one runs, for events',
      5,
      0.5,
    ),
    operation_idle_interval: Duration(
      'Time between two looks while none runs, which notice those that were started elsewhere',
      60,
      0.5,
    ),
    operation_stale_after: Duration(
      'How long a running operation may show no sign of life until it is told as stale',
      60,
      1,
    ),
  }),
  tasks: StrictObject({
    max: Type.Integer({
      minimum: 1,
      default: 10_000,
      description:
        'Tasks that may be queued or running. Beyond it, only users who have less than a hundredth of it are let in',
    }),
    retention: Duration('How long the record of an ended task stays', 600, 0),
    retained_max: Type.Integer({
      minimum: 0,
      default: 10_000,
      description: 'Records of ended tasks that stay at most; the oldest go first',
    }),
    lanes: StrictObject({
      read: Type.Integer({ minimum: 1, default: 16, description: 'Looks at one storage domain at once' }),
      change: Type.Integer({ minimum: 1, default: 8, description: 'Changes of one storage domain at once' }),
      copy: Type.Integer({ minimum: 1, default: 4, description: 'Copies into one storage domain at once' }),
    }),
  }),
  events: StrictObject({
    heartbeat: Duration('Time between two heartbeat events', 5, 0.1),
    buffer_max: Type.Integer({
      minimum: 1,
      default: 10_000,
      description: 'Events kept while the broker is away; beyond that the oldest are dropped, and counted',
    }),
  }),
  access: StrictObject({
    users: Type.Record(Type.String(), Level, {
      default: {},
      description: 'Broker users and the highest level that each has: none, read, write or admin',
    }),
    anonymous: Type.Optional(
      Type.Enum(['none', 'read', 'write', 'admin'], {
        description:
          'Level of requests without a verified user_id, and of users that are not listed. Default: write where every broker URL is on loopback, none otherwise',
      }),
    ),
  }),
  log: StrictObject({
    level: Type.Enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], {
      default: 'info',
      description: 'Lines below this level are left out',
    }),
    format: Type.Enum(['auto', 'json', 'pretty'], {
      default: 'auto',
      description: '"json": one object a line; "pretty": for people; "auto": pretty on a terminal',
    }),
  }),
  monitoring: StrictObject({
    listen: Type.Optional(
      Type.String({
        pattern: `^((\\[[0-9A-Fa-f:.]+\\]|[^\\s:\\[\\]]+):)?${portNumber}$`,
        description:
          'ADDRESS:PORT, or PORT alone for loopback, where /metrics, /healthz and /readyz are served by HTTP, such as "127.0.0.1:9464". Default: nowhere',
      }),
    ),
  }),
  traces: StrictObject({
    endpoint: Type.Optional(
      Type.String({
        pattern: '^https?://[^\\s@]+$',
        description:
          'URL that spans are sent to, by OTLP over HTTP, such as "http://127.0.0.1:4318/v1/traces". Default: none are made',
      }),
    ),
  }),
});

type Loaded = Type.Static<typeof Config>;
/** The effective configuration: every default filled in, durations in seconds. */
export type Config = Omit<Loaded, 'access'> & { access: Required<Loaded['access']> };
