/** What a call costs while 10,000 tasks run. `node bench/run.ts outstanding [ROUNDS]` */
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { connect } from '../src/client/client.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { benchServer, measure, median, row } from './round-trips.ts';

const outstanding = 10_000;
const inFlight = 128;
const calls = 20_000;

export async function benchOutstanding(rounds: number): Promise<void> {
  await using broker = await startPrivateBroker();
  const daemon = await startDaemon({ hostId: 'h1', brokerUrl: broker.url, testVerbs: true });
  await using client = await connect(broker.url);
  const host = client.host('h1');
  const server = benchServer(daemon.process);
  const echo = (text: string) => host.callUntyped('echo', { text });
  const few = () => measure(echo, server, inFlight, calls);
  process.stdout.write(`\noutstanding: the same calls beside ${outstanding} running tasks\n\n`);
  process.stdout.write(row(['tasks', 'calls/s', 'server ms CPU/call']));
  await few();
  const idle = [];
  for (let round = 0; round < rounds; round += 1) idle.push(await few());
  for (let i = 0; i < outstanding; i += 1) await host.notify('work' as 'ping', { ms: 3_600_000 } as never);
  const { tasks } = await host.call('getHostStats', {});
  const busy = [];
  for (let round = 0; round < rounds; round += 1) busy.push(await few());
  for (const [running, costs] of [
    [0, idle],
    [tasks.running, busy],
  ] as const) {
    const perSecond = median(costs.map((cost) => cost.perSecond));
    const cpu = median(costs.map((cost) => cost.serverCpu));
    process.stdout.write(row([String(running), perSecond.toFixed(0), cpu.toFixed(4)]));
  }
  await daemon.kill();
}
