/** Each broker URL, stage by stage: name, TCP, TLS, login, virtual host. */
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Config } from '../../schemas/config.ts';
import { maskUrl } from '../bus/broker-link.ts';
import { type OpenSession, openSession } from '../bus/one-session.ts';
import { type BrokerTls, readTlsFiles } from '../bus/tls.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { type Finding, findingsOf } from './finding.ts';

const { ok, failed } = findingsOf('broker');
const limitMs = 10_000;

/** Tries all URLs. The first session that opens is left open for more questions: the caller closes it. */
export async function examineBroker({
  broker,
}: Config): Promise<{ findings: Finding[]; open: OpenSession | undefined }> {
  let tls: BrokerTls;
  try {
    tls = readTlsFiles(broker.tls);
  } catch (error) {
    const remedy = 'Correct broker.tls; the file must be readable by the user that hostbusd runs as';
    return { findings: [failed((error as Error).message, remedy)], open: undefined };
  }
  const tries = await Promise.all(broker.url.map((url) => examineUrl(url, tls)));
  const [open, ...others] = tries.flatMap((tried) => tried.open ?? []);
  for (const other of others) await other.close();
  return { findings: tries.map(({ finding }) => finding), open };
}

async function examineUrl(text: string, tls: BrokerTls): Promise<{ finding: Finding; open?: OpenSession }> {
  const url = new URL(text);
  const shown = maskUrl(text);
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port || (url.protocol === 'amqps:' ? 5671 : 5672));
  const way = await tryTcp(host, port);
  if (way !== undefined) return { finding: failed(`${shown}: ${way.message}`, way.remedy) };
  try {
    const open = await openSession(text, tls, limitMs);
    const secure = url.protocol === 'amqps:' ? ', with TLS' : '';
    return {
      finding: ok(`${shown}: logged in as ${open.session.user ?? 'the certificate names'}${secure}`),
      open,
    };
  } catch (error) {
    return { finding: failed(`${shown}: ${reasonOf(error)}`, ...remedyOf(error, url)) };
  }
}

interface Obstacle {
  message: string;
  remedy: string;
}

async function tryTcp(host: string, port: number): Promise<Obstacle | undefined> {
  try {
    await lookup(host);
  } catch (error) {
    const message = `the name ${host} does not resolve (${errnoCode(error)})`;
    return { message, remedy: `getent hosts ${host}; correct broker.url, /etc/hosts or the name server` };
  }
  const socket = connectTcp({ host, port });
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(limitMs) });
    return undefined;
  } catch (error) {
    return errnoCode(error) === 'ECONNREFUSED'
      ? {
          message: `nothing listens on port ${port} of ${host}`,
          remedy: 'On the broker: systemctl status rabbitmq-server; rabbitmq-diagnostics listeners',
        }
      : {
          message: `port ${port} of ${host} cannot be reached (${errnoCode(error) ?? 'no answer'})`,
          remedy: 'A firewall or a route: is the port open between here and the broker?',
        };
  } finally {
    socket.destroy();
  }
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (isLogin(message)) return 'the broker refuses user and password';
  if (isVirtualHost(message)) return 'the virtual host is not there, or the user may not use it';
  return message.replaceAll(/\s+/g, ' ').trim();
}

function remedyOf(error: unknown, url: URL): string[] {
  const message = error instanceof Error ? error.message : String(error);
  const user = decodeURIComponent(url.username) || 'guest';
  const vhost = decodeURIComponent(url.pathname.slice(1)) || '/';
  if (isLogin(message))
    return [
      `On the broker: rabbitmqctl change_password ${user} PASSWORD (or add_user); then the same in HOSTBUS_BROKER_URL`,
      ...(user === 'guest' ? ['guest may log in from the broker itself only: make a user of its own'] : []),
    ];
  if (isVirtualHost(message))
    return [
      `On the broker: rabbitmqctl list_vhosts; rabbitmqctl list_user_permissions ${user}`,
      `rabbitmqctl add_vhost ${vhost} if it is missing; else give the user permissions there (docs/broker.md)`,
    ];
  if (/certificate|self.signed|altname|CERT_|issuer/i.test(`${message} ${errnoCode(error)}`))
    return [
      'The authority that signed the broker belongs into broker.tls.ca; the name in broker.url into the broker’s certificate',
      `openssl s_client -connect ${url.host} shows what it offers`,
    ];
  if (/SSL|TLS|wrong version/i.test(message))
    return ['amqps:// is for the TLS port (5671), amqp:// for the plain one (5672)'];
  return ['Is it RabbitMQ that listens there? Its log says why it ended the connection'];
}

const isLogin = (message: string) => /403|ACCESS.REFUSED/.test(message);
// The AMQP library keeps the broker's words on this to itself.
const isVirtualHost = (message: string) => /530|NOT.ALLOWED|Expected ConnectionOpenOk/.test(message);
