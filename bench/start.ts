/** From starting the process to the first answer, and the memory of a daemon that idles. `node bench/run.ts start [ROUNDS]` */
import { setTimeout as sleep } from 'node:timers/promises';
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { connect } from '../src/client/client.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { benchServer, median, serving } from './round-trips.ts';

const idleMs = 3_000;

export async function benchStart(rounds: number): Promise<void> {
  await using broker = await startPrivateBroker();
  await using client = await connect(broker.url);
  const startMs: number[] = [];
  const rssBytes: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const hostId = `h${round}`;
    const beganMs = performance.now();
    const daemon = await startDaemon({ hostId, brokerUrl: broker.url, wait: false });
    await serving(() => client.host(hostId).call('ping', {}));
    startMs.push(performance.now() - beganMs);
    await sleep(idleMs);
    rssBytes.push(benchServer(daemon.process).rssBytes());
    await daemon.stop();
  }
  process.stdout.write('\nstart: a daemon from its TypeScript sources\n\n');
  process.stdout.write(`start to first answer  ${median(startMs).toFixed(0)} ms\n`);
  process.stdout.write(
    `RSS after ${idleMs / 1000} s idle     ${(median(rssBytes) / 2 ** 20).toFixed(0)} MiB\n`,
  );
}
