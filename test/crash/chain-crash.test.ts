/** Copies of chains, and conversions, killed, cut off from power, and stopped for a while: each writes more than one file or lets a program write. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageStatus } from '../../schemas/image.ts';
import { createStorage, type Storage } from '../../src/storage/storage.ts';
import { addLayer, flattened, writeThrough } from '../unit/storage/chains.ts';
import { refused, sparseFile, task, until } from '../unit/storage/world.ts';
import {
  CrashDisk,
  type CrashPoint,
  crashPoints,
  killAt,
  killProgramAt,
  missingTools,
  programPoints,
  stopAt,
} from './crash-points.ts';
import type { ChildJob } from './storage-child.ts';

const skip = missingTools() ?? false;
const log = pino({ level: 'silent' });
/** All points, or only so many of each scenario, spread evenly: each costs a process and a mount. */
const pointsMax = process.env.HOSTBUS_CRASH_POINTS === 'all' ? Number.POSITIVE_INFINITY : 5;
const tuning = {
  chunkBytes: 1024 * 1024,
  checkpointMs: 0,
  // Long enough for those who come second, short enough for a test; never renewed, so that every run makes the same calls.
  holderTermMs: 20,
  holderRenewMs: 60_000,
  bestMethod: 'kernel' as const,
};
type Host = { hostId: string; bootId: string };
type Verbs = Storage['implementations'];
const child: Host = { hostId: 'h1', bootId: 'boot-1' };
const nextBoot: Host = { hostId: 'h1', bootId: 'boot-2' };
const otherHost: Host = { hostId: 'h3', bootId: 'b' };

let directory: string;
let disk: CrashDisk;
let traces = 0;

before(async () => {
  if (skip !== false) return;
  directory = await mkdtemp(join(tmpdir(), 'hostbus-chain-'));
  disk = new CrashDisk(directory, 32);
});

after(async () => {
  if (skip !== false) return;
  disk.unmount();
  await rm(directory, { recursive: true });
});

async function connected<T>(as: Host, root: string, domainId: string, work: (verbs: Verbs) => Promise<T>) {
  const storage = createStorage({ ...as, roots: [root], log, emit: () => {} }, tuning);
  try {
    await storage.implementations.connectStorageDomain({ domainId, path: root }, task());
    return await work(storage.implementations);
  } finally {
    await storage.close();
  }
}

interface Scene {
  job: ChildJob;
  target: { domainId: string; imageId: string };
  source: { domainId: string; imageId: string };
  /** What a virtual machine reads of the source. */
  content: Buffer;
  volumes: number;
  /** Puts the target back to what it was before the job. */
  reset(): Promise<void>;
}

/** A chain of a raw base with a hole, and a qcow2 volume. */
async function prepare(what: Pick<ChildJob, 'action' | 'chain' | 'format'>, volumes = 1): Promise<Scene> {
  const domainId = randomUUID();
  const root = disk.mount;
  // Of the scene before: one at a time, and a small disk, since it is copied at each point.
  for (const name of await readdir(root)) await rm(`${root}/${name}`, { recursive: true });
  const { implementations: verbs } = createStorage({ ...child, roots: [root], log, emit: () => {} }, tuning);
  await verbs.createStorageDomain({ domainId, path: root }, task());
  const source = { domainId, imageId: randomUUID() };
  await sparseFile(`${directory}/raw`, 3, [
    [0, 1],
    [2, 1],
  ]);
  const base = await verbs.createImage({ ...source, format: 'raw', capacity: 3 * 1024 * 1024 }, task());
  const images = `${root}/${domainId}/images`;
  const sourceDirectory = `${images}/${source.imageId}`;
  execFileSync('cp', ['--sparse=always', `${directory}/raw`, `${sourceDirectory}/${base.volumeId}`]);
  const leaf = await addLayer(sourceDirectory, base.volumeId);
  writeThrough(`${sourceDirectory}/${leaf}`, 5, 512, 640);
  const content = await readFile(flattened(`${sourceDirectory}/${leaf}`, 'qcow2', `${directory}/flat`));
  const target = { domainId, imageId: randomUUID() };
  const ids = { domainId, imageId: target.imageId, sourceId: source.imageId };
  const job: ChildJob = { ...child, ...what, ...ids, root, tuning };
  const reset = async () => {
    await rm(`${images}/${target.imageId}`, { recursive: true, force: true });
    disk.settle();
  };
  await reset();
  return { job, target, source, content, volumes, reset };
}

/** A copy of the chain that was cut short when so much of it was done, as a dead host left it. */
async function prepareInterrupted(share: number, dead?: Host): Promise<Scene> {
  const scene = await prepare({ action: 'continueImageCopy' }, 2);
  const { target, source, job } = scene;
  const copy = `${disk.mount}/${target.domainId}/images/${target.imageId}`;
  await connected({ hostId: 'h2', bootId: 'b' }, disk.mount, target.domainId, async (verbs) => {
    const work = task({
      onProgress: (done) => done > share * (work.reports[0]?.total ?? 0) && work.cancel(),
    });
    await refused('Cancelled', verbs.copyImage({ source, target }, work as never));
    const { volumeId } = await verbs.getImageStatus(target, task());
    const holder = { ...dead, taskId: 'earlier', generation: 1, counter: 3 };
    if (dead !== undefined) await writeFile(`${copy}/${volumeId}.holder`, `${JSON.stringify(holder)}\n`);
  });
  execFileSync('cp', ['-a', copy, `${disk.mount}/saved-${target.imageId}`]);
  const reset = async () => {
    await rm(copy, { recursive: true, force: true });
    execFileSync('cp', ['-a', `${disk.mount}/saved-${job.imageId}`, copy]);
    disk.settle();
  };
  await reset();
  return { ...scene, reset };
}

async function statusOf(verbs: Verbs, { target }: Scene): Promise<ImageStatus | undefined> {
  try {
    return await verbs.getImageStatus(target, task());
  } catch (error) {
    if (error instanceof HostbusError && error.name === 'ImageNotFound') return undefined;
    throw error;
  }
}

/** What is left is no target, `interrupted`, or `ok`; what is interrupted can be brought to its end; and the end is right. */
async function check(as: Host, root: string, scene: Scene, answered: boolean): Promise<string> {
  const { target } = scene;
  return connected(as, root, target.domainId, async (verbs) => {
    await until('nobody seems to write', async () => (await statusOf(verbs, scene))?.status !== 'copying');
    const status = await statusOf(verbs, scene);
    if (status === undefined) {
      assert.ok(!answered, 'answered, and the target is not there');
      return 'none';
    }
    if (status.status !== 'ok') {
      assert.equal(status.status, 'interrupted', status.message);
      await verbs.continueImageCopy(target, task());
    }
    await assertComplete(root, verbs, scene, true);
    return status.status;
  });
}

async function assertComplete(
  root: string,
  verbs: Verbs,
  scene: Scene,
  tidied: boolean,
): Promise<ImageStatus> {
  const status = await verbs.getImageStatus(scene.target, task());
  assert.equal(status.status, 'ok', status.message);
  assert.equal(status.generation, 1);
  const ids = status.chain ?? [status.volumeId];
  assert.equal(ids.length, scene.volumes);
  const copy = `${root}/${status.domainId}/images/${status.imageId}`;
  const read = flattened(`${copy}/${status.volumeId}`, status.format, `${directory}/read`);
  assert.ok((await readFile(read)).equals(scene.content), 'ok, and not equal');
  if (tidied) {
    const files = ids.flatMap((id) => [id, `${id}.lease`, `${id}.meta`]);
    assert.deepEqual((await readdir(copy)).sort(), files.sort());
  }
  return status;
}

// The last one is always among them: what is complete is so at the end only.
function some(all: readonly CrashPoint[]): CrashPoint[] {
  const step = Math.max(1, all.length / pointsMax);
  const points = Array.from(
    { length: Math.floor(all.length / step) },
    (_, i) => all[Math.ceil((i + 1) * step) - 1],
  );
  return points.filter((point) => point !== undefined);
}

async function atEach(
  points: readonly CrashPoint[],
  scene: Scene,
  work: (point: CrashPoint) => Promise<void>,
) {
  for (const point of points) {
    await scene.reset();
    try {
      await work(point);
    } catch (error) {
      throw new Error(`At ${point.call} number ${point.nth}`, { cause: error });
    }
  }
}

for (const [title, make] of [
  ['a copy of a chain', () => prepare({ action: 'copyImage', chain: 'keep' }, 2)],
  ['going on with a copy of a chain, in its base', () => prepareInterrupted(0.3)],
  [
    "taking over another host's copy of a chain, in its base",
    () => prepareInterrupted(0.3, { hostId: 'h9', bootId: 'b' }),
  ],
  [
    "taking over another host's copy of a chain, in its last volume",
    () => prepareInterrupted(0.8, { hostId: 'h9', bootId: 'b' }),
  ],
  ['the flattening of a chain', () => prepare({ action: 'copyImage', chain: 'flatten' })],
  ['a conversion into raw', () => prepare({ action: 'convertImage', format: 'raw' })],
] as const) {
  test(`${title}: killed at any call it is not there, can be brought to its end, or is ok, also when the power goes`, {
    skip,
  }, async (t) => {
    const scene = await make();
    const all = await crashPoints(scene.job, `${directory}/trace-${traces++}`);
    assert.ok(all.length > 10, `${all.length} points only`);
    const seen = new Map<string, number>();
    const count = (outcome: string) => seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    await atEach(some(all), scene, async (point) => {
      const { said } = await killAt(scene.job, point);
      const answered = said.includes('answered') || scene.job.action === 'continueImageCopy';
      await disk.afterPowerCut(async (root) => {
        count(`power cut: ${await check(otherHost, root, scene, answered)}`);
      });
      count(`killed: ${await check(nextBoot, disk.mount, scene, answered)}`);
    });
    t.diagnostic(`${Math.min(all.length, pointsMax)} of ${all.length} points; ${text(seen)}`);
    for (const way of ['killed', 'power cut']) assert.ok(seen.has(`${way}: interrupted`), `never ${way}`);
  });
}

function text(seen: ReadonlyMap<string, number>): string {
  return [...seen].map(([outcome, n]) => `${outcome} ${n}`).join(', ');
}

for (const format of ['raw', 'qcow2'] as const) {
  test(`a conversion into ${format} whose program is killed at any of its writes can be brought to its end`, {
    skip,
  }, async (t) => {
    const scene = await prepare({ action: 'convertImage', format });
    const all = await programPoints(scene.job, `${directory}/trace-${traces++}`);
    // Few: its threads take turns, and strace counts for each.
    assert.ok(all.length > 0, 'it writes nothing');
    const seen = new Map<string, number>();
    await atEach(some(all), scene, async (point) => {
      const { said, killed } = await killProgramAt(scene.job, point);
      assert.equal(killed, false, 'not the program was killed, but the child');
      const last = said.at(-1) ?? '';
      seen.set(last, (seen.get(last) ?? 0) + 1);
      const outcome = await check(otherHost, disk.mount, scene, true);
      assert.equal(outcome, last === 'done' ? 'ok' : 'interrupted');
    });
    t.diagnostic(`${all.length} points; ${text(seen)}`);
    assert.ok((seen.get('CopyFailed') ?? 0) > 0, 'the program was never killed');
  });
}

async function sums(copy: string, names: readonly string[]): Promise<string[]> {
  return Promise.all(
    names.map(async (name) => {
      return `${name} ${createHash('sha256')
        .update(await readFile(`${copy}/${name}`))
        .digest('hex')}`;
    }),
  );
}

test('a writer of a chain that sleeps through a take-over damages nothing when it wakes', {
  skip,
}, async (t) => {
  const said = new Map<string, number>();
  for (const make of [
    () => prepareInterrupted(0.1),
    () => prepareInterrupted(0.1, { hostId: 'h9', bootId: 'b' }),
  ]) {
    const scene = await make();
    const { target, job } = scene;
    const all = await crashPoints(job, `${directory}/trace-${traces++}`);
    await atEach(some(all), scene, async (point) => {
      const sleeper = await stopAt(job, point, `${directory}/trace-${traces++}`);
      if (!('resume' in sleeper)) return;
      let wakened: Awaited<ReturnType<typeof sleeper.resume>> | undefined;
      try {
        await check(otherHost, disk.mount, scene, true);
        await connected(otherHost, disk.mount, target.domainId, async (verbs) => {
          const { volumeId, chain = [] } = await assertComplete(disk.mount, verbs, scene, false);
          const copy = `${disk.mount}/${target.domainId}/images/${target.imageId}`;
          // The image is in use now: nobody may write into it any more, nor exchange what it builds on.
          writeThrough(`${copy}/${volumeId}`, 99, 0, 64);
          const files = chain.flatMap((id) => [id, `${id}.meta`]);
          const used = await sums(copy, files);
          wakened = await sleeper.resume();
          // What came late is tidied by the sleeper, or by its host.
          await connected(nextBoot, disk.mount, target.domainId, async () => {});
          assert.deepEqual(await sums(copy, files), used);
          assert.equal((await readdir(copy)).length, 6);
          assert.equal((await verbs.getImageStatus(target, task())).volumeId, volumeId);
        });
      } finally {
        wakened ??= await sleeper.resume();
      }
      const last = wakened.said.at(-1) ?? '';
      said.set(last, (said.get(last) ?? 0) + 1);
    });
  }
  t.diagnostic(text(said));
  assert.ok((said.get('ImageBusy') ?? 0) > 2, 'no sleeper was replaced');
});
