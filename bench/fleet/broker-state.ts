/** What the broker holds: counts and memory, as RabbitMQ itself tells them and as the kernel sees its process. */
import type { PrivateBroker } from '../../rabbitmq/private-broker.ts';
import { openFiles, rssBytes } from './process-use.ts';

export interface BrokerState {
  readonly connections: number;
  readonly channels: number;
  readonly queues: number;
  /** Of Erlang. */
  readonly processes: number;
  readonly openFiles: number;
  readonly rssBytes: number;
  /** Bytes by RabbitMQ's own categories. */
  readonly memory: Readonly<Record<string, number>>;
}

export async function brokerState(broker: PrivateBroker): Promise<BrokerState> {
  const status = JSON.parse(await broker.ctl('status', '--formatter', 'json')) as {
    totals: { connection_count: number; queue_count: number };
    processes: { used: number };
    memory: Record<string, unknown>;
  };
  const pid = broker.pid ?? 0;
  return {
    connections: status.totals.connection_count,
    channels: Number(await broker.ctl('eval', 'length(rabbit_channel:list()).')),
    queues: status.totals.queue_count,
    processes: status.processes.used,
    openFiles: openFiles(pid),
    rssBytes: rssBytes(pid),
    memory: Object.fromEntries(
      Object.entries(status.memory).filter(
        (entry): entry is [string, number] => typeof entry[1] === 'number',
      ),
    ),
  };
}
