import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ImageFormat, ImageStatus } from '../../../schemas/image.ts';
import { ConvertRun } from '../../../src/storage/convert-run.ts';
import { stoppedWorkersIn, workersIn } from './workers.ts';
import { domainOf, host, inheriting, refused, scratch, sparseFile, task, until } from './world.ts';

const mebibyte = 1024 * 1024;
type Answer = { image: ImageStatus; taskId: string };

/** A domain with a raw image that has data between holes. */
async function readySource(
  t: TestContext,
  sizeMib = 64,
  stretches: [number, number][] = [
    [3, 5],
    [40, 2],
  ],
) {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  const path = `${root}/raw`;
  await sparseFile(path, sizeMib, stretches);
  const source = { domainId, imageId: randomUUID() };
  await h1.verbs.importImage({ ...source, path, format: 'raw' }, task());
  const images = `${root}/${domainId}/images`;
  const fileOf = (image: ImageStatus) => `${images}/${image.imageId}/${image.volumeId}`;
  const convert = (from: typeof source, format: ImageFormat, work = task<Answer>()) => {
    const target = { domainId, imageId: randomUUID() };
    return { target, done: h1.verbs.convertImage({ source: from, target, format }, work) };
  };
  return { root, h1, domainId, path, source, images, fileOf, convert };
}

function sameDisk(raw: string, file: string, format: ImageFormat): void {
  execFileSync('qemu-img', ['compare', '-q', '-f', 'raw', '-F', format, raw, file]);
}

test('a raw image becomes a qcow2 one, and that a raw one again, with the same content and holes', async (t) => {
  const { path, source, fileOf, convert, h1, images } = await readySource(t);
  const work = task<Answer>({ taskId: 'convert-1' });
  const there = convert(source, 'qcow2', inheriting(work));
  const { image: qcow2, taskId } = await there.done;
  assert.equal(taskId, 'convert-1');
  const [answer] = work.answers;
  assert.equal(answer?.image.status, 'copying');
  assert.equal(answer?.image.format, 'qcow2');
  assert.deepEqual(answer?.image.copy?.source, source);
  assert.equal(answer?.image.copy?.holder?.taskId, 'convert-1');
  assert.equal(qcow2.status, 'ok');
  assert.equal(qcow2.generation, 1);
  assert.equal(qcow2.format, 'qcow2');
  assert.equal(qcow2.capacity, 64 * mebibyte);
  assert.ok(qcow2.allocated < 9 * mebibyte, `${qcow2.allocated} bytes`);
  sameDisk(path, fileOf(qcow2), 'qcow2');
  assert.deepEqual(work.phases, ['copying', 'flushing']);
  assert.deepEqual(work.reports.at(0), { done: 0, total: 7 * mebibyte, unit: 'bytes' });
  assert.deepEqual(work.reports.at(-1), { done: 7 * mebibyte, total: 7 * mebibyte, unit: 'bytes' });
  assert.ok(work.reports.length > 5, 'it was told how it went');
  const { image: raw } = await convert(there.target, 'raw').done;
  assert.equal(raw.format, 'raw');
  assert.ok(raw.allocated < 8 * mebibyte, `${raw.allocated} bytes`);
  sameDisk(path, fileOf(raw), 'raw');
  const { volumeId } = raw;
  const files = [volumeId, `${volumeId}.lease`, `${volumeId}.meta`];
  assert.deepEqual((await readdir(`${images}/${raw.imageId}`)).sort(), files.sort());
  assert.deepEqual(h1.events().slice(-4), ['image.copying', 'image.ok', 'image.copying', 'image.ok']);
});

test('a compressed image and an empty one are converted', async (t) => {
  const { root, h1, domainId, path, fileOf, convert } = await readySource(t);
  execFileSync('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', path, `${root}/small.qcow2`]);
  const small = { domainId, imageId: randomUUID() };
  await h1.verbs.importImage({ ...small, path: `${root}/small.qcow2`, format: 'qcow2' }, task());
  for (const format of ['raw', 'qcow2'] as const) {
    const { image } = await convert(small, format).done;
    assert.ok(image.allocated > 6 * mebibyte, 'it is no longer compressed');
    sameDisk(path, fileOf(image), format);
  }
  const empty = { domainId, imageId: randomUUID() };
  await h1.verbs.createImage({ ...empty, format: 'qcow2', capacity: 8 * mebibyte }, task());
  const { image } = await convert(empty, 'raw').done;
  assert.equal(image.allocated, 0);
  assert.equal(image.capacity, 8 * mebibyte);
});

test('a conversion that is cancelled ends when qemu-img is gone, and leaves the target interrupted', async (t) => {
  const { h1, source, images, convert, domainId } = await readySource(t, 256, [[0, 192]]);
  let seen: number[] = [];
  const work = task<Answer>({
    onProgress: (done) => {
      if (done === 0 || seen.length > 0) return;
      seen = stoppedWorkersIn(images);
      work.cancel();
    },
  });
  const { target, done } = convert(source, 'qcow2', work);
  await refused('Cancelled', done);
  assert.equal(seen.length, 1, 'it was at work');
  assert.deepEqual(workersIn(images), []);
  const status = await h1.verbs.getImageStatus(target, task());
  assert.equal(status.status, 'interrupted');
  assert.equal(status.generation, 0);
  assert.equal(status.copy?.done, 0, 'it would begin again');
  const record: unknown = JSON.parse(
    await readFile(`${images}/${target.imageId}/${status.volumeId}.copy`, 'utf8'),
  );
  assert.deepEqual((record as { convert: unknown }).convert, { from: 'raw', to: 'qcow2' });
  assert.equal((record as { offset: number }).offset, 0);
  await h1.verbs.deleteImage(target, task());
  await h1.verbs.deleteImage(source, task());
  await h1.verbs.disconnectStorageDomain({ domainId }, task());
});

test('while a conversion runs, its images cannot be taken away', async (t) => {
  const { h1, source, images, convert } = await readySource(t, 128, [[0, 128]]);
  const checks: Promise<unknown>[] = [];
  const work = task<Answer>({
    onProgress: (done) => {
      if (done > 0 && checks.length === 0) checks.push(check());
    },
  });
  const { target, done } = convert(source, 'raw', work);
  const check = async () => {
    stoppedWorkersIn(images);
    for (const ref of [source, target]) await refused('ImageBusy', h1.verbs.deleteImage(ref, task()));
    work.cancel();
  };
  await refused('Cancelled', done);
  assert.equal(checks.length, 1);
  await Promise.all(checks);
});

test('what cannot work is refused before anything is made', async (t) => {
  const { h1, domainId, source, images, convert, fileOf } = await readySource(t);
  await refused('ImageNotFound', convert({ domainId, imageId: randomUUID() }, 'raw').done);
  await refused('DomainNotFound', convert({ domainId: randomUUID(), imageId: randomUUID() }, 'raw').done);
  await refused('ImageExists', h1.verbs.convertImage({ source, target: source, format: 'raw' }, task()));
  const early = task<Answer>();
  early.cancel();
  await refused('Cancelled', convert(source, 'qcow2', early).done);
  // A file that says of itself that it builds on one outside of the domain.
  const child = { domainId, imageId: randomUUID() };
  const made = await h1.verbs.createImage({ ...child, format: 'qcow2', capacity: 8 * mebibyte }, task());
  execFileSync('qemu-img', ['rebase', '-u', '-b', '/etc/passwd', '-F', 'raw', fileOf(made)]);
  const error = await refused('ImageNotReady', convert(child, 'raw').done);
  assert.equal(error.data.status, 'broken');
  // Metadata and file that do not agree.
  const other = { domainId, imageId: randomUUID() };
  const resized = await h1.verbs.createImage({ ...other, format: 'qcow2', capacity: 8 * mebibyte }, task());
  execFileSync('qemu-img', ['resize', '-q', fileOf(resized), '16M']);
  const unequal = await refused('InvalidImage', convert(other, 'raw').done);
  assert.match(unequal.message, /16777216 bytes instead of 8388608/);
  assert.deepEqual((await readdir(images)).sort(), [source.imageId, child.imageId, other.imageId].sort());
});

test('what qemu-img says of a file that it cannot read to the end is told, and the target is interrupted', async (t) => {
  const { h1, source, fileOf, convert } = await readySource(t);
  const { target, done } = convert(source, 'qcow2');
  const { image } = await done;
  // An entry of its first table of data that leads out of everything.
  const data = await readFile(fileOf(image));
  const l1 = Number(data.readBigUInt64BE(40));
  const l2 = Number(data.readBigUInt64BE(l1) & 0x00fffffffffffe00n);
  data.writeBigUInt64BE(0x8000000000000000n | (0x00fffffffffffe00n - 1n), l2 + 8 * 64);
  await writeFile(fileOf(image), data);
  const again = convert(target, 'raw');
  const error = await refused('CopyFailed', again.done);
  assert.match(String(error.data.stderr), /error while reading/i);
  assert.match(error.message, /qemu-img failed with exit code/);
  assert.equal(error.data.imageId, again.target.imageId);
  const status = await h1.verbs.getImageStatus(again.target, task());
  assert.equal(status.status, 'interrupted');
});

test('what a try that was cut short left in the target is overwritten, and holes are holes again', async (t) => {
  const root = await scratch(t);
  await sparseFile(`${root}/raw`, 64, [[10, 20]]);
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', `${root}/raw`, `${root}/qcow2`]);
  for (const [from, to] of [
    ['qcow2', 'raw'],
    ['raw', 'qcow2'],
  ] as const) {
    await sparseFile(`${root}/target`, 64, [[0, 64]]);
    const [source, target] = [await open(`${root}/${from}`), await open(`${root}/target`, 'r+')];
    t.after(() => Promise.all([source.close(), target.close()]));
    const { log, signal } = task();
    const image = [{ fd: source.fd, format: from }];
    const run = new ConvertRun({ source: image, target, to, totalBytes: 100, log, signal, onProgress() {} });
    await run.run();
    assert.deepEqual(await run.flush(), { offset: 0, doneBytes: 0 });
    sameDisk(`${root}/raw`, `${root}/target`, to);
    const { blocks } = await target.stat();
    assert.ok(blocks * 512 < 21 * mebibyte, `${to} takes ${blocks * 512} bytes`);
  }
});

test('an interrupted conversion is gone on with, on this host or another one, from the beginning', async (t) => {
  const { root, h1, domainId, path, source, images, fileOf, convert } = await readySource(t, 128, [[0, 96]]);
  const h2 = host(t, root, { hostId: 'h2' });
  await h2.verbs.connectStorageDomain({ domainId, path: root }, task());
  for (const [on, format] of [
    [h1, 'qcow2'],
    [h2, 'raw'],
  ] as const) {
    const work = task<Answer>({
      onProgress: (done) => {
        if (done === 0) return;
        stoppedWorkersIn(images);
        work.cancel();
      },
    });
    const { target, done } = convert(source, format, work);
    await refused('Cancelled', done);
    const { image } = await on.verbs.continueImageCopy(target, task());
    assert.equal(image.status, 'ok');
    assert.equal(image.generation, 1);
    assert.equal(image.format, format);
    sameDisk(path, fileOf(image), format);
    const { volumeId } = image;
    const files = [volumeId, `${volumeId}.lease`, `${volumeId}.meta`];
    assert.deepEqual((await readdir(`${images}/${image.imageId}`)).sort(), files.sort());
  }
});

test('a daemon that is killed takes qemu-img with it, and the next one goes on with the conversion', async (t) => {
  const { root, h1, domainId, path, source, images, fileOf } = await readySource(t, 128, [[0, 96]]);
  for (const format of ['raw', 'qcow2'] as const) {
    const target = { domainId, imageId: randomUUID() };
    const child = fileURLToPath(new URL('./convert-child.ts', import.meta.url));
    const args = [child, root, domainId, source.imageId, target.imageId, format];
    const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(daemon, 'exit');
    await once(daemon.stdout, 'data');
    const seen = stoppedWorkersIn(images);
    assert.equal(seen.length, 1, 'it was at work');
    daemon.kill('SIGKILL');
    await ended;
    try {
      await until('qemu-img is gone', () => workersIn(images).length === 0);
    } finally {
      for (const pid of workersIn(images)) process.kill(pid, 'SIGKILL');
    }
    const next = host(t, root, { bootId: 'boot-2' });
    await next.verbs.connectStorageDomain({ domainId, path: root }, task());
    assert.equal((await next.verbs.getImageStatus(target, task())).status, 'interrupted');
    const { image } = await next.verbs.continueImageCopy(target, task());
    assert.equal(image.status, 'ok');
    sameDisk(path, fileOf(image), format);
  }
  assert.equal((await h1.verbs.listImages({ domainId }, task())).images.length, 3);
});
