/** The other end: does a daemon serve this host ID, and does it answer? And do the hosts' clocks agree? */
import type { Config } from '../../schemas/config.ts';
import { HostbusError } from '../../schemas/errors.ts';
import { requestQueue } from '../bus/names.ts';
import { amqpCodes, type OpenSession, verdict } from '../bus/one-session.ts';
import { readTlsFiles } from '../bus/tls.ts';
import { type Client, connect } from '../client/client.ts';
import { type Finding, findingsOf } from './finding.ts';
import type { Service } from './host.ts';
import { maySendRequests } from './permissions.ts';

const { ok, warning, failed, skipped } = findingsOf('daemon');
const clock = findingsOf('clock');

const pingLimitMs = 5000;
/** Heartbeats are on their way for milliseconds. */
const clocksAgreeMs = 2000;

/** Lends a connection of a caller: somebody who may send requests and see events. */
export type WithCaller = <T>(work: (client: Client) => Promise<T>) => Promise<T>;

export interface DaemonQuestion {
  readonly config: Config;
  /** As the daemon's own user. */
  readonly open: OpenSession;
  readonly service: Service | undefined;
  /** Undefined: nobody said who; then the daemon's own user is tried. */
  readonly withCaller: WithCaller | undefined;
}

export async function examineDaemon({
  config,
  open,
  service,
  withCaller,
}: DaemonQuestion): Promise<Finding[]> {
  const hostId = config.host_id;
  const queue = requestQueue(hostId);
  const held = await verdict(open.session, (channel) => channel.checkQueue(queue));
  if (held === amqpCodes.notFound)
    return [
      failed(
        `none serves ${hostId} on this broker`,
        'systemctl start hostbusd; why it ended: journalctl -u hostbusd -n 50',
      ),
    ];
  if (held !== amqpCodes.resourceLocked)
    return [
      failed(
        `queue ${queue} is there, but is no daemon's`,
        `On the broker: rabbitmqctl delete_queue ${queue}`,
      ),
    ];
  if (service?.active === false)
    return [failed(`${hostId} is served, but not from here`, 'Give one of the two hosts another host_id')];
  if (withCaller === undefined && !(await maySendRequests(open.session)))
    return [
      ok(`one serves ${hostId}`),
      skipped(
        `${hostId} was not pinged: its own broker user may not send requests, which is right`,
        'Say who may: HOSTBUS_URL=amqp://engine:PASSWORD@… hostbus doctor',
      ),
    ];
  const asCaller = withCaller ?? ((work) => asDaemon(config, work));
  try {
    return await asCaller(async (client) => [
      await ping(client, hostId),
      ...(await compareClocks(client, hostId, (config.events.heartbeat + 1) * 1000)),
    ]);
  } catch (error) {
    return [failed(`${hostId} was not pinged: ${(error as Error).message}`, 'Check --url or HOSTBUS_URL')];
  }
}

async function asDaemon<T>({ broker }: Config, work: (client: Client) => Promise<T>): Promise<T> {
  const { ca, cert, key, passphrase } = readTlsFiles(broker.tls);
  const tls = {
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(passphrase && { passphrase }),
  };
  await using client = await connect(broker.url, { tls, name: `hostbus doctor, process ${process.pid}` });
  return await work(client);
}

async function ping(client: Client, hostId: string): Promise<Finding> {
  const startedMs = performance.now();
  try {
    const { bootId } = await client.host(hostId).call('ping', {}, { timeout: pingLimitMs });
    return ok(`${hostId} answers after ${Math.ceil(performance.now() - startedMs)} ms, boot ${bootId}`);
  } catch (error) {
    if (error instanceof HostbusError && error.name === 'NotAllowed')
      return warning(
        `${hostId} answers, but gives this caller nothing: ${error.message}`,
        'Name the broker user in [access] of hostbusd.toml, or ask as another: HOSTBUS_URL',
      );
    const remedy =
      'Is it wedged? journalctl -u hostbusd -n 50; a restart loses nothing: systemctl restart hostbusd';
    return failed(`${hostId} holds its queue, but does not answer: ${(error as Error).message}`, remedy);
  }
}

/** Heartbeats carry the time of their host. Nothing is told where none may be seen. */
async function compareClocks(client: Client, hostId: string, listenMs: number): Promise<Finding[]> {
  const offsetsMs = new Map<string, number>();
  const stream = client.events({ kind: 'host' }, { signal: AbortSignal.timeout(listenMs) });
  for await (const event of stream) offsetsMs.set(event.hostId, Date.now() - Date.parse(event.time));
  offsetsMs.delete(hostId); // the daemon here has this very clock
  const offsets = [...offsetsMs.values()].filter(Number.isFinite).sort((a, b) => a - b);
  const medianMs = offsets[Math.floor(offsets.length / 2)];
  if (medianMs === undefined) return [];
  const seconds = `${Math.abs(Math.round(medianMs / 100) / 10)} s`;
  const others = offsets.length === 1 ? '1 other host' : `${offsets.length} other hosts`;
  return Math.abs(medianMs) <= clocksAgreeMs
    ? [clock.ok(`agrees with ${others}`)]
    : [
        clock.warning(
          `${seconds} ${medianMs > 0 ? 'ahead of' : 'behind'} ${others} (median)`,
          'Keep all hosts in step: apt install systemd-timesyncd (or chrony)',
        ),
      ];
}
