/** Going on with a copy, and taking it over: killed, cut off from power, and stopped for a while, at each system call. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import type { ImageStatus } from '../../schemas/image.ts';
import { decodeCopyRecord } from '../../src/storage/copy-record.ts';
import { createStorage, type Storage } from '../../src/storage/storage.ts';
import { refused, task, until } from '../unit/storage/world.ts';
import { CrashDisk, type CrashPoint, crashPoints, killAt, missingTools, stopAt } from './crash-points.ts';
import type { ChildJob } from './storage-child.ts';

const skip = missingTools() ?? false;
const sizeBytes = 1024 * 1024;
const log = pino({ level: 'silent' });
/** All points, or only so many of each scenario, spread evenly: each costs a process and a mount. */
const pointsMax = process.env.HOSTBUS_CRASH_POINTS === 'all' ? Number.POSITIVE_INFINITY : 6;
const tuning = {
  chunkBytes: 1024 * 1024,
  checkpointMs: 0,
  // Long enough for those who come second, short enough for a test; never renewed, so that every run makes the same calls.
  holderTermMs: 20,
  holderRenewMs: 60_000,
  bestMethod: 'kernel' as const,
};

let directory: string;
let disk: CrashDisk;
let traces = 0;

before(async () => {
  if (skip !== false) return;
  directory = await mkdtemp(join(tmpdir(), 'hostbus-continue-'));
  disk = new CrashDisk(directory, 32);
});

after(async () => {
  if (skip !== false) return;
  disk.unmount();
  await rm(directory, { recursive: true });
});

async function connected<T>(
  as: { hostId: string; bootId: string },
  root: string,
  domainId: string,
  work: (storage: Storage['implementations']) => Promise<T>,
): Promise<T> {
  const storage = createStorage({ ...as, roots: [root], log, emit: () => {} }, tuning);
  try {
    await storage.implementations.connectStorageDomain({ domainId, path: root }, task());
    return await work(storage.implementations);
  } finally {
    await storage.close();
  }
}

function dataPath(root: string, image: ImageStatus): string {
  return `${root}/${image.domainId}/images/${image.imageId}/${image.volumeId}`;
}

interface Scene {
  job: ChildJob;
  content: Buffer;
  /** Durable before anything is continued. */
  doneBytes: number;
  /** Puts the interrupted image back as it was at the beginning. */
  reset(): Promise<void>;
}

/**
 * A source with data, a hole, data, a hole; and an interrupted copy of it, with garbage behind what is durable.
 *
 * @param deadHolder - who still seems to hold it
 */
async function prepare(deadHolder?: { hostId: string; bootId: string }): Promise<Scene> {
  const domainId = randomUUID();
  const root = disk.mount;
  const as = { hostId: 'h2', bootId: 'boot' };
  const { implementations: verbs } = createStorage({ ...as, roots: [root], log, emit: () => {} }, tuning);
  await verbs.createStorageDomain({ domainId, path: root }, task());
  const params = { domainId, imageId: randomUUID(), format: 'raw', capacity: sizeBytes } as const;
  const source = await verbs.createImage(params, task());
  await fill(dataPath(root, source), [0, 256, 640], 'data');
  const target = { domainId, imageId: randomUUID() };
  const work = task({ onProgress: (done) => done > 0 && work.cancel() });
  await refused('Cancelled', verbs.copyImage({ source: params, target }, work as never));
  const status = await verbs.getImageStatus(target, task());
  assert.equal(status.status, 'interrupted');
  const path = dataPath(root, status);
  await fill(path, [512, 768], 'garbage');
  if (deadHolder !== undefined) {
    const holder = { ...deadHolder, taskId: 'earlier', generation: 1, counter: 3 };
    await writeFile(`${path}.holder`, `${JSON.stringify(holder)}\n`);
  }
  const images = `${root}/${domainId}/images`;
  execFileSync('cp', ['-a', `${images}/${target.imageId}`, `${root}/saved-${target.imageId}`]);
  disk.settle();
  const job: ChildJob = {
    root,
    hostId: 'h1',
    bootId: 'boot-1',
    domainId,
    action: 'continueImageCopy',
    imageId: target.imageId,
    tuning,
  };
  const reset = async () => {
    await rm(`${images}/${target.imageId}`, { recursive: true, force: true });
    execFileSync('cp', ['-a', `${root}/saved-${target.imageId}`, `${images}/${target.imageId}`]);
    disk.settle();
  };
  const content = await readFile(dataPath(root, source));
  return { job, content, doneBytes: status.copy?.done ?? 0, reset };
}

async function fill(path: string, offsetsKib: readonly number[], text: string): Promise<void> {
  const file = await open(path, 'r+');
  for (const offset of offsetsKib) {
    await file.write(Buffer.alloc(128 * 1024, `${text}${offset};`), 0, 128 * 1024, offset * 1024);
  }
  await file.sync();
  await file.close();
}

async function statusIn(
  verbs: Storage['implementations'],
  { domainId, imageId = '' }: ChildJob,
): Promise<ImageStatus> {
  return verbs.getImageStatus({ domainId, imageId }, task());
}

/** What is left is `interrupted`, with all that was durable, or `ok`; and in any case it can be brought to its end. */
async function checkAndComplete(
  as: { hostId: string; bootId: string },
  root: string,
  { job, content, doneBytes }: Scene,
): Promise<string> {
  return connected(as, root, job.domainId, async (verbs) => {
    await until('nobody seems to write', async () => (await statusIn(verbs, job)).status !== 'copying');
    const status = await statusIn(verbs, job);
    const directory = `${root}/${job.domainId}/images/${job.imageId}`;
    if (status.status === 'interrupted') {
      assert.ok((status.copy?.done ?? 0) >= doneBytes, `${status.copy?.done} of ${doneBytes} bytes left`);
      const { offset, earlier } = decodeCopyRecord(await readFile(`${dataPath(root, status)}.copy`, 'utf8'));
      for (const [volumeId, end] of [
        [status.volumeId, offset],
        ...(earlier === undefined ? [] : [[earlier.volumeId, earlier.offset] as const]),
      ] as const) {
        const copied = await readFile(`${directory}/${volumeId}`);
        assert.ok(copied.subarray(0, end).equals(content.subarray(0, end)), `not all before ${end}`);
      }
      const { domainId, imageId = '' } = job;
      await verbs.continueImageCopy({ domainId, imageId }, task());
    }
    await assertComplete(root, await statusIn(verbs, job), content);
    return status.status;
  });
}

async function assertComplete(root: string, status: ImageStatus, content: Buffer) {
  assert.equal(status.status, 'ok', status.message);
  assert.equal(status.generation, 1);
  assert.ok((await readFile(dataPath(root, status))).equals(content), 'ok, and not equal');
  const path = dataPath(root, status);
  const names = await readdir(path.slice(0, path.lastIndexOf('/')));
  const { volumeId } = status;
  assert.deepEqual(names.sort(), [volumeId, `${volumeId}.lease`, `${volumeId}.meta`].sort());
}

async function pointsOf({ job, reset }: Scene): Promise<{ points: CrashPoint[]; all: number }> {
  await reset();
  const all = await crashPoints(job, `${directory}/trace`);
  assert.ok(all.length > 10, `${all.length} points only`);
  const step = Math.max(1, all.length / pointsMax);
  const points = Array.from({ length: Math.ceil(all.length / step) }, (_, i) => all[Math.floor(i * step)]);
  return { points: points.filter((point) => point !== undefined), all: all.length };
}

async function atEach(points: readonly CrashPoint[], work: (point: CrashPoint) => Promise<void>) {
  for (const point of points) {
    try {
      await work(point);
    } catch (error) {
      throw new Error(`At ${point.call} number ${point.nth}`, { cause: error });
    }
  }
}

for (const [title, holder] of [
  ['going on with a copy that nobody holds', undefined],
  ['going on with a copy of an earlier boot', { hostId: 'h1', bootId: 'boot-0' }],
  ["taking over another host's copy", { hostId: 'h9', bootId: 'boot-9' }],
] as const) {
  test(`${title}: killed at any call it can be brought to its end, also when the power goes`, {
    skip,
  }, async (t) => {
    const scene = await prepare(holder);
    const { points, all } = await pointsOf(scene);
    const seen = new Map<string, number>();
    const count = (outcome: string) => seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    await atEach(points, async (point) => {
      await scene.reset();
      await killAt(scene.job, point);
      // One end by another host, which must not trust the file; one by the same host's next boot.
      await disk.afterPowerCut(async (root) => {
        count(`power cut: ${await checkAndComplete({ hostId: 'h3', bootId: 'b' }, root, scene)}`);
      });
      const next = { hostId: 'h1', bootId: 'boot-2' };
      count(`killed: ${await checkAndComplete(next, disk.mount, scene)}`);
    });
    const outcomes = [...seen].map(([outcome, n]) => `${outcome} ${n}`).join(', ');
    t.diagnostic(`${points.length} of ${all} points; ${outcomes}`);
    for (const way of ['killed', 'power cut']) assert.ok(seen.has(`${way}: interrupted`), `never ${way}`);
  });
}

test('a writer that sleeps through a take-over damages nothing when it wakes', { skip }, async (t) => {
  const copy = await prepare();
  const takeOver = await prepare({ hostId: 'h9', bootId: 'boot-9' });
  let stopped = 0;
  const said = new Map<string, number>();
  for (const scene of [copy, takeOver]) {
    const { points } = await pointsOf(scene);
    await atEach(points, async (point) => {
      await scene.reset();
      const sleeper = await stopAt(scene.job, point, `${directory}/trace-${traces++}`);
      if (!('resume' in sleeper)) return;
      stopped++;
      let wakened: Awaited<ReturnType<typeof sleeper.resume>> | undefined;
      try {
        await connected({ hostId: 'h3', bootId: 'b' }, disk.mount, scene.job.domainId, async (verbs) => {
          await until('nobody seems to write', async () => {
            return (await statusIn(verbs, scene.job)).status !== 'copying';
          });
          const { domainId, imageId = '' } = scene.job;
          if ((await statusIn(verbs, scene.job)).status === 'interrupted') {
            await verbs.continueImageCopy({ domainId, imageId }, task());
          }
          const status = await statusIn(verbs, scene.job);
          assert.equal(status.status, 'ok', status.message);
          // The image is in use now: nobody may write into it any more.
          await fill(dataPath(disk.mount, status), [0, 896], 'of the virtual machine');
          const used = await readFile(dataPath(disk.mount, status));
          wakened = await sleeper.resume();
          // What came late is tidied by the sleeper, or by its host.
          await connected({ hostId: 'h1', bootId: 'boot-2' }, disk.mount, domainId, async () => {});
          const now = await statusIn(verbs, scene.job);
          assert.equal(now.volumeId, status.volumeId);
          await assertComplete(disk.mount, now, used);
        });
      } finally {
        wakened ??= await sleeper.resume();
      }
      const last = wakened.said.at(-1) ?? '';
      said.set(last, (said.get(last) ?? 0) + 1);
    });
  }
  t.diagnostic(`stopped at ${stopped} points; ${[...said].map(([word, n]) => `${word} ${n}`).join(', ')}`);
  assert.ok((said.get('ImageBusy') ?? 0) > 3, 'no sleeper was replaced');
});
