import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, unlink, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import type { ImageStatus } from '../../../schemas/image.ts';
import { domainOf, host, refused, sameContent, scratch, sparseFile, task, until } from './world.ts';

const mebibyte = 1024 * 1024;
type Answer = { image: ImageStatus; taskId: string };

/** Mounts a file system of its own, or says why that cannot be done here. */
async function smallDisk(
  t: TestContext,
  root: string,
  mib: number,
  make: readonly string[],
): Promise<string | undefined> {
  const [program = '', ...args] = make;
  const disk = `${root}/disk`;
  await mkdir(disk);
  await (await open(`${root}/disk.img`, 'w')).close();
  try {
    execFileSync('truncate', ['-s', `${mib}M`, `${root}/disk.img`]);
    execFileSync(program, [...args, `${root}/disk.img`], { stdio: 'pipe' });
    execFileSync('mount', ['-o', 'loop', `${root}/disk.img`, disk], { stdio: 'pipe' });
  } catch (error) {
    t.skip(`a file system of its own cannot be had here: ${String(error).split('\n', 1)[0]}`);
    return undefined;
  }
  return disk;
}

const ext4 = ['mkfs.ext4', '-q', '-F', '-m', '0'];

async function readyDisk(t: TestContext, mib: number, make: readonly string[] = ext4) {
  const root = await scratch(t);
  const disk = await smallDisk(t, root, mib, make);
  if (disk === undefined) return undefined;
  t.after(() => execFileSync('umount', [disk]));
  const h1 = host(t, root);
  const domainId = await domainOf(h1, disk);
  return { root, disk, h1, domainId, images: `${disk}/${domainId}/images` };
}

// Hooks run in the order in which they were registered, and a mounted disk cannot be removed.
function unmountedFirst(body: (t: TestContext) => Promise<void>): (t: TestContext) => Promise<void> {
  return async (t) => {
    const hooks: (() => unknown)[] = [];
    const original = t.after.bind(t);
    t.after = (hook) => void hooks.unshift(() => hook?.(t, () => {}));
    original(async () => {
      for (const hook of hooks) await hook();
    });
    await body(t);
  };
}

test(
  'a copy that cannot fit is refused before anything is made',
  unmountedFirst(async (t) => {
    const world = await readyDisk(t, 32);
    if (world === undefined) return;
    const { root, h1, domainId, images } = world;
    await sparseFile(`${root}/source`, 64, [[0, 40]]);
    const target = { domainId, imageId: randomUUID() };
    const error = await refused(
      'NoSpace',
      h1.verbs.importImage({ ...target, path: `${root}/source`, format: 'raw' }, task()),
    );
    assert.ok(Number(error.data.needed) >= 40 * mebibyte);
    assert.ok(Number(error.data.available) < 32 * mebibyte);
    assert.deepEqual(await readdir(images), []);
  }),
);

test(
  'a disk that fills up during a copy ends it with NoSpace, and the target is interrupted',
  unmountedFirst(async (t) => {
    const world = await readyDisk(t, 48);
    if (world === undefined) return;
    const { root, disk, h1, domainId } = world;
    await sparseFile(`${root}/source`, 24, [[0, 24]]);
    let filling: Promise<void> | undefined;
    const work = task<Answer>();
    const answer = work.answer.bind(work);
    work.answer = (result) => {
      answer(result);
      // Somebody else takes the space that was there when the copy was accepted.
      execFileSync('fallocate', ['-l', '16M', `${disk}/other`]);
      filling = Promise.resolve();
    };
    const target = { domainId, imageId: randomUUID() };
    const path = `${root}/source`;
    const error = await refused('NoSpace', h1.verbs.importImage({ ...target, path, format: 'raw' }, work));
    assert.ok(filling !== undefined);
    assert.equal(error.data.imageId, target.imageId);
    await unlink(`${disk}/other`);
    const status = await h1.verbs.getImageStatus(target, task());
    assert.equal(status.status, 'interrupted');
    assert.deepEqual(status.copy?.source, { path });
    await h1.verbs.deleteImage(target, task());
  }),
);

test(
  'preallocation that fails half-way leaves nothing, raw and qcow2',
  unmountedFirst(async (t) => {
    const world = await readyDisk(t, 32);
    if (world === undefined) return;
    const { disk, h1, domainId, images } = world;
    for (const format of ['raw', 'qcow2'] as const) {
      const params = { domainId, imageId: randomUUID(), format, allocation: 'preallocated' } as const;
      await refused('NoSpace', h1.verbs.createImage({ ...params, capacity: 64 * mebibyte }, task()));
    }
    // Enough at the comparison, but the file system's own blocks come on top.
    const { available } = await h1.verbs.getStorageDomainStatus({ domainId }, task());
    const capacity = available - (available % 65536);
    const params = { domainId, imageId: randomUUID(), format: 'qcow2', allocation: 'preallocated' } as const;
    await refused('NoSpace', h1.verbs.createImage({ ...params, capacity }, task()));
    assert.deepEqual(await readdir(images), []);
    assert.deepEqual((await readdir(disk)).sort(), [domainId, 'lost+found'].sort());
  }),
);

test(
  'a file system that is read-only makes the domain degraded, and every change is refused in clear words',
  unmountedFirst(async (t) => {
    const world = await readyDisk(t, 16);
    if (world === undefined) return;
    const { disk, h1, domainId } = world;
    const image = { domainId, imageId: randomUUID() };
    await h1.verbs.createImage({ ...image, format: 'raw', capacity: 512 }, task());
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const domain = await h1.verbs.getStorageDomainStatus({ domainId }, task());
    assert.equal(domain.status, 'degraded');
    assert.match(domain.message ?? '', /read-only/);
    const target = { domainId, imageId: randomUUID() };
    for (const work of [
      () => h1.verbs.createImage({ ...target, format: 'raw', capacity: 512 }, task()),
      () => h1.verbs.copyImage({ source: image, target }, task()),
      () => h1.verbs.deleteImage(image, task()),
      () => h1.verbs.createStorageDomain({ domainId: randomUUID(), path: disk }, task()),
    ]) {
      assert.match((await refused('DomainUnavailable', work())).message, /read-only/);
    }
    assert.equal((await h1.verbs.getImageStatus(image, task())).status, 'ok');
    await h1.verbs.connectStorageDomain({ domainId, path: disk }, task());
  }),
);

test(
  'a copy between two file systems is read and written, holes and all',
  unmountedFirst(async (t) => {
    const world = await readyDisk(t, 64);
    if (world === undefined) return;
    const { root, h1, domainId, images } = world;
    await sparseFile(`${root}/source`, 128, [
      [1, 9],
      [100, 2],
    ]);
    await writeFile(`${root}/source`, 'tail', { flag: 'a' });
    const params = { domainId, imageId: randomUUID(), path: `${root}/source`, format: 'raw' } as const;
    const { image } = await h1.verbs.importImage(params, task());
    assert.ok(image.allocated >= 11 * mebibyte && image.allocated <= 11 * mebibyte + 65536);
    execFileSync('truncate', ['-s', String(image.capacity), `${root}/source`]);
    assert.ok(sameContent(`${root}/source`, `${images}/${image.imageId}/${image.volumeId}`));
  }),
);

test(
  'where the file system can, a copy shares the blocks of its source',
  unmountedFirst(async (t) => {
    const world = await readyDisk(t, 400, ['mkfs.xfs', '-q', '-m', 'reflink=1']);
    if (world === undefined) return;
    const { h1, disk, domainId, images } = world;
    await sparseFile(`${disk}/source`, 300, [
      [1, 99],
      [250, 2],
    ]);
    const before = await h1.verbs.getStorageDomainStatus({ domainId }, task());
    const params = { domainId, imageId: randomUUID(), path: `${disk}/source`, format: 'raw' } as const;
    const { image } = await h1.verbs.importImage(params, task());
    const after = await h1.verbs.getStorageDomainStatus({ domainId }, task());
    assert.ok(before.available - after.available < 20 * mebibyte);
    assert.ok(sameContent(`${disk}/source`, `${images}/${image.imageId}/${image.volumeId}`));
  }),
);

test(
  'where the file system can, a take-over shares the blocks of what was copied',
  unmountedFirst(async (t) => {
    const world = await readyDisk(t, 400, ['mkfs.xfs', '-q', '-m', 'reflink=1']);
    if (world === undefined) return;
    const { h1, disk, domainId, images } = world;
    await sparseFile(`${disk}/source`, 128, [
      [0, 90],
      [110, 2],
    ]);
    const target = { domainId, imageId: randomUUID() };
    const kernel = host(t, disk, {
      bootId: 'boot-0',
      tuning: { bestMethod: 'kernel', chunkBytes: mebibyte },
    });
    await kernel.verbs.connectStorageDomain({ domainId, path: disk }, task());
    const work = task<never>({ onProgress: (done) => done >= 80 * mebibyte && work.cancel() });
    const params = { ...target, path: `${disk}/source`, format: 'raw' } as const;
    await refused('Cancelled', kernel.verbs.importImage(params, work as never));
    const { volumeId } = await h1.verbs.getImageStatus(target, task());
    const holder = { hostId: 'h9', bootId: 'b', taskId: 'x', generation: 1, counter: 0 };
    await writeFile(`${images}/${target.imageId}/${volumeId}.holder`, JSON.stringify(holder));
    const h2 = host(t, disk, { hostId: 'h2', tuning: { holderTermMs: 20 } });
    await h2.verbs.connectStorageDomain({ domainId, path: disk }, task());
    const statusOf = async () => (await h2.verbs.getImageStatus(target, task())).status;
    await until('interrupted', async () => (await statusOf()) === 'interrupted');
    const { image } = await h2.verbs.continueImageCopy(target, task());
    assert.equal(image.status, 'ok');
    assert.notEqual(image.volumeId, volumeId);
    assert.ok(sameContent(`${disk}/source`, `${images}/${image.imageId}/${image.volumeId}`));
    assert.equal((await readdir(`${images}/${image.imageId}`)).length, 3);
  }),
);
