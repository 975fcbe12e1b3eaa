import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import type { ImageStatus } from '../../../schemas/image.ts';
import type { StorageTuning } from '../../../src/storage/storage.ts';
import { domainOf, fillImage, host, refused, sameContent, scratch, sparseFile, task } from './world.ts';

const mebibyte = 1024 * 1024;
type Answer = { image: ImageStatus; taskId: string };

/** A domain with a source image that is full of data. */
async function readySource(t: TestContext, mib: number, tuning: Partial<StorageTuning> = {}) {
  const root = await scratch(t);
  // The same everywhere, whether or not the file system of the test shares blocks.
  const h1 = host(t, root, { tuning: { bestMethod: 'kernel', ...tuning } });
  const domainId = await domainOf(h1, root);
  const source = { domainId, imageId: randomUUID() };
  const made = await h1.verbs.createImage({ ...source, format: 'raw', capacity: mib * mebibyte }, task());
  const sourcePath = await fillImage(root, domainId, source.imageId, made.volumeId, mib);
  const target = { domainId, imageId: randomUUID() };
  const images = `${root}/${domainId}/images`;
  const pathOf = (image: ImageStatus) => `${images}/${image.imageId}/${image.volumeId}`;
  return { root, h1, domainId, source, sourcePath, target, images, pathOf };
}

test('a copy answers when the target is on disk, shows what it does, and ends with an equal image', async (t) => {
  const { h1, source, sourcePath, target, images, pathOf } = await readySource(t, 24, {
    chunkBytes: mebibyte,
  });
  const work = task<Answer>({ taskId: 'copy-42' });
  const result = await h1.verbs.copyImage({ source, target }, work);
  const [answer] = work.answers;
  assert.equal(answer?.taskId, 'copy-42');
  assert.equal(answer?.image.status, 'copying');
  assert.equal(answer?.image.generation, 0);
  assert.deepEqual(answer?.image.copy, {
    source,
    done: 0,
    total: 24 * mebibyte,
    unit: 'bytes',
    updatedAt: answer?.image.copy?.updatedAt,
    holder: { hostId: 'h1', bootId: 'boot-1', taskId: 'copy-42' },
  });
  assert.equal(result.image.status, 'ok');
  assert.equal(result.image.generation, 1);
  assert.equal(result.image.copy, undefined);
  assert.ok(sameContent(sourcePath, pathOf(result.image)));
  const { volumeId } = result.image;
  const files = [volumeId, `${volumeId}.lease`, `${volumeId}.meta`];
  assert.deepEqual((await readdir(`${images}/${target.imageId}`)).sort(), files.sort());
  assert.deepEqual(work.phases, ['copying', 'flushing']);
  assert.ok(work.reports.length > 20);
  assert.ok(work.reports.every(({ total, unit }) => total === 24 * mebibyte && unit === 'bytes'));
  const done = work.reports.map((report) => report.done);
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  );
  assert.deepEqual([done[0], done.at(-1)], [0, 24 * mebibyte]);
  assert.deepEqual(h1.events(), ['domain.up', 'image.ok', 'image.copying', 'image.ok']);
});

test('a copy into another domain is made too', async (t) => {
  const { root, h1, source, sourcePath } = await readySource(t, 2);
  const other = await domainOf(h1, root);
  const target = { domainId: other, imageId: source.imageId };
  const { image } = await h1.verbs.copyImage({ source, target }, task());
  assert.equal(image.domainId, other);
  assert.ok(sameContent(sourcePath, `${root}/${other}/images/${image.imageId}/${image.volumeId}`));
});

test('what cannot work is refused before anything is made', async (t) => {
  const { h1, domainId, source, target, images } = await readySource(t, 1);
  const copy = (from: typeof source, to: typeof source) =>
    h1.verbs.copyImage({ source: from, target: to }, task());
  await refused('ImageNotFound', copy({ domainId, imageId: randomUUID() }, target));
  await refused('ImageExists', copy(source, source));
  const unknown = { domainId: randomUUID(), imageId: randomUUID() };
  await refused('DomainNotFound', copy(unknown, target));
  await refused('DomainNotFound', copy(source, unknown));
  const cancelled = task<Answer>();
  cancelled.cancel();
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, cancelled));
  const [name] = (await readdir(`${images}/${source.imageId}`)).filter((file) => file.endsWith('.meta'));
  await writeFile(`${images}/${source.imageId}/${name}`, 'garbage');
  const error = await refused('ImageNotReady', copy(source, target));
  assert.equal(error.data.status, 'broken');
  assert.deepEqual(await readdir(images), [source.imageId]);
  // All claims were given up.
  await h1.verbs.deleteImage(source, task());
  await h1.verbs.disconnectStorageDomain({ domainId }, task());
});

test('a cancelled copy leaves an interrupted target that says how far it is durable', async (t) => {
  const { h1, source, target, images } = await readySource(t, 32, { chunkBytes: mebibyte, checkpointMs: 5 });
  const work = task<Answer>({ onProgress: (done) => done >= 8 * mebibyte && work.cancel() });
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
  const status = await h1.verbs.getImageStatus(target, task());
  assert.equal(status.status, 'interrupted');
  assert.equal(status.generation, 0);
  assert.equal(status.copy?.done, 8 * mebibyte);
  assert.equal(status.copy?.holder, undefined);
  assert.deepEqual(h1.events().slice(-2), ['image.copying', 'image.interrupted']);
  const names = await readdir(`${images}/${target.imageId}`);
  assert.deepEqual(
    names.filter((name) => /holder|new/.test(name)),
    [],
  );
  const error = await refused(
    'ImageNotReady',
    h1.verbs.copyImage({ source: target, target: { ...target, imageId: randomUUID() } }, task()),
  );
  assert.equal(error.data.status, 'interrupted');
  await h1.verbs.deleteImage(target, task());
  assert.deepEqual(await readdir(images), [source.imageId]);
});

test('while a copy runs, its images and domain cannot be taken away, and status answers', async (t) => {
  const { root, h1, domainId, source, target } = await readySource(t, 64, { chunkBytes: 65536 });
  const checks: Promise<unknown>[] = [];
  const check = async () => {
    const holder = { hostId: 'h1', bootId: 'boot-1', taskId: work.taskId };
    for (const ref of [source, target]) {
      const error = await refused('ImageBusy', h1.verbs.deleteImage(ref, task()));
      assert.deepEqual(error.data.holder, holder);
    }
    const busy = await refused('ImageBusy', h1.verbs.disconnectStorageDomain({ domainId }, task()));
    assert.deepEqual(busy.data.holder, holder);
    await refused('ImageExists', h1.verbs.copyImage({ source, target }, task()));
    const elsewhere = { domainId, imageId: randomUUID() };
    const notReady = await refused(
      'ImageNotReady',
      h1.verbs.copyImage({ source: target, target: elsewhere }, task()),
    );
    assert.equal(notReady.data.status, 'copying');
    assert.equal((await h1.verbs.getImageStatus(target, task())).status, 'copying');
    await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
    assert.equal((await h1.verbs.getImageStatus(target, task())).status, 'copying');
    work.cancel();
  };
  const work = task<Answer>({
    onProgress: (done) => done > 0 && checks.length === 0 && checks.push(check()),
  });
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
  assert.equal(checks.length, 1);
  await Promise.all(checks);
});

test('holes stay holes, and do not count as work', async (t) => {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  const path = `${root}/sparse.img`;
  await sparseFile(path, 300, [
    [0, 1],
    [100, 3],
    [299, 1],
  ]);
  const work = task<Answer>();
  const target = { domainId, imageId: randomUUID() };
  const { image } = await h1.verbs.importImage({ ...target, path, format: 'raw' }, work);
  const before = await stat(path);
  assert.equal(image.capacity, 300 * mebibyte);
  assert.equal(work.reports.at(-1)?.total, 5 * mebibyte);
  // A few blocks of the file system's own book-keeping may differ.
  assert.ok(Math.abs(image.allocated - before.blocks * 512) <= 65536);
  assert.ok(sameContent(path, `${root}/${domainId}/images/${image.imageId}/${image.volumeId}`));
  const empty = `${root}/empty.img`;
  await sparseFile(empty, 64, []);
  const second = await h1.verbs.importImage(
    { domainId, imageId: randomUUID(), path: empty, format: 'raw' },
    task(),
  );
  assert.equal(second.image.allocated, 0);
  assert.equal(second.image.capacity, 64 * mebibyte);
});

test('a qcow2 file is detected, taken in as it is, and copied', async (t) => {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  await sparseFile(`${root}/raw`, 40, [
    [3, 5],
    [30, 2],
  ]);
  const path = `${root}/disk.qcow2`;
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', `${root}/raw`, path]);
  const imported = await h1.verbs.importImage({ domainId, imageId: randomUUID(), path }, task());
  assert.equal(imported.image.format, 'qcow2');
  assert.equal(imported.image.capacity, 40 * mebibyte);
  const target = { domainId, imageId: randomUUID() };
  const source = { domainId, imageId: imported.image.imageId };
  const { image } = await h1.verbs.copyImage({ source, target }, task());
  const copied = `${root}/${domainId}/images/${image.imageId}/${image.volumeId}`;
  execFileSync('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'qcow2', `${root}/raw`, copied]);
});

test('a raw file of an odd size is rounded up to whole blocks', async (t) => {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  const path = `${root}/odd`;
  await writeFile(path, 'x'.repeat(1000));
  const { image } = await h1.verbs.importImage(
    { domainId, imageId: randomUUID(), path, format: 'raw' },
    task(),
  );
  assert.equal(image.capacity, 1024);
  const data = await readFile(`${root}/${domainId}/images/${image.imageId}/${image.volumeId}`);
  assert.deepEqual(data, Buffer.concat([Buffer.alloc(1000, 'x'), Buffer.alloc(24)]));
});

test('what is no image that stands alone is not taken in', async (t) => {
  const outer = await scratch(t);
  execFileSync('mkdir', [`${outer}/root`]);
  const root = `${outer}/root`;
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  const qemu = (...args: string[]) => execFileSync('qemu-img', ['create', '-q', ...args]);
  qemu('-f', 'qcow2', `${root}/base.qcow2`, '1M');
  qemu('-f', 'qcow2', '-b', `${root}/base.qcow2`, '-F', 'qcow2', `${root}/child.qcow2`);
  qemu('-f', 'vmdk', `${root}/disk.vmdk`, '1M');
  qemu('-f', 'qcow2', '-o', `data_file=${root}/external,data_file_raw=on`, `${root}/data.qcow2`, '1M');
  const key = ['--object', 'secret,id=k,data=abc', '-o', 'encrypt.format=aes,encrypt.key-secret=k'];
  qemu('-f', 'qcow2', ...key, `${root}/secret.qcow2`, '1M');
  await writeFile(`${root}/empty`, '');
  await writeFile(`${root}/text`, 'x'.repeat(2048));
  execFileSync('mkfifo', [`${root}/fifo`]);
  execFileSync('ln', ['-s', `${root}/text`, `${root}/link`]);
  await writeFile(`${outer}/outside`, 'x'.repeat(512));
  execFileSync('ln', ['-s', outer, `${root}/out`]);
  const take = (name: string, format?: 'raw' | 'qcow2') => {
    const params = { domainId, imageId: randomUUID(), path: `${root}/${name}` };
    return h1.verbs.importImage(format === undefined ? params : { ...params, format }, task());
  };
  for (const [name, reason, format] of [
    ['child.qcow2', /another file/],
    ['disk.vmdk', /vmdk/],
    ['data.qcow2', /another file/],
    ['secret.qcow2', /encrypted/],
    ['empty', /empty/, 'raw'],
    ['text', /not in qcow2 format/, 'qcow2'],
  ] as const) {
    const error = await refused('InvalidImage', take(name, format));
    assert.match(String(error.data.reason), reason, name);
  }
  for (const name of ['fifo', 'link', 'missing', '.', 'out/outside', '../outside']) {
    await refused('InvalidPath', take(name, 'raw'));
  }
  const list = await h1.verbs.listImages({ domainId }, task());
  assert.deepEqual(list.images, []);
});

test('a source that changes its size during the copy fails it, and the target is interrupted', async (t) => {
  const { h1, source, sourcePath, target } = await readySource(t, 16, { chunkBytes: mebibyte });
  let changed: Promise<void> | undefined;
  const work = task<Answer>({
    onProgress: (done) => {
      if (done >= mebibyte) changed ??= truncate(sourcePath, 15.5 * mebibyte);
    },
  });
  const error = await refused('CopyFailed', h1.verbs.copyImage({ source, target }, work));
  await changed;
  assert.equal(error.data.imageId, target.imageId);
  assert.equal((await h1.verbs.getImageStatus(target, task())).status, 'interrupted');
});

test('four copies at once leave the event loop free and status quick', async (t) => {
  const { h1, domainId, source } = await readySource(t, 96);
  let running = 4;
  const copies = Array.from({ length: 4 }, async () => {
    try {
      await h1.verbs.copyImage({ source, target: { domainId, imageId: randomUUID() } }, task());
    } finally {
      running--;
    }
  });
  const waitsMs: number[] = [];
  while (running > 0) {
    const startedMs = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    waitsMs.push(performance.now() - startedMs);
    await h1.verbs.getImageStatus(source, task());
  }
  await Promise.all(copies);
  assert.ok(Math.max(...waitsMs) < 500, `the event loop stood still for ${Math.max(...waitsMs)} ms`);
});
