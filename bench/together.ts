/**
 * Four copies at once beside one: do they use the disk as fully, and share it fairly? And what the daemon's memory does, by size.
 * `node bench/run.ts together [ROUNDS]`; HOSTBUS_BENCH_DIR as for copies.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeDiskImage } from '../demo/disk-image.ts';
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { connect } from '../src/client/client.ts';
import type { Host } from '../src/client/types.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { median, row } from './round-trips.ts';
import { warmMemory } from './warm-memory.ts';

const run = promisify(execFile);
const mebibyte = 2 ** 20;
const sizes = [64 * mebibyte, 1024 * mebibyte];

interface Source {
  domainId: string;
  imageId: string;
}

export async function benchTogether(rounds: number): Promise<void> {
  const root = mkdtempSync(join(process.env.HOSTBUS_BENCH_DIR ?? tmpdir(), 'hostbus-together-'));
  try {
    await using broker = await startPrivateBroker();
    const env = { HOSTBUS_STORAGE_ROOTS: root, HOSTBUS_LOG_LEVEL: 'info' };
    const daemon = await startDaemon({ hostId: 'h1', brokerUrl: broker.url, env });
    await using client = await connect(broker.url);
    const host = client.host('h1');
    const domainId = randomUUID();
    await host.call('createStorageDomain', { domainId, path: root });
    process.stdout.write('together: copies of allocated images, durable\n');
    for (const sizeBytes of sizes) {
      const source = await importSource(host, domainId, join(root, 'source'), sizeBytes);
      const alone: number[] = [];
      const rates: number[] = [];
      const spreads: number[] = [];
      for (let round = 0; round < rounds; round += 1) {
        alone.push(sizeBytes / (await copies(host, source, 1)).wallS);
        const four = await copies(host, source, 4);
        rates.push((4 * sizeBytes) / four.wallS);
        spreads.push(Math.min(...four.ends) / Math.max(...four.ends));
      }
      process.stdout.write(`\n${sizeBytes / mebibyte} MiB, ${rounds} rounds\n`);
      const mibPerSecond = (values: number[]) => (median(values) / mebibyte).toFixed(0);
      process.stdout.write(row(['one copy, MiB/s'.padEnd(36), mibPerSecond(alone)]));
      process.stdout.write(row(['four at once, MiB/s together'.padEnd(36), mibPerSecond(rates)]));
      const ratio = median(rates.map((rate, i) => rate / (alone[i] ?? rate)));
      process.stdout.write(row(['four at once, × one'.padEnd(36), ratio.toFixed(2)]));
      process.stdout.write(row(['first end / last end'.padEnd(36), median(spreads).toFixed(2)]));
      process.stdout.write(row(['peak RSS of the daemon, MiB'.padEnd(36), peakMiB(daemon.process.pid)]));
      await host.call('deleteImage', source, { timeout: 60_000 });
    }
    await daemon.stop();
  } finally {
    rmSync(root, { recursive: true });
  }
}

async function importSource(host: Host, domainId: string, path: string, sizeBytes: number): Promise<Source> {
  await makeDiskImage(path, sizeBytes, sizeBytes);
  const source = { domainId, imageId: randomUUID() };
  const { taskId } = await host.call('importImage', { ...source, path, format: 'raw' }, { timeout: 60_000 });
  await host.task(taskId).wait();
  rmSync(path);
  return source;
}

/** Copies, begun at the same time; when each ended, seconds after that. */
async function copies(host: Host, source: Source, count: number): Promise<{ wallS: number; ends: number[] }> {
  await run('sync');
  await warmMemory();
  const targets = Array.from({ length: count }, () => ({ ...source, imageId: randomUUID() }));
  const beganMs = performance.now();
  const ends = await Promise.all(
    targets.map(async (target) => {
      const { taskId } = await host.call('copyImage', { source, target }, { timeout: 60_000 });
      const task = await host.task(taskId).wait();
      if (task.state !== 'succeeded') throw new Error(`a copy ended as ${task.state}`);
      return (performance.now() - beganMs) / 1000;
    }),
  );
  for (const target of targets) await host.call('deleteImage', target, { timeout: 60_000 });
  return { wallS: Math.max(...ends), ends };
}

function peakMiB(pid: number | undefined): string {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return (Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024).toFixed(0);
}
