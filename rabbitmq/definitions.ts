/**
 * Users, exchanges and the least permissions with which hostbus works, in the form that RabbitMQ imports.
 * docs/broker.md tells why each permission is there; test/security/permissions.test.ts tries each on a real broker.
 */
import { randomBytes } from 'node:crypto';
import { hashPassword } from './password-hash.ts';

export type DefinitionsRequest = {
  /** Host IDs. The broker user of host `h1` is `hostbus-h1`. */
  hosts: string[];
  /** Users who send requests, read the answers, and may watch events. */
  engines?: string[];
  /** Users who may only watch events. */
  subscribers?: string[];
  /** Users who may do anything, for operators and the management interface. */
  admins?: string[];
  /** Default `/`. */
  vhost?: string;
  /** Engines may also have answers sent to `/topic/KEY` and `/exchange/amq.direct/KEY`, where other engines can read them. */
  topicReplies?: boolean;
  /** Users without a password: they can log in by client certificate only. */
  withoutPasswords?: boolean;
  /** Passwords to keep, by user; users without one get a random one. */
  passwords?: Readonly<Record<string, string>>;
};

export type Definitions = {
  users: { name: string; password_hash: string; hashing_algorithm: string; tags: string[]; limits: object }[];
  vhosts: { name: string }[];
  permissions: { user: string; vhost: string; configure: string; write: string; read: string }[];
  topic_permissions: { user: string; vhost: string; exchange: string; write: string; read: string }[];
  exchanges: {
    name: string;
    vhost: string;
    type: 'topic';
    durable: boolean;
    auto_delete: boolean;
    internal: boolean;
    arguments: object;
  }[];
  policies: {
    vhost: string;
    name: string;
    pattern: string;
    'apply-to': 'queues';
    priority: number;
    definition: Record<string, string | number>;
  }[];
};

type Permission = { configure: string[]; write: string[]; read: string[] };

type Role = {
  user: string;
  tags: string[];
  permission: Permission;
  /** Routing keys, by topic exchange; any where an exchange is not named. */
  keys?: Readonly<Record<string, { write: string; read: string }>>;
};

const RPC_EXCHANGE = 'hostbus.rpc';
const EVENTS_EXCHANGE = 'hostbus.events';
/** Matches no resource: an empty pattern would be read as "nothing" too, but says so less clearly. */
const NOTHING = '^$';
const ANYTHING = '.*';

const HOST_ID = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;
const USER_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,126}$/;

/**
 * Returns what `load_definitions` takes, and the password of each user in clear, which is kept nowhere else.
 * Throws a RangeError that names the bad host ID or user name.
 */
export function makeDefinitions(request: DefinitionsRequest): {
  definitions: Definitions;
  passwords: Record<string, string>;
} {
  const vhost = request.vhost ?? '/';
  const roles = rolesOf(request);
  const passwords: Record<string, string> = {};
  if (!request.withoutPasswords) {
    for (const { user } of roles)
      passwords[user] = request.passwords?.[user] ?? randomBytes(24).toString('base64url');
  }
  return {
    passwords,
    definitions: {
      vhosts: [{ name: vhost }],
      users: roles.map(({ user, tags }) => {
        const password = passwords[user];
        return {
          name: user,
          // RabbitMQ lets nobody in by password where the hash is empty.
          password_hash: password === undefined ? '' : hashPassword(password),
          hashing_algorithm: 'rabbit_password_hashing_sha256',
          tags,
          limits: {},
        };
      }),
      permissions: roles.map(({ user, permission }) => ({
        user,
        vhost,
        configure: anyOf(permission.configure),
        write: anyOf(permission.write),
        read: anyOf(permission.read),
      })),
      topic_permissions: roles.flatMap(({ user, keys = {} }) =>
        Object.entries(keys).map(([name, patterns]) => ({ user, vhost, exchange: name, ...patterns })),
      ),
      // Both are topic exchanges, since the broker looks at keys only there. A host ID has neither dots nor wildcards: requests
      // go where a direct exchange would send them.
      exchanges: [exchange(vhost, RPC_EXCHANGE), exchange(vhost, EVENTS_EXCHANGE)],
      policies: [eventQueuePolicy(vhost)],
    },
  };
}

function rolesOf({
  hosts,
  engines = [],
  subscribers = [],
  admins = [],
  topicReplies = false,
}: DefinitionsRequest): Role[] {
  const roles = [
    ...hosts.map(hostRole),
    ...engines.map((user) => engineRole(user, topicReplies)),
    ...subscribers.map(subscriberRole),
    ...admins.map(adminRole),
  ];
  const seen = new Set<string>();
  for (const { user } of roles) {
    if (!USER_NAME.test(user)) {
      throw new RangeError(
        `user name "${user}": expected 1 to 127 letters, digits, "-" or "_", a letter or digit first`,
      );
    }
    if (seen.has(user)) throw new RangeError(`user name "${user}" is given twice: each user has one role`);
    seen.add(user);
  }
  return roles;
}

function hostRole(hostId: string): Role {
  if (!HOST_ID.test(hostId)) {
    throw new RangeError(`host ID "${hostId}": expected 1 to 63 of a-z 0-9 -, with no "-" at either end`);
  }
  const ownQueue = literal(`${RPC_EXCHANGE}.${hostId}`);
  return {
    user: `hostbus-${hostId}`,
    tags: [],
    permission: {
      // Not the exchanges: whoever may declare an exchange may delete it.
      configure: [ownQueue],
      // Binding a queue takes write on the queue. The amq.* exchanges carry answers.
      write: [ownQueue, literal(EVENTS_EXCHANGE), 'amq\\.default', 'amq\\.topic', 'amq\\.direct'],
      // Binding takes read on the exchange, and on the key.
      read: [ownQueue, literal(RPC_EXCHANGE)],
    },
    keys: {
      [RPC_EXCHANGE]: { write: NOTHING, read: `^${literal(hostId)}$` },
      [EVENTS_EXCHANGE]: { write: `^${literal(hostId)}\\.`, read: NOTHING },
    },
  };
}

function engineRole(user: string, topicReplies: boolean): Role {
  const ownQueues = [ownQueuesOf('reply', user), ownQueuesOf('events', user), SERVER_NAMED];
  return {
    user,
    tags: [],
    permission: {
      configure: ownQueues,
      write: [...ownQueues, literal(RPC_EXCHANGE)],
      read: [
        ...ownQueues,
        literal(EVENTS_EXCHANGE),
        ...(topicReplies ? ['amq\\.topic', 'amq\\.direct'] : []),
      ],
    },
    keys: { [EVENTS_EXCHANGE]: { write: NOTHING, read: ANYTHING } },
  };
}

function subscriberRole(user: string): Role {
  const ownQueues = [ownQueuesOf('events', user), SERVER_NAMED];
  return {
    user,
    tags: [],
    permission: { configure: ownQueues, write: ownQueues, read: [...ownQueues, literal(EVENTS_EXCHANGE)] },
    keys: { [EVENTS_EXCHANGE]: { write: NOTHING, read: ANYTHING } },
  };
}

function adminRole(user: string): Role {
  return {
    user,
    tags: ['administrator'],
    permission: { configure: [ANYTHING], write: [ANYTHING], read: [ANYTHING] },
  };
}

/** Queues that the broker names (`amq.gen-` and 22 random characters): nobody else can guess the name. */
const SERVER_NAMED = 'amq\\.gen-.*';

function ownQueuesOf(kind: 'reply' | 'events', user: string): string {
  return `hostbus\\.${kind}\\.${literal(user)}\\..*`;
}

function literal(name: string): string {
  return name.replaceAll('.', '\\.');
}

/** RabbitMQ's patterns match anywhere in a name unless they are anchored. */
function anyOf(patterns: string[]): string {
  return patterns.length === 1 && patterns[0] === ANYTHING ? ANYTHING : `^(${patterns.join('|')})$`;
}

function exchange(vhost: string, name: string): Definitions['exchanges'][number] {
  return { name, vhost, type: 'topic', durable: true, auto_delete: false, internal: false, arguments: {} };
}

/** Whoever does not read must not fill the broker: a subscriber sees the gap in `sequence` and asks, a caller asks for its task. */
function eventQueuePolicy(vhost: string): Definitions['policies'][number] {
  return {
    vhost,
    name: 'hostbus-clients',
    pattern: '^(hostbus\\.(events|reply)\\.|amq\\.gen-)',
    'apply-to': 'queues',
    priority: 0,
    definition: { 'max-length': 100_000, overflow: 'drop-head', expires: 3_600_000 },
  };
}
