import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { open, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import type { ImageStatus } from '../../../schemas/image.ts';
import { stoppedWorkersIn, workersIn } from './workers.ts';
import { domainOf, host, inheriting, refused, scratch, sparseFile, task } from './world.ts';

const mebibyte = 1024 * 1024;

/** A domain with an image that has data between holes, as raw and as qcow2. */
async function readyImages(
  t: TestContext,
  sizeMib = 32,
  stretches: [number, number][] = [
    [1, 4],
    [20, 3],
  ],
) {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  await sparseFile(`${root}/raw`, sizeMib, stretches);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', `${root}/raw`, `${root}/qcow2`]);
  const take = async (format: 'raw' | 'qcow2') => {
    const params = { domainId, imageId: randomUUID(), path: `${root}/${format}`, format } as const;
    return (await h1.verbs.importImage(params, task())).image;
  };
  const refOf = ({ imageId }: ImageStatus) => ({ domainId, imageId });
  const fileOf = (image: ImageStatus) => `${root}/${domainId}/images/${image.imageId}/${image.volumeId}`;
  const [raw, qcow2] = [await take('raw'), await take('qcow2')];
  return { root, h1, domainId, raw, qcow2, refOf, fileOf };
}

async function change(path: string, offset: number, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(bytes, 0, bytes.length, offset);
  } finally {
    await file.close();
  }
}

test('whole images are ok, and equal to each other whatever their format', async (t) => {
  const { h1, raw, qcow2, refOf } = await readyImages(t);
  const good = { ok: true, errors: [] };
  assert.deepEqual(await h1.verbs.checkImage(refOf(raw), task()), good);
  assert.deepEqual(await h1.verbs.checkImage(refOf(qcow2), task()), good);
  const work = task<typeof good>();
  const params = { ...refOf(raw), compareWith: refOf(qcow2) };
  assert.deepEqual(await h1.verbs.checkImage(params, inheriting(work)), good);
  assert.deepEqual(work.phases, ['checking', 'checking', 'comparing']);
  assert.ok(work.reports.length > 2, 'it was told how it went');
  assert.ok(work.reports.every(({ total, unit }) => total === 32 * mebibyte && unit === 'bytes'));
  assert.deepEqual(await h1.verbs.checkImage({ ...refOf(raw), compareWith: refOf(raw) }, task()), good);
});

test('where two images differ is told, down to one byte', async (t) => {
  const { h1, raw, qcow2, refOf, fileOf } = await readyImages(t);
  await change(fileOf(raw), 21 * mebibyte + 7, Buffer.from('!'));
  const result = await h1.verbs.checkImage({ ...refOf(qcow2), compareWith: refOf(raw) }, task());
  assert.equal(result.ok, false);
  assert.equal(result.errors.length, 1);
  // To the block of 512 bytes, or whole pages: as exactly as qemu-img compares.
  const offset = Number(/differs at offset (\d+)/.exec(String(result.errors[0]))?.[1]);
  assert.ok(offset <= 21 * mebibyte + 7 && offset > 21 * mebibyte + 7 - 4096, String(result.errors[0]));
  assert.match(String(result.errors[0]), new RegExp(raw.imageId));
});

test('images of different capacities differ', async (t) => {
  const { h1, domainId, raw, refOf } = await readyImages(t);
  const other = { domainId, imageId: randomUUID() };
  await h1.verbs.createImage({ ...other, format: 'raw', capacity: mebibyte }, task());
  const result = await h1.verbs.checkImage({ ...refOf(raw), compareWith: other }, task());
  assert.match(String(result.errors), /capacity is 33554432 bytes, that of the other 1048576/);
});

test('damage to the structure of a qcow2 image is told in the words of qemu-img', async (t) => {
  const { h1, qcow2, refOf, fileOf } = await readyImages(t);
  // Its table of reference counts is in its second cluster, and no longer leads anywhere.
  await change(fileOf(qcow2), 65536, Buffer.alloc(8));
  const result = await h1.verbs.checkImage(refOf(qcow2), task());
  assert.equal(result.ok, false);
  assert.match(String(result.errors[0]), /^\d+ errors in its structure/);
  assert.ok(result.errors.some((error) => /refcount=0 reference=1/.test(error)));
  assert.ok(result.errors.length <= 110, 'an endless list helps nobody');
  await writeFile(fileOf(qcow2), 'no longer a qcow2 file');
  const none = await h1.verbs.checkImage(refOf(qcow2), task());
  assert.match(String(none.errors), /cannot be opened: .*not in qcow2 format/);
});

test('leaked clusters, another capacity, and a raw file that is too long are told', async (t) => {
  const { h1, raw, qcow2, refOf, fileOf } = await readyImages(t);
  // A cluster that nothing refers to, with a count of one: the blocks of counts are in the third cluster.
  const { size } = await stat(fileOf(qcow2));
  const cluster = Math.ceil(size / 65536);
  await truncate(fileOf(qcow2), (cluster + 1) * 65536);
  await change(fileOf(qcow2), 2 * 65536 + cluster * 2, Buffer.from([0, 1]));
  const leaked = await h1.verbs.checkImage(refOf(qcow2), task());
  assert.match(String(leaked.errors[0]), /^1 clusters are leaked/);
  execFileSync('qemu-img', ['resize', '-q', '-f', 'qcow2', fileOf(qcow2), '64M']);
  const resized = await h1.verbs.checkImage(refOf(qcow2), task());
  assert.match(String(resized.errors), /67108864 bytes instead of 33554432/);
  await truncate(fileOf(raw), 33 * mebibyte);
  const long = await h1.verbs.checkImage(refOf(raw), task());
  assert.match(String(long.errors), /34603008 bytes instead of 33554432/);
});

test('an image that builds on a file elsewhere is refused, and the other file is left alone', async (t) => {
  const { root, h1, qcow2, refOf, fileOf } = await readyImages(t);
  // Opening a FIFO would hang.
  execFileSync('mkfifo', [`${root}/fifo`]);
  execFileSync('qemu-img', ['rebase', '-u', '-b', `${root}/fifo`, '-F', 'raw', fileOf(qcow2)]);
  const error = await refused('ImageNotReady', h1.verbs.checkImage(refOf(qcow2), task()));
  assert.equal(error.data.status, 'broken');
});

test('an image whose data is in another file is told, and the other one is left alone', async (t) => {
  const { root, h1, qcow2, refOf, fileOf } = await readyImages(t);
  const options = ['-f', 'qcow2', '-o', `data_file=${root}/external`];
  execFileSync('qemu-img', ['create', '-q', ...options, `${root}/data.qcow2`, '32M']);
  execFileSync('cp', [`${root}/data.qcow2`, fileOf(qcow2)]);
  await rm(`${root}/external`);
  execFileSync('mkfifo', [`${root}/external`]);
  const result = await h1.verbs.checkImage(refOf(qcow2), task());
  assert.deepEqual(result.errors, ['its data is in another file']);
});

test('only images that are ok are checked', async (t) => {
  const { h1, domainId, raw, refOf, fileOf } = await readyImages(t);
  await refused('ImageNotFound', h1.verbs.checkImage({ domainId, imageId: randomUUID() }, task()));
  const unknown = { domainId: randomUUID(), imageId: randomUUID() };
  await refused('DomainNotFound', h1.verbs.checkImage(unknown, task()));
  await refused('DomainNotFound', h1.verbs.checkImage({ ...refOf(raw), compareWith: unknown }, task()));
  await truncate(fileOf(raw), 100);
  const error = await refused('ImageNotReady', h1.verbs.checkImage(refOf(raw), task()));
  assert.equal(error.data.status, 'broken');
  // No claim is left.
  await h1.verbs.deleteImage(refOf(raw), task());
});

test('a check that is cancelled ends when qemu-img is gone; until then its images cannot be deleted', async (t) => {
  const { root, h1, raw, qcow2, refOf } = await readyImages(t, 256, [[0, 128]]);
  const checks: Promise<unknown>[] = [];
  let seen: number[] = [];
  const look = async () => {
    seen = stoppedWorkersIn(root);
    for (const one of [raw, qcow2]) {
      const busy = await refused('ImageBusy', h1.verbs.deleteImage(refOf(one), task()));
      assert.deepEqual(busy.data.holder, { hostId: 'h1', bootId: 'boot-1', taskId: 'check-1' });
    }
    work.cancel();
  };
  const work = task<{ ok: boolean; errors: string[] }>({
    taskId: 'check-1',
    onProgress: (done) => {
      if (done > 0 && checks.length === 0) checks.push(look());
    },
  });
  await refused('Cancelled', h1.verbs.checkImage({ ...refOf(raw), compareWith: refOf(qcow2) }, work));
  assert.deepEqual(workersIn(root), []);
  await Promise.all(checks);
  assert.equal(seen.length, 1, 'it was at work');
  for (const one of [raw, qcow2]) await h1.verbs.deleteImage(refOf(one), task());
});
