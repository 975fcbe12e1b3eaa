/** How long it takes until all hosts are connected: when they start, and when all have lost the broker at once. */
import type { PrivateBroker } from '../../rabbitmq/private-broker.ts';
import { until } from '../../test/lib/until.ts';
import { cpuSeconds } from './process-use.ts';
import type { SimulatedHosts } from './simulated-hosts.ts';

export interface Reconnect {
  readonly what: string;
  /** From the first loss of a connection: until the broker takes connections (0 where it never stopped), until hosts are back. */
  readonly servingMs: number;
  readonly firstMs: number;
  readonly halfMs: number;
  readonly allMs: number;
  /** Attempts that failed, by reason. */
  readonly failed: ReadonlyMap<string, number>;
  /** CPU seconds of the broker from its first moment of this life, or from the loss. */
  readonly brokerCpu: number;
}

/** When for so long no further host has come, no more will. */
const patienceMs = 60_000;

/** @throws with what hosts were told, when some cannot connect */
export async function allConnected(hosts: SimulatedHosts, count: number): Promise<void> {
  for (;;) {
    const {
      failed,
      connectedMs: { length: connected },
    } = hosts.seen;
    if (connected >= count) return;
    try {
      await until('another host connects', () => hosts.seen.connectedMs.length > connected, patienceMs);
    } catch (error) {
      const reasons = [...failed].map(([reason, times]) => `${times} × ${reason}`).join(', ');
      const message = `${connected} of ${count} hosts are connected, no more come; failed attempts: ${reasons}`;
      throw new Error(message, { cause: error });
    }
  }
}

/** Every connection is closed by the broker, which goes on. */
export async function afterClose(broker: PrivateBroker, hosts: SimulatedHosts, count: number) {
  const brokerBefore = cpuSeconds(broker.pid ?? 0);
  const closed = await reconnect('all connections closed', hosts, count, () =>
    broker.ctl('close_all_connections', 'bench'),
  );
  return { ...closed, servingMs: 0, brokerCpu: cpuSeconds(broker.pid ?? 0) - brokerBefore };
}

/** The broker gets SIGKILL and is started again at once. */
export async function afterRestart(broker: PrivateBroker, hosts: SimulatedHosts, count: number) {
  const killed = await reconnect('broker killed and restarted', hosts, count, async () => {
    await broker.kill();
    await broker.restart();
  });
  return { ...killed, brokerCpu: cpuSeconds(broker.pid ?? 0) };
}

async function reconnect(
  what: string,
  hosts: SimulatedHosts,
  count: number,
  lose: () => Promise<unknown>,
): Promise<Omit<Reconnect, 'brokerCpu'>> {
  hosts.forget();
  const lost = lose().then(() => performance.now());
  const [servingMs] = await Promise.all([lost, allConnected(hosts, count)]);
  const { lostMs = Number.NaN, connectedMs, failed } = hosts.seen;
  const after = (index: number) => (connectedMs[index] ?? Number.NaN) - lostMs;
  return {
    what,
    servingMs: servingMs - lostMs,
    firstMs: after(0),
    halfMs: after(count >> 1),
    allMs: after(count - 1),
    failed,
  };
}
