/** How long getTaskStatus takes while an image is copied and 1,000 tasks wait. `node bench/run.ts latency` */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeDiskImage } from '../demo/disk-image.ts';
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { connect } from '../src/client/client.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { median } from './round-trips.ts';

const waiting = 1_000;
const imageBytes = 3 * 2 ** 30;

export async function benchLatency(): Promise<void> {
  const root = mkdtempSync(join(process.env.HOSTBUS_BENCH_DIR ?? tmpdir(), 'hostbus-bench-'));
  try {
    await measureIn(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function measureIn(root: string): Promise<void> {
  await using broker = await startPrivateBroker();
  const daemon = await startDaemon({
    hostId: 'h1',
    brokerUrl: broker.url,
    testVerbs: true,
    env: { HOSTBUS_STORAGE_ROOTS: root },
  });
  await using client = await connect(broker.url);
  const host = client.host('h1');
  const domainId = randomUUID();
  await host.call('createStorageDomain', { domainId, path: root });
  const file = join(root, 'disk.raw');
  await makeDiskImage(file, imageBytes, imageBytes);
  for (let i = 0; i < waiting; i += 1) await host.notify('laneWork' as 'ping', { ms: 3_600_000 } as never);
  const target = { domainId, imageId: randomUUID() };
  await host.call(
    'importImage',
    { ...target, path: file, format: 'raw' },
    { taskId: 'copy', timeout: 60_000 },
  );
  const ms: number[] = [];
  let copying = true;
  while (copying) {
    const beganMs = performance.now();
    const task = await host.task('copy').status();
    ms.push(performance.now() - beganMs);
    copying = task.finishedAt === undefined;
  }
  const { tasks } = await host.call('getHostStats', {});
  ms.sort((a, b) => a - b);
  const p99 = ms[Math.floor(ms.length * 0.99)] ?? 0;
  process.stdout.write(
    `\nlatency: getTaskStatus during the copy of ${imageBytes / 2 ** 30} GiB, ${tasks.queued} tasks queued, ${tasks.running} running\n\n`,
  );
  process.stdout.write(
    `${ms.length} calls: median ${median(ms).toFixed(2)} ms, p99 ${p99.toFixed(2)} ms, longest ${(ms.at(-1) ?? 0).toFixed(2)} ms\n`,
  );
  await daemon.kill();
}
