/** From starting the process to the first answer, the memory of a daemon that idles, and the command line beside bare node. `node bench/run.ts start [ROUNDS]` */
import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
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
  await benchCommandLine(rounds);
}

async function benchCommandLine(rounds: number): Promise<void> {
  const program = fileURLToPath(new URL('../src/bin/hostbus.ts', import.meta.url));
  const bareMs: number[] = [];
  const helpMs: number[] = [];
  await timeOf([program, '--help']); // fills the compile cache
  for (let round = 0; round < rounds; round += 1) {
    bareMs.push(await timeOf(['-e', '0']));
    helpMs.push(await timeOf([program, '--help']));
  }
  const ratio = median(helpMs.map((ms, i) => ms / (bareMs[i] ?? ms)));
  process.stdout.write(
    `hostbus --help        ${median(helpMs).toFixed(0)} ms, ${ratio.toFixed(1)} × node alone\n`,
  );
}

async function timeOf(args: readonly string[]): Promise<number> {
  const beganMs = performance.now();
  await promisify(execFile)(process.execPath, args);
  return performance.now() - beganMs;
}
