/**
 * Whether the broker user may do what the daemon does. Each permission is asked for with something that the broker looks at only
 * after the permission, and then refuses in any case: nothing is declared, bound, taken or delivered, and a daemon that serves
 * this host ID meanwhile notices nothing.
 */
import type { Session } from '../bus/broker-link.ts';
import { eventsExchange, requestQueue, rpcExchange } from '../bus/names.ts';
import { amqpCodes, type Channel, verdict } from '../bus/one-session.ts';
import { type Finding, findingsOf } from './finding.ts';

const { ok, warning, failed } = findingsOf('permissions');
const { accessRefused, notFound } = amqpCodes;

// `configure` counts for names, whatever they name. A queue of negative length is refused.
const declare = (name: string) => (channel: Channel) =>
  channel.assertQueue(name, { exclusive: true, durable: false, arguments: { 'x-max-length': -1 } });
// No message may live "doctor" long.
const publish = (exchange: string, key: string) => (channel: Channel) =>
  channel.publish(exchange, key, Buffer.alloc(0), { expiration: 'doctor' });

/** Whether a user may send requests to hosts. */
export async function maySendRequests(session: Session): Promise<boolean> {
  const said = await verdict(session, publish(rpcExchange, 'hostbus-doctor'));
  return said !== accessRefused && said !== notFound;
}

export async function examinePermissions(session: Session, hostId: string): Promise<Finding[]> {
  const queue = requestQueue(hostId);
  const missing: string[] = [];
  for (const exchange of [rpcExchange, eventsExchange]) {
    if ((await verdict(session, (channel) => channel.checkExchange(exchange))) === notFound)
      missing.push(exchange);
  }
  const attempts: [what: string, attempt: (channel: Channel) => unknown][] = [
    ...missing.map((exchange): (typeof attempts)[number] => [`make exchange ${exchange}`, declare(exchange)]),
    [`declare queue ${queue}`, declare(queue)],
    ['send answers', publish('', 'hostbus-doctor')],
  ];
  // There is no binding with such an argument.
  const unbind = (channel: Channel) =>
    channel.unbindQueue(queue, rpcExchange, hostId, { 'hostbus-doctor': true });
  if (!missing.includes(rpcExchange)) attempts.push([`bind ${queue} to ${rpcExchange}`, unbind]);
  // The daemon's queue is exclusive to its connection: nobody else gets a message out of it.
  if (await isForDaemonsOnly(session, queue))
    attempts.push([`read queue ${queue}`, (channel) => channel.get(queue)]);
  if (!missing.includes(eventsExchange))
    attempts.push([
      `send events of ${hostId}`,
      publish(eventsExchange, `${hostId}.host.heartbeat.${hostId}`),
    ]);
  const refused: string[] = [];
  for (const [what, attempt] of attempts) {
    if ((await verdict(session, attempt)) === accessRefused) refused.push(what);
  }
  if (refused.length > 0)
    return [
      failed(`user ${session.user ?? '?'} may not: ${refused.join('; ')}`, ...commands(session, hostId)),
    ];
  const found = ok(`user ${session.user ?? '?'} may do all that the daemon does`);
  return missing.length === 0
    ? [found]
    : [
        found,
        warning(`${missing.join(', ')}: not there yet`, 'hostbusd makes them when it starts; nothing to do'),
      ];
}

async function isForDaemonsOnly(session: Session, queue: string): Promise<boolean> {
  return (await verdict(session, (channel) => channel.checkQueue(queue))) !== undefined;
}

/** What docs/broker.md gives a host; a test runs them. */
function commands(session: Session, hostId: string): string[] {
  const user = session.user ?? 'USER';
  const vhost = decodeURIComponent(new URL(session.url).pathname.slice(1)) || '/';
  const queue = requestQueue(hostId).replaceAll('.', '\\.');
  const events = eventsExchange.replaceAll('.', '\\.');
  const rpc = rpcExchange.replaceAll('.', '\\.');
  return [
    `On the broker: rabbitmqctl set_permissions -p '${vhost}' '${user}' '^(${queue})$' '^(${queue}|${events}|amq\\.default|amq\\.topic|amq\\.direct)$' '^(${queue}|${rpc})$'`,
    `rabbitmqctl set_topic_permissions -p '${vhost}' '${user}' ${rpcExchange} '^$' '^${hostId}$'`,
    `rabbitmqctl set_topic_permissions -p '${vhost}' '${user}' ${eventsExchange} '^${hostId}\\.' '^$'`,
    'Where the exchanges are missing, make them first: rabbitmq/make-definitions.ts (docs/broker.md)',
  ];
}
