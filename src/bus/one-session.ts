/** One session with one broker URL, without a second try. */
import type { Channel } from 'amqplib';
import { BrokerLink, type Session } from './broker-link.ts';
import type { BrokerTls } from './tls.ts';

export type { Channel };

export interface OpenSession {
  readonly session: Session;
  close(): Promise<void>;
}

/** @throws what the broker, or the way to it, said */
export async function openSession(url: string, tls: BrokerTls, limitMs: number): Promise<OpenSession> {
  const opened = Promise.withResolvers<Session>();
  const link = new BrokerLink(
    { urls: [url], tls, name: `hostbus doctor, process ${process.pid}`, heartbeatSeconds: 10 },
    {
      setUp: async (session) => opened.resolve(session),
      attemptFailed: (reason) => opened.reject(reason),
    },
  );
  link.run().catch((error: unknown) => opened.reject(error));
  const timer = setTimeout(() => opened.reject(new Error(`no answer within ${limitMs / 1000} s`)), limitMs);
  try {
    return { session: await opened.promise, close: () => link.stop() };
  } catch (error) {
    await link.stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Codes of AMQP with which the broker ends a channel. */
export const amqpCodes = { accessRefused: 403, notFound: 404, resourceLocked: 405 } as const;

/**
 * What the broker says to something, tried on a channel of its own.
 * @returns the code with which it ends the channel; undefined where it minds nothing
 */
export async function verdict(
  { model }: Session,
  attempt: (channel: Channel) => unknown,
): Promise<number | undefined> {
  const channel = await model.createChannel();
  const code = Promise.withResolvers<number | undefined>();
  channel.on('error', (error: { code?: number }) => code.resolve(error.code ?? 0));
  try {
    await attempt(channel);
    // Its answer comes after whatever the broker had to say about a message.
    await channel.checkExchange('amq.topic');
    await channel.close();
    return undefined;
  } catch {
    return code.promise;
  }
}
