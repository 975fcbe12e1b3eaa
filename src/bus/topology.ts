/** What a host declares on the broker, at the beginning of each session. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Channel } from 'amqplib';
import type { Logger } from 'pino';
import { FinalError, type Session } from './broker-link.ts';
import { eventsExchange, requestQueue, rpcExchange } from './names.ts';

/** The host ID is served by another daemon. */
export class HostIdTaken extends FinalError {
  override readonly name = 'HostIdTaken';
}

export interface TopologyOptions {
  readonly hostId: string;
  readonly queueMaxLength: number;
  readonly queueMaxBytes: number;
  /** How long to wait for a queue that another connection holds. */
  readonly waitMs: number;
  readonly log: Logger;
}

const notFound = 404;
const resourceLocked = 405;
const retryMs = 500;

/**
 * Declares both exchanges and the host's request queue.
 * @throws HostIdTaken when the queue belongs to another connection for all of `waitMs`: long enough for the broker to notice that
 * an earlier connection of this host has died
 */
export async function declareTopology(session: Session, options: TopologyOptions): Promise<void> {
  const deadlineMs = performance.now() + options.waitMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await withExchanges(session, (channel) => declareQueue(channel, options));
      return;
    } catch (error) {
      if (codeOf(error) !== resourceLocked) throw error;
      if (performance.now() >= deadlineMs) {
        throw new HostIdTaken(
          `Host ID ${options.hostId} is served by another daemon on this broker: give this one another host_id, or stop the other`,
        );
      }
      if (attempt === 1) {
        const { hostId, log } = options;
        log.warn(
          { hostId, waitMs: options.waitMs },
          'another connection holds this host ID; waiting for the broker to let go of it',
        );
      }
      await sleep(retryMs);
    }
  }
}

async function declareQueue(
  channel: Channel,
  { hostId, queueMaxLength, queueMaxBytes }: TopologyOptions,
): Promise<void> {
  const queue = requestQueue(hostId);
  await channel.assertQueue(queue, {
    exclusive: true,
    durable: false,
    arguments: {
      'x-max-length': queueMaxLength,
      'x-max-length-bytes': queueMaxBytes,
      'x-overflow': 'reject-publish',
    },
  });
  await channel.bindQueue(queue, rpcExchange, hostId);
}

/** Makes sure that both exchanges are there: publishing to one that is not would cost the session. */
export function ensureExchanges(session: Session): Promise<void> {
  return withExchanges(session, async () => {});
}

/**
 * Does `declare` once both exchanges are there. Who has the least permissions may not declare exchanges, but may look whether they are there.
 * All on one channel as far as nothing fails: each one more costs the broker time, at the worst moment, when all hosts come back at once.
 */
async function withExchanges(session: Session, declare: (channel: Channel) => Promise<void>): Promise<void> {
  try {
    await onChannel(session, async (channel) => {
      for (const name of [rpcExchange, eventsExchange]) await channel.checkExchange(name);
      await declare(channel);
    });
  } catch (error) {
    if (codeOf(error) !== notFound) throw error;
    await onChannel(session, async (channel) => {
      await channel.assertExchange(rpcExchange, 'direct', { durable: true });
      await channel.assertExchange(eventsExchange, 'topic', { durable: true });
      await declare(channel);
    });
  }
}

/** A failed declaration closes its channel; so what may fail has one of its own. */
async function onChannel(session: Session, work: (channel: Channel) => Promise<void>): Promise<void> {
  const channel = await session.model.createChannel();
  channel.on('error', () => {}); // the failed call tells it
  await work(channel);
  await channel.close();
}

function codeOf(error: unknown): number | undefined {
  return error instanceof Error ? (error as Error & { code?: number }).code : undefined;
}
