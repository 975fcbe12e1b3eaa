/**
 * What checkpoints cost a copy: the same copy with one each second, as the daemon makes them, and with none; interleaved rounds,
 * medians of paired ratios. `node bench/run.ts checkpoints [ROUNDS]`; HOSTBUS_BENCH_DIR as for copies.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeDiskImage } from '../demo/disk-image.ts';
import { replaceFile } from '../src/lib/atomic-file.ts';
import { CopyRun } from '../src/storage/copy-data.ts';
import { defaultTuning } from '../src/storage/options.ts';
import { median, row } from './round-trips.ts';
import { warmMemory } from './warm-memory.ts';

const run = promisify(execFile);
const sizeBytes = 4 * 2 ** 30;

export async function benchCheckpoints(rounds: number): Promise<void> {
  const directory = mkdtempSync(join(process.env.HOSTBUS_BENCH_DIR ?? tmpdir(), 'hostbus-checkpoints-'));
  try {
    const source = join(directory, 'source');
    await makeDiskImage(source, sizeBytes, sizeBytes);
    const intervals = [defaultTuning.checkpointMs, Number.POSITIVE_INFINITY];
    const walls = new Map<number, number[]>(intervals.map((ms) => [ms, []]));
    let checkpoints = 0;
    for (let round = 0; round < rounds; round += 1) {
      for (const ms of round % 2 === 0 ? intervals : intervals.toReversed()) {
        await run('sync');
        await warmMemory();
        const done = await copyOnce(directory, source, ms);
        walls.get(ms)?.push(done.wallS);
        checkpoints += done.checkpoints;
      }
    }
    const [with_ = [], without = []] = [...walls.values()];
    process.stdout.write(`checkpoints: a copy of 4 GiB, durable, ${rounds} rounds\n`);
    process.stdout.write(row([''.padEnd(36), 'wall', 'seconds']));
    const ratio = median(with_.map((wall, i) => wall / (without[i] ?? wall)));
    const often = `${(checkpoints / rounds).toFixed(1)} checkpoints`;
    process.stdout.write(row([often.padEnd(36), ratio.toFixed(3), median(with_).toFixed(2)]));
    process.stdout.write(row(['none'.padEnd(36), '1.000', median(without).toFixed(2)]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function copyOnce(directory: string, from: string, checkpointMs: number) {
  const source = await open(from, 'r');
  const path = join(directory, 'target');
  const target = await open(path, 'wx+');
  await target.truncate(sizeBytes);
  let checkpoints = 0;
  const copy = new CopyRun({
    source,
    target,
    sizeBytes,
    totalBytes: sizeBytes,
    countedTo: sizeBytes,
    start: { offset: 0, doneBytes: 0 },
    chunkBytes: defaultTuning.chunkBytes,
    checkpointMs,
    // Sharing blocks would leave nothing to measure.
    method: 'kernel',
    signal: new AbortController().signal,
    onProgress: () => {},
    onDurable: async (position) => {
      checkpoints += 1;
      await replaceFile(`${path}.copy`, JSON.stringify(position), 'bench');
    },
  });
  const beganMs = performance.now();
  await copy.run();
  await copy.flush();
  const wallS = (performance.now() - beganMs) / 1000;
  await Promise.all([source.close(), target.close()]);
  rmSync(path);
  return { wallS, checkpoints };
}
