/** What a private broker will be: its installation, ports, names and files, chosen before it starts. */
import { randomBytes, randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type BrokerCluster,
  type BrokerPlan,
  type BrokerTls,
  writeBrokerFiles,
} from './private-broker-files.ts';
import { linkMinimalHome } from './private-broker-home.ts';

export type PrivateBrokerOptions = {
  /** As RabbitMQ exports them (exchanges, users, permissions …); loaded at the first start. */
  definitions?: Record<string, unknown>;
  /** An IPv4 address of this machine, on which it listens for clients. Default 127.0.0.1. */
  address?: string;
  /** More lines for rabbitmq.conf; they win over the launcher's own. */
  config?: string;
  /** Adds a TLS listener on a port of its own. */
  tls?: BrokerTls;
  /** Plugins of the installation that are enabled, such as `rabbitmq_auth_mechanism_ssl`. Default none. */
  plugins?: readonly string[];
  /** Where its directory is made. Default: the system's directory for temporary files. */
  parentDir?: string;
  /** How long one start may take, in ms. Default 60,000. */
  startTimeoutMs?: number;
  /** Makes it the node of this cluster that has its address (private-cluster.ts). */
  cluster?: BrokerCluster;
};

const BIN_DIRS = ['/usr/lib/rabbitmq/bin', '/opt/rabbitmq/sbin', '/usr/local/lib/rabbitmq/sbin'];

/** Throws, with the command that helps, when RabbitMQ is not installed. */
function findBinDir(): string {
  // Not found through PATH: Debian's /usr/sbin/rabbitmq-server is a wrapper that changes the user.
  const found = BIN_DIRS.find((dir) => existsSync(join(dir, 'rabbitmq-server')));
  if (found) return found;
  throw new Error(
    `RabbitMQ is not installed (looked in ${BIN_DIRS.join(', ')}). Install it with:\n` +
      '  sudo apt-get install --no-install-recommends rabbitmq-server\n' +
      'or let `.ci/setup demo` do it.',
  );
}

/**
 * Chooses ports and names and writes the node's files. `minimal` asks for a cut-down installation where one can be made.
 * Throws when RabbitMQ is not installed.
 */
export async function planBroker(options: PrivateBrokerOptions, minimal: boolean): Promise<BrokerPlan> {
  const binDir = findBinDir();
  const address = options.address ?? LOOPBACK;
  const { cluster } = options;
  const [amqpPort, ownPort, tlsPort] = await freePorts(address);
  const plan: BrokerPlan = {
    dir: mkdtempSync(join(options.parentDir ?? tmpdir(), 'private-broker-')),
    binDir,
    nodeName: cluster?.nodeNames.find((name) => name.endsWith(`@${address}`)) ?? newNodeName('localhost'),
    user: 'launcher',
    password: cluster?.password ?? newSecret(),
    address,
    ports: {
      amqp: amqpPort,
      distribution: cluster?.distributionPort ?? ownPort,
      ...(options.tls ? { tls: tlsPort } : {}),
    },
    config: options.config ?? '',
    plugins: options.plugins ?? [],
    definitions: options.definitions ?? {},
    ...(options.tls ? { tls: options.tls } : {}),
    ...(cluster === undefined ? {} : { cluster }),
  };
  try {
    writeBrokerFiles(plan);
    const homeDir = join(plan.dir, 'home');
    return minimal && linkMinimalHome(binDir, homeDir, plan.plugins) ? { ...plan, homeDir } : plan;
  } catch (error) {
    await rm(plan.dir, { recursive: true, force: true });
    throw error;
  }
}

export function newNodeName(host: string): string {
  return `rabbit-${randomBytes(4).toString('hex')}@${host}`;
}

export function newSecret(): string {
  return randomBytes(18).toString('base64url');
}

async function freePorts(address: string): Promise<[number, number, number]> {
  return [await freePort(address), await freePort(LOOPBACK), await freePort(address)];
}

const LOOPBACK = '127.0.0.1';
const LOWEST_PORT = 10_000;

/**
 * A port of that address on which nobody listens now. Not the system's choice (port 0): that lies in the range of outgoing connections,
 * one of which could take the port while the program is down that it is meant for; a client that keeps trying to
 * reconnect could even reach itself.
 */
export async function freePort(address: string): Promise<number> {
  for (;;) {
    const port = randomInt(LOWEST_PORT, firstOutgoingPort());
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, address, () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** The lower end of the range from which Linux takes ports for outgoing connections. */
function firstOutgoingPort(): number {
  const usual = 32_768;
  try {
    const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
    const first = Number(range.trim().split(/\s+/)[0]);
    return first > LOWEST_PORT + 1_000 ? first : usual;
  } catch {
    return usual;
  }
}
