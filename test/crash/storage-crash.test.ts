import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageStatus } from '../../schemas/image.ts';
import { decodeCopyRecord } from '../../src/storage/copy-record.ts';
import { createStorage, type Storage } from '../../src/storage/storage.ts';
import { task } from '../unit/storage/world.ts';
import {
  type ChildEnd,
  CrashDisk,
  type CrashPoint,
  crashPoints,
  killAt,
  missingTools,
} from './crash-points.ts';
import type { ChildJob } from './storage-child.ts';

const skip = missingTools() ?? false;
const sizeBytes = 1024 * 1024;
const log = pino({ level: 'silent' });
const child = { hostId: 'h1', bootId: 'boot-1' };
// Each stretch of data ends in a checkpoint, and is too small for write-back to be started before it: only flushes make it
// durable. Holders are not renewed, so that every run makes the same calls.
const tuning = {
  chunkBytes: 1024 * 1024,
  checkpointMs: 0,
  holderRenewMs: 60_000,
  bestMethod: 'kernel' as const,
};

let directory: string;
let disk: CrashDisk;

before(async () => {
  if (skip !== false) return;
  directory = await mkdtemp(join(tmpdir(), 'hostbus-crash-'));
  disk = new CrashDisk(directory, 24);
});

after(async () => {
  if (skip !== false) return;
  disk.unmount();
  await rm(directory, { recursive: true });
});

/** The host that wakes up after the crash, connected where that is possible. */
async function restarted<T>(
  root: string,
  domainId: string,
  look: (storage: Storage) => Promise<T>,
): Promise<T> {
  const storage = createStorage({ hostId: 'h1', bootId: 'boot-2', roots: [root], log, emit: () => {} });
  try {
    await storage.implementations.connectStorageDomain({ domainId, path: root }, task());
    return await look(storage);
  } finally {
    await storage.close();
  }
}

async function statusOf(
  storage: Storage,
  domainId: string,
  imageId: string,
): Promise<ImageStatus | undefined> {
  try {
    return await storage.implementations.getImageStatus({ domainId, imageId }, task());
  } catch (error) {
    if (error instanceof HostbusError && error.name === 'ImageNotFound') return undefined;
    throw error;
  }
}

async function contentOf(root: string, image: ImageStatus): Promise<Buffer> {
  return readFile(dataPath(root, image));
}

function dataPath(root: string, image: ImageStatus): string {
  return `${root}/${image.domainId}/images/${image.imageId}/${image.volumeId}`;
}

/** A domain on the disk, with a source image: data, a hole, data. */
async function prepare(): Promise<{ domainId: string; source: ImageStatus; content: Buffer }> {
  const domainId = randomUUID();
  const root = disk.mount;
  const storage = createStorage({ hostId: 'h2', bootId: 'boot', roots: [root], log, emit: () => {} });
  const { implementations: verbs } = storage;
  await verbs.createStorageDomain({ domainId, path: root }, task());
  const params = { domainId, imageId: randomUUID(), format: 'raw', capacity: sizeBytes } as const;
  const source = await verbs.createImage(params, task());
  const file = await open(dataPath(root, source), 'r+');
  for (const offset of [0, 256, 768]) {
    await file.write(Buffer.alloc(256 * 1024, `${offset};`), 0, 256 * 1024, offset * 1024);
  }
  await file.sync();
  await file.close();
  await storage.close();
  return { domainId, source, content: await contentOf(root, source) };
}

/** The rule: no target, or `interrupted` with all that the record claims, or `ok` and equal. There is no fourth. */
async function checkTarget(root: string, job: ChildJob, content: Buffer, answered: boolean): Promise<string> {
  const { domainId, imageId = '' } = job;
  return restarted(root, domainId, async (storage) => {
    const names = await readdir(`${root}/${domainId}/images`);
    assert.ok(
      names.every((name) => !name.startsWith('_')),
      `left over: ${names.join(' ')}`,
    );
    const status = await statusOf(storage, domainId, imageId);
    if (status === undefined) {
      assert.ok(!answered, 'answered, and the target is not there');
      return 'none';
    }
    const copied = await contentOf(root, status);
    assert.equal(copied.length, content.length);
    if (status.status === 'ok') {
      assert.ok(copied.equals(content), 'ok, and not equal');
      assert.equal(status.generation, 1);
      return 'ok';
    }
    assert.equal(status.status, 'interrupted', status.message);
    const { offset } = decodeCopyRecord(await readFile(`${dataPath(root, status)}.copy`, 'utf8'));
    assert.ok(copied.subarray(0, offset).equals(content.subarray(0, offset)), `not all before ${offset}`);
    return 'interrupted';
  });
}

/** Checks what each kill leaves. The wake-ups between threads, which are writes too, are not the same in every run. */
async function eachPoint(points: readonly CrashPoint[], check: (point: CrashPoint) => Promise<ChildEnd>) {
  assert.ok(points.length > 5, `${points.length} points only`);
  let missed = 0;
  for (const point of points) {
    try {
      const { killed } = await check(point);
      if (!killed) missed++;
      assert.ok(killed || point.call === 'write', 'the child was not killed');
    } catch (error) {
      throw new Error(`Killed at ${point.call} number ${point.nth}`, { cause: error });
    }
  }
  assert.ok(missed <= points.length / 5, `${missed} of ${points.length} kills did not happen`);
}

async function removeImage(domainId: string, imageId: string): Promise<void> {
  await restarted(disk.mount, domainId, async (storage) => {
    if ((await statusOf(storage, domainId, imageId)) === undefined) return;
    await storage.implementations.deleteImage({ domainId, imageId }, task());
  });
  disk.settle();
}

test('a copy killed at any call is not there, interrupted, or ok: also when the power goes', {
  skip,
}, async (t) => {
  const { domainId, source, content } = await prepare();
  const imageId = randomUUID();
  const job: ChildJob = {
    ...child,
    root: disk.mount,
    domainId,
    action: 'copyImage',
    imageId,
    sourceId: source.imageId,
    tuning,
  };
  const points = await crashPoints(job, `${directory}/trace`);
  await removeImage(domainId, imageId);
  const seen = new Map<string, number>();
  const count = (outcome: string) => seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
  await eachPoint(points, async (point) => {
    const end = await killAt(job, point);
    const answered = end.said.includes('answered');
    await disk.afterPowerCut(async (root) => {
      const outcome = await checkTarget(root, job, content, answered);
      if (end.said.includes('done')) assert.equal(outcome, 'ok');
      count(`power cut: ${outcome}`);
    });
    count(`killed: ${await checkTarget(disk.mount, job, content, answered)}`);
    await removeImage(domainId, imageId);
    return end;
  });
  t.diagnostic(`${points.length} points; ${[...seen].map(([outcome, n]) => `${outcome} ${n}`).join(', ')}`);
  for (const outcome of ['none', 'interrupted', 'ok']) {
    assert.ok(seen.has(`killed: ${outcome}`) && seen.has(`power cut: ${outcome}`), `never ${outcome}`);
  }
});

test('an image that is being made is there whole or not at all', { skip }, async (t) => {
  const { domainId } = await prepare();
  const imageId = randomUUID();
  const job: ChildJob = { ...child, root: disk.mount, domainId, action: 'createImage', imageId };
  const points = await crashPoints(job, `${directory}/trace`);
  await removeImage(domainId, imageId);
  const check = (root: string, done: boolean) =>
    restarted(root, domainId, async (storage) => {
      const names = await readdir(`${root}/${domainId}/images`);
      assert.ok(
        names.every((name) => !name.startsWith('_')),
        `left over: ${names.join(' ')}`,
      );
      const status = await statusOf(storage, domainId, imageId);
      assert.ok(status === undefined ? !done : status.status === 'ok', status?.message);
    });
  await eachPoint(points, async (point) => {
    const end = await killAt(job, point);
    const done = end.said.includes('done');
    await disk.afterPowerCut((root) => check(root, done));
    await check(disk.mount, done);
    await removeImage(domainId, imageId);
    return end;
  });
  t.diagnostic(`${points.length} points`);
});

test('an image that is being deleted is there whole or not at all, and nothing of it stays', {
  skip,
}, async (t) => {
  const { domainId } = await prepare();
  const imageId = randomUUID();
  const make = async () => {
    await restarted(disk.mount, domainId, async ({ implementations: verbs }) => {
      await verbs.createImage({ domainId, imageId, format: 'raw', capacity: 65536 }, task());
    });
    disk.settle();
  };
  await make();
  const job: ChildJob = { ...child, root: disk.mount, domainId, action: 'deleteImage', imageId };
  const points = await crashPoints(job, `${directory}/trace`);
  const check = (root: string, done: boolean) =>
    restarted(root, domainId, async (storage) => {
      const status = await statusOf(storage, domainId, imageId);
      assert.ok(status === undefined || (status.status === 'ok' && !done), status?.message);
      const names = await readdir(`${root}/${domainId}/images`);
      assert.ok(
        names.every((name) => !name.startsWith('_')),
        `left over: ${names.join(' ')}`,
      );
    });
  await eachPoint(points, async (point) => {
    await removeImage(domainId, imageId);
    await make();
    const end = await killAt(job, point);
    const done = end.said.includes('done');
    await disk.afterPowerCut((root) => check(root, done));
    await check(disk.mount, done);
    return end;
  });
  t.diagnostic(`${points.length} points`);
});

test('a domain that is being made is there whole or not at all, and can be made again', {
  skip,
}, async (t) => {
  const job = (): ChildJob => ({
    ...child,
    root: disk.mount,
    domainId: randomUUID(),
    action: 'createDomain',
  });
  const points = await crashPoints(job(), `${directory}/trace`);
  await eachPoint(points, async (point) => {
    const one = job();
    const end = await killAt(one, point);
    const done = end.said.includes('done');
    const check = async (root: string) => {
      const storage = createStorage({ hostId: 'h1', bootId: 'boot-2', roots: [root], log, emit: () => {} });
      const { implementations: verbs } = storage;
      const there = (await readdir(root)).includes(one.domainId);
      assert.ok(there || !done, 'done, and the domain is not there');
      const params = { domainId: one.domainId, path: root };
      const verb = there ? verbs.connectStorageDomain : verbs.createStorageDomain;
      assert.equal((await verb(params, task())).status, 'up');
      await storage.close();
      assert.deepEqual(
        (await readdir(root)).filter((name) => name.startsWith('_new')),
        [],
      );
    };
    await disk.afterPowerCut(check);
    await check(disk.mount);
    await rm(`${disk.mount}/${one.domainId}`, { recursive: true });
    disk.settle();
    return end;
  });
  t.diagnostic(`${points.length} points`);
});
