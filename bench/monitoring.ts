/**
 * What watching costs: calls to a daemon with metrics and to one without, in interleaved rounds, medians of paired ratios; the same
 * for calls whose caller records a trace; and a scrape. `node bench/run.ts monitoring [ROUNDS]`
 */
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { type CallOptions, connect } from '../src/client/client.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { startCollector } from '../test/lib/otlp-collector.ts';
import { monitoringUrl } from '../test/lib/prometheus.ts';
import { benchServer, type Cost, measure, median, row } from './round-trips.ts';

const inFlight = 128;
const calls = 40_000;
const scrapes = 100;
const recorded: CallOptions = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' };

export async function benchMonitoring(rounds: number): Promise<void> {
  await using broker = await startPrivateBroker();
  await using client = await connect(broker.url);
  const collector = await startCollector();
  const start = async (hostId: string, env: Record<string, string>) => {
    const options = { hostId, brokerUrl: broker.url, testVerbs: true };
    const daemon = await startDaemon({ ...options, env: { HOSTBUS_LOG_LEVEL: 'info', ...env } });
    const server = benchServer(daemon.process);
    const run = (callOptions: CallOptions = {}) =>
      measure(
        (text) => client.host(hostId).callUntyped('echo', { text }, callOptions),
        server,
        inFlight,
        calls,
      );
    await run();
    return { daemon, server, run };
  };
  const plain = await start('plain', {});
  const watched = await start('watched', {
    HOSTBUS_MONITORING_LISTEN: '0',
    HOSTBUS_TRACES_ENDPOINT: collector.url,
  });
  const url = await monitoringUrl(watched.daemon);

  process.stdout.write(
    `\nmonitoring: an echo at ${inFlight} in flight, beside a daemon that nobody watches\n\n`,
  );
  process.stdout.write(row(['', 'calls/s, ratio', 'server CPU per call, ratio']));
  for (const [name, options] of [
    ['metrics', {}],
    ['traces', recorded],
  ] as const) {
    const pairs: { on: Cost; off: Cost }[] = [];
    for (let round = 0; round < rounds; round += 1) {
      // Who begins alternates.
      const first = round % 2 === 0 ? await watched.run(options) : undefined;
      const off = await plain.run(options);
      pairs.push({ off, on: first ?? (await watched.run(options)) });
    }
    const ratio = (of: (cost: Cost) => number) =>
      median(pairs.map(({ on, off }) => of(on) / of(off))).toFixed(2);
    process.stdout.write(row([name, ratio((cost) => cost.perSecond), ratio((cost) => cost.serverCpu)]));
  }
  const before = watched.server.cpuSeconds();
  let size = 0;
  for (let i = 0; i < scrapes; i += 1) size = (await (await fetch(`${url}/metrics`)).text()).length;
  const cpuMs = ((watched.server.cpuSeconds() - before) / scrapes) * 1000;
  process.stdout.write(`\na scrape: ${cpuMs.toFixed(1)} ms of server CPU, ${(size / 1024).toFixed(0)} KiB\n`);
  collector.stop();
  await Promise.all([plain, watched].map(({ daemon }) => daemon.stop()));
}
