/** The directory of a private broker: every file that the node reads or writes, and the environment that says so. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { hashPassword } from './password-hash.ts';

export type BrokerTls = {
  /** PEM files. */
  caFile: string;
  certFile: string;
  keyFile: string;
  /** Refuse clients without a certificate of this CA. Default false. */
  requireClientCertificate?: boolean;
};

export type BrokerPorts = { amqp: number; distribution: number; tls?: number };

/** What the nodes of a cluster have in common. */
export type BrokerCluster = {
  /** Of all nodes, `name@address`; each has an address of its own, since all have the same port for one another. */
  nodeNames: readonly string[];
  distributionPort: number;
  cookie: string;
  password: string;
};

export type BrokerPlan = {
  dir: string;
  binDir: string;
  /** Set when the node runs from a cut-down copy of the installation (private-broker-home.ts). */
  homeDir?: string;
  nodeName: string;
  user: string;
  password: string;
  /** Of the machine, on which it listens for clients. */
  address: string;
  ports: BrokerPorts;
  config: string;
  definitions: Record<string, unknown>;
  plugins: readonly string[];
  tls?: BrokerTls;
  cluster?: BrokerCluster;
};

/** Written once, before the first start. */
export function writeBrokerFiles(plan: BrokerPlan): void {
  const { dir } = plan;
  for (const name of ['mnesia', 'log', 'schema']) mkdirSync(join(dir, name));
  // The cookie lets `ctl` talk to the node; whoever has it may run anything as the node's user.
  const cookie = plan.cluster?.cookie ?? randomBytes(24).toString('hex');
  writeFileSync(join(dir, '.erlang.cookie'), cookie, { mode: 0o400 });
  writeFileSync(join(dir, 'rabbitmq-env.conf'), '');
  writeFileSync(join(dir, 'enabled_plugins'), `[${plan.plugins.join(',')}].\n`);
  writeFileSync(join(dir, 'definitions.json'), JSON.stringify(withLauncherUser(plan)), { mode: 0o600 });
}

/**
 * Written before each start. Definitions are loaded at the first one only: later they would undo what was
 * changed meanwhile.
 */
export function writeBrokerConfig(plan: BrokerPlan, loadDefinitions: boolean): void {
  const { dir, address, ports, tls, cluster } = plan;
  const lines = [
    `listeners.tcp.1 = ${address}:${ports.amqp}`,
    'log.file.level = info',
    'log.console = false',
    // A developer's machine may be short of either; the test that wants an alarm says so in `config`.
    'disk_free_limit.absolute = 1MB',
    'vm_memory_high_watermark.absolute = 1GB',
    'loopback_users = none',
  ];
  if (loadDefinitions) lines.push(`load_definitions = ${join(dir, 'definitions.json')}`);
  if (tls && ports.tls) {
    const required = tls.requireClientCertificate === true;
    lines.push(
      `listeners.ssl.1 = ${address}:${ports.tls}`,
      `ssl_options.cacertfile = ${tls.caFile}`,
      `ssl_options.certfile = ${tls.certFile}`,
      `ssl_options.keyfile = ${tls.keyFile}`,
      `ssl_options.verify = ${required ? 'verify_peer' : 'verify_none'}`,
      `ssl_options.fail_if_no_peer_cert = ${required}`,
    );
  }
  if (cluster !== undefined) {
    lines.push(
      'cluster_formation.peer_discovery_backend = classic_config',
      // The first node has nobody to wait for, and the others start when it serves.
      'cluster_formation.discovery_retry_limit = 1',
      'cluster_formation.discovery_retry_interval = 100',
      ...cluster.nodeNames.map((name, at) => `cluster_formation.classic_config.nodes.${at + 1} = ${name}`),
    );
  }
  // Last: RabbitMQ takes the last value of a key.
  lines.push(plan.config);
  writeFileSync(join(dir, 'rabbitmq.conf'), `${lines.join('\n')}\n`);
}

/** What both the node and rabbitmqctl need; nothing of the caller's RABBITMQ_* or ERL_* leaks in. */
function commonEnvironment(plan: BrokerPlan): Record<string, string> {
  return {
    PATH: ['/usr/local/bin', '/usr/bin', '/bin', process.env.PATH ?? ''].join(delimiter),
    LANG: 'C.UTF-8',
    HOME: plan.dir,
    RABBITMQ_NODENAME: plan.nodeName,
    // An address takes the place of the host name in the names of a cluster's nodes: that is a long name to Erlang.
    ...(plan.cluster === undefined ? {} : { RABBITMQ_USE_LONGNAME: 'true' }),
    RABBITMQ_CONF_ENV_FILE: join(plan.dir, 'rabbitmq-env.conf'),
    RABBITMQ_MNESIA_BASE: join(plan.dir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(plan.dir, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(plan.dir, 'enabled_plugins'),
  };
}

export function nodeEnvironment(plan: BrokerPlan): Record<string, string> {
  const { dir, homeDir, nodeName, ports, cluster, address } = plan;
  return {
    ...commonEnvironment(plan),
    RABBITMQ_CONFIG_FILE: join(dir, 'rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(dir, 'advanced.config'),
    RABBITMQ_SCHEMA_DIR: join(dir, 'schema'),
    RABBITMQ_GENERATED_CONFIG_DIR: join(dir, 'schema'),
    RABBITMQ_PID_FILE: join(dir, 'node.pid'),
    // The script then replaces itself with the node instead of staying as its parent; -noinput makes up for it.
    RABBITMQ_ALLOW_INPUT: '1',
    ERL_CRASH_DUMP: join(dir, 'log', 'erl_crash.dump'),
    // No dump after a failed start: the log says why, and writing it takes seconds.
    ERL_CRASH_DUMP_SECONDS: '0',
    ...(homeDir === undefined
      ? {}
      : { RABBITMQ_SCRIPTS_DIR: join(homeDir, 'sbin'), RABBITMQ_PLUGINS_DIR: join(homeDir, 'plugins') }),
    // In the environment, since it must hold for Erlangs that the node starts, too: RabbitMQ's epmd monitor looks
    // once a minute whether an epmd runs, and runs an `erl -sname epmd-starter…` only to have one started.
    ERL_AFLAGS: `-start_epmd false -erl_epmd_port ${ports.distribution}`,
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: [
      '-noinput',
      // Distribution is up before RabbitMQ looks, on a port that all know: it finds no reason to ask an epmd.
      cluster === undefined ? `-sname ${nodeName}` : `-name ${nodeName}`,
      `-kernel inet_dist_use_interface {${cluster === undefined ? '127,0,0,1' : address.replaceAll('.', ',')}}`,
      // Two schedulers that sleep when idle: the machine is shared with what is being tested.
      '+S 2:2 +SDio 4 +sbwt none +sbwtdcpu none +sbwtdio none',
    ].join(' '),
  };
}

export function ctlEnvironment(plan: BrokerPlan): Record<string, string> {
  return {
    ...commonEnvironment(plan),
    // For every Erlang that rabbitmqctl starts: it would start an epmd otherwise.
    ERL_AFLAGS: `-start_epmd false -erl_epmd_port ${plan.ports.distribution} -dist_listen false +S 1:1 +sbwt none`,
  };
}

/** The given definitions plus the launcher's administrator, in every virtual host that they name. */
function withLauncherUser({ definitions, user, password }: BrokerPlan): Record<string, unknown> {
  const listOf = (key: string): unknown[] => {
    const value = definitions[key];
    return Array.isArray(value) ? value : [];
  };
  const vhosts = listOf('vhosts').length > 0 ? listOf('vhosts') : [{ name: '/' }];
  const permissions = vhosts.map((vhost) => ({
    user,
    vhost: vhost !== null && typeof vhost === 'object' && 'name' in vhost ? vhost.name : '/',
    configure: '.*',
    write: '.*',
    read: '.*',
  }));
  const administrator = {
    name: user,
    password_hash: hashPassword(password),
    hashing_algorithm: 'rabbit_password_hashing_sha256',
    tags: 'administrator',
  };
  return {
    ...definitions,
    vhosts,
    users: [...listOf('users'), administrator],
    permissions: [...listOf('permissions'), ...permissions],
  };
}
