/** What the daemon's memory does over 1,000,000 calls, queries and tasks in turn. `node bench/run.ts memory` */
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { connect } from '../src/client/client.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { benchServer, measure, row, serving } from './round-trips.ts';

const steps = 10;
const step = 100_000;
const inFlight = 128;

export async function benchMemory(): Promise<void> {
  await using broker = await startPrivateBroker();
  const env = { HOSTBUS_LOG_LEVEL: 'warn' };
  const daemon = await startDaemon({
    hostId: 'h1',
    brokerUrl: broker.url,
    testVerbs: true,
    env,
    wait: false,
  });
  const server = benchServer(daemon.process);
  await using client = await connect(broker.url);
  const host = client.host('h1');
  await serving(() => host.call('ping', {}));
  // Every other call is a task with a record and two events.
  let turn = 0;
  const call = () => {
    turn += 1;
    return turn % 2 === 0 ? host.callUntyped('echo', { text: 'hello' }) : host.callUntyped('update', {});
  };
  process.stdout.write('\nmemory: half of the calls are queries, half are tasks\n\n');
  process.stdout.write(row(['calls', 'RSS, MiB', 'calls/s', 'server ms CPU/call']));
  for (let done = 1; done <= steps; done += 1) {
    const cost = await measure(call, server, inFlight, step);
    const figures = [
      (server.rssBytes() / 2 ** 20).toFixed(0),
      cost.perSecond.toFixed(0),
      cost.serverCpu.toFixed(4),
    ];
    process.stdout.write(row([String(done * step), ...figures]));
  }
  await daemon.kill();
}
