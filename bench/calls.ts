/**
 * Calls per second and CPU per call, through the whole stack, beside a bare amqplib echo in the same run: interleaved rounds,
 * medians of paired ratios. `node bench/run.ts calls [ROUNDS]`
 */
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { connect } from '../src/client/client.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { connectEchoClient } from './peers/echo-client.ts';
import {
  benchServer,
  type Caller,
  type Cost,
  measure,
  median,
  row,
  serving,
  startEchoServer,
} from './round-trips.ts';

const levels = [
  { inFlight: 1, calls: 4_000 },
  { inFlight: 16, calls: 15_000 },
  { inFlight: 128, calls: 30_000 },
  { inFlight: 1024, calls: 30_000 },
];

export async function benchCalls(rounds: number): Promise<void> {
  await using broker = await startPrivateBroker();
  const daemon = await startDaemon({
    hostId: 'h1',
    brokerUrl: broker.url,
    testVerbs: true,
    env: { HOSTBUS_LOG_LEVEL: 'warn' },
    wait: false,
  });
  const hostbusServer = benchServer(daemon.process);
  const echoServer = await startEchoServer(broker.url);
  await using client = await connect(broker.url);
  const echo = await connectEchoClient(broker.url);
  const host = client.host('h1');
  await serving(() => host.call('ping', {}));
  const hostbus: Caller = (text) => host.callUntyped('echo', { text });

  process.stdout.write(
    'calls: echo through hostbus (validation, access, task record, lanes) beside a bare amqplib echo\n\n',
  );
  process.stdout.write(
    row([
      'in flight',
      'hostbus/s',
      'amqplib/s',
      'ratio',
      'server CPU ratio',
      'client CPU ratio',
      'hostbus server ms CPU/call',
    ]),
  );
  await measure(hostbus, hostbusServer, 64, 20_000);
  await measure(echo.call, echoServer, 64, 20_000);
  for (const { inFlight, calls } of levels) {
    const pairs: { ours: Cost; peer: Cost }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const ours = () => measure(hostbus, hostbusServer, inFlight, calls);
      const peer = () => measure(echo.call, echoServer, inFlight, calls);
      // Who begins alternates.
      if (round % 2 === 0) pairs.push({ ours: await ours(), peer: await peer() });
      else {
        const first = await peer();
        pairs.push({ peer: first, ours: await ours() });
      }
    }
    const ratio = (of: (cost: Cost) => number) => median(pairs.map(({ ours, peer }) => of(ours) / of(peer)));
    process.stdout.write(
      row([
        String(inFlight),
        median(pairs.map(({ ours }) => ours.perSecond)).toFixed(0),
        median(pairs.map(({ peer }) => peer.perSecond)).toFixed(0),
        ratio((cost) => cost.perSecond).toFixed(2),
        ratio((cost) => cost.serverCpu).toFixed(2),
        ratio((cost) => cost.clientCpu).toFixed(2),
        median(pairs.map(({ ours }) => ours.serverCpu)).toFixed(4),
      ]),
    );
  }
  process.stdout.write(
    `\nRSS of the daemon after all that: ${(hostbusServer.rssBytes() / 2 ** 20).toFixed(0)} MiB\n`,
  );
  await echo.close();
  await echoServer.stop();
  await daemon.stop();
}
