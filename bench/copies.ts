/**
 * Durable copies beside the programs that people use: wall time and CPU time as multiples of `cp` and a flush, interleaved rounds,
 * medians of paired ratios. `node bench/run.ts copies [ROUNDS]`; as root, since it mounts an XFS in a file.
 *
 * HOSTBUS_BENCH_DIR names a directory on the file system to measure (default: that of temporary files); it needs 25 GiB.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeDiskImage } from '../demo/disk-image.ts';
import { startPrivateBroker } from '../rabbitmq/private-broker.ts';
import { type Client, connect } from '../src/client/client.ts';
import { startDaemon } from '../test/lib/daemon.ts';
import { type BenchServer, benchServer, median, row } from './round-trips.ts';
import { warmMemory } from './warm-memory.ts';

/** Never the synchronous one while the client lives: its heartbeats would stop. */
const run = promisify(execFile);

const gibibyte = 2 ** 30;
const mebibyte = 2 ** 20;

interface Dataset {
  name: string;
  format: 'raw' | 'qcow2';
  make(path: string): Promise<void>;
}

const datasets: readonly Dataset[] = [
  {
    name: '2 GiB allocated raw',
    format: 'raw',
    make: async (path) => void (await makeDiskImage(path, 2 * gibibyte, 2 * gibibyte)),
  },
  {
    name: '8 GiB sparse, 1 GiB of data in 1 MiB pieces',
    format: 'raw',
    make: async (path) => void (await makeDiskImage(path, 8 * gibibyte, gibibyte, mebibyte)),
  },
  {
    name: '1 GiB qcow2',
    format: 'qcow2',
    make: async (path) => {
      await makeDiskImage(`${path}.raw`, gibibyte, gibibyte);
      await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', `${path}.raw`, path]);
      rmSync(`${path}.raw`);
      await run('sync', ['-f', path]);
    },
  },
];

type Peer = (format: string) => string;
/** Shell commands with $1 the source and $2 the target; each is followed by a flush of the target. */
const peers: Readonly<Record<string, Peer>> = {
  'cp --sparse=always --reflink=never': () => 'cp --sparse=always --reflink=never "$1" "$2"',
  'cp --reflink=auto': () => 'cp --reflink=auto "$1" "$2"',
  'qemu-img convert': (format) => `qemu-img convert -f ${format} -O ${format} "$1" "$2"`,
  'qemu-img convert -W -m 8': (format) => `qemu-img convert -W -m 8 -f ${format} -O ${format} "$1" "$2"`,
  'qemu-img convert -t none -T none': (format) =>
    `qemu-img convert -t none -T none -f ${format} -O ${format} "$1" "$2"`,
};
const base = 'cp --sparse=always --reflink=never';

interface Measured {
  wallS: number;
  cpuS: number;
}

export async function benchCopies(rounds: number): Promise<void> {
  const root = mkdtempSync(join(process.env.HOSTBUS_BENCH_DIR ?? tmpdir(), 'hostbus-copies-'));
  const xfs = join(root, 'xfs');
  mkdirSync(xfs);
  execFileSync('truncate', ['-s', '12G', join(root, 'xfs.img')]);
  execFileSync('mkfs.xfs', ['-q', '-m', 'reflink=1', join(root, 'xfs.img')]);
  execFileSync('mount', ['-o', 'loop', join(root, 'xfs.img'), xfs]);
  try {
    await using broker = await startPrivateBroker();
    const env = { HOSTBUS_STORAGE_ROOTS: root, HOSTBUS_LOG_LEVEL: 'warn' };
    const daemon = await startDaemon({
      hostId: 'h1',
      brokerUrl: broker.url,
      env: { ...env, HOSTBUS_LOG_LEVEL: 'info' },
    });
    await using client = await connect(broker.url);
    process.stdout.write('copies: durable, as multiples of cp --sparse=always --reflink=never and a flush\n');
    for (const [place, directory] of [
      [execFileSync('stat', ['-f', '-c', '%T', root]).toString().trim(), root],
      ['xfs with reflink, in a loop file', xfs],
    ] as const) {
      for (const dataset of datasets)
        await benchDataset(client, benchServer(daemon.process), place, directory, dataset, rounds);
    }
    await daemon.stop();
  } finally {
    execFileSync('umount', [xfs]);
    rmSync(root, { recursive: true, force: true });
  }
}

async function benchDataset(
  client: Client,
  server: BenchServer,
  place: string,
  directory: string,
  dataset: Dataset,
  rounds: number,
): Promise<void> {
  const host = client.host('h1');
  const domainId = randomUUID();
  await host.call('createStorageDomain', { domainId, path: directory });
  const file = join(directory, 'source');
  await dataset.make(file);
  const source = { domainId, imageId: randomUUID() };
  const imported = await host.call(
    'importImage',
    { ...source, path: file, format: dataset.format },
    { timeout: 60_000 },
  );
  await host.task(imported.taskId).wait();
  const ours = () => copyByHost(client, server, source);
  const contenders: [string, () => Promise<Measured>][] = [
    ['hostbus copyImage', ours],
    ...Object.entries(peers).map(([name, command]): [string, () => Promise<Measured>] => [
      name,
      () => copyByCommand(command(dataset.format), file, `${file}.copy`),
    ]),
  ];
  const results = new Map<string, Measured[]>(contenders.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    // Each begins a round in turn.
    const order = contenders.map((_, i) => contenders[(i + round) % contenders.length]);
    for (const entry of order) {
      if (entry === undefined) continue;
      await run('sync');
      await warmMemory();
      results.get(entry[0])?.push(await entry[1]());
    }
  }
  process.stdout.write(`\n${dataset.name}, ${place}, ${rounds} rounds\n`);
  process.stdout.write(row([''.padEnd(36), 'wall', 'CPU', 'seconds']));
  const bases = results.get(base) ?? [];
  for (const [name, measured] of results) {
    const ratio = (of: (one: Measured) => number) => {
      return median(measured.map((one, i) => of(one) / of(bases[i] ?? one)));
    };
    process.stdout.write(
      row([
        name.padEnd(36),
        ratio((one) => one.wallS).toFixed(2),
        ratio((one) => one.cpuS).toFixed(2),
        median(measured.map((one) => one.wallS)).toFixed(2),
      ]),
    );
  }
  await host.call('deleteImage', source);
  await host.call('disconnectStorageDomain', { domainId });
  rmSync(file);
  rmSync(join(directory, domainId), { recursive: true });
}

async function copyByHost(
  client: Client,
  server: BenchServer,
  source: { domainId: string; imageId: string },
): Promise<Measured> {
  const host = client.host('h1');
  const target = { domainId: source.domainId, imageId: randomUUID() };
  const cpuBefore = server.cpuSeconds();
  const beganMs = performance.now();
  const { taskId } = await host.call('copyImage', { source, target }, { timeout: 60_000 });
  const task = await host.task(taskId).wait();
  const measured = { wallS: (performance.now() - beganMs) / 1000, cpuS: server.cpuSeconds() - cpuBefore };
  if (task.state !== 'succeeded')
    throw new Error(`the copy ended as ${task.state}: ${task.error?.message ?? ''}`);
  await host.call('deleteImage', target, { timeout: 60_000 });
  return measured;
}

async function copyByCommand(command: string, source: string, target: string): Promise<Measured> {
  // bash's own `time` tells of all its children.
  const script = `TIMEFORMAT='%R %U %S'; { time { ${command} && sync "$2"; } 2>&3; } 3>&2 2>&1`;
  const { stdout } = await run('bash', ['-c', script, 'bash', source, target]);
  const [wall, user, system] = stdout.trim().split(' ').map(Number);
  rmSync(target);
  return { wallS: wall ?? 0, cpuS: (user ?? 0) + (system ?? 0) };
}
