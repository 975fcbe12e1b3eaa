/** Going on with a copy, on the host that began it or another one. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { open, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { type Answer, assertComplete, interruptedCopy, mebibyte, readyWorld } from './copy-world.ts';
import { host, refused, sameContent, sparseFile, task } from './world.ts';

test('a copy that was cut short goes on from what is durable, in the same volume', async (t) => {
  const world = await readyWorld(t);
  const before = await interruptedCopy(world, 6 * mebibyte);
  assert.equal(before.copy?.done, 6 * mebibyte);
  const work = task<Answer>({ taskId: 'again' });
  const { image } = await world.h1.verbs.continueImageCopy(world.target, work);
  await assertComplete(world, image);
  assert.equal(image.volumeId, before.volumeId);
  const [answer] = work.answers;
  assert.equal(answer?.taskId, 'again');
  assert.equal(answer?.image.status, 'copying');
  assert.deepEqual(answer?.image.copy?.holder, { hostId: 'h1', bootId: 'boot-1', taskId: 'again' });
  const done = work.reports.map((report) => report.done);
  assert.equal(done[0], 6 * mebibyte);
  assert.equal(done.at(-1), 14 * mebibyte);
  // Every chunk is reported once: nothing was copied again.
  assert.ok(work.reports.length <= (8 * mebibyte) / (mebibyte / 4) + 4, `${work.reports.length} reports`);
  assert.deepEqual(work.phases, ['copying', 'flushing']);
  assert.deepEqual(world.h1.events().slice(-3), ['image.interrupted', 'image.copying', 'image.ok']);
});

test('another host goes on with what its writer gave up, at once', async (t) => {
  const world = await readyWorld(t, { holderTermMs: 60_000 });
  const before = await interruptedCopy(world, 6 * mebibyte);
  const h2 = await world.another('h2');
  const { image } = await h2.verbs.continueImageCopy(world.target, task());
  await assertComplete(world, image);
  assert.equal(image.volumeId, before.volumeId);
});

test('what lost writes left behind the durable offset is overwritten, and holes are holes again', async (t) => {
  for (const bestMethod of ['kernel', 'buffer'] as const) {
    const world = await readyWorld(t, { bestMethod });
    const { volumeId } = await interruptedCopy(world, 6 * mebibyte);
    const path = `${world.directory}/${volumeId}`;
    const file = await open(path, 'r+');
    for (let mib = 6; mib < 24; mib++) {
      await file.write(Buffer.alloc(mebibyte, 'garbage'), 0, mebibyte, mib * mebibyte);
    }
    await file.close();
    const { image } = await world.h1.verbs.continueImageCopy(world.target, task());
    await assertComplete(world, image);
    const [from, to] = await Promise.all([stat(world.sourcePath), stat(path)]);
    assert.ok(to.blocks <= from.blocks + 256, `${to.blocks} blocks instead of ${from.blocks}`);
  }
});

test('what cannot be continued is refused with the reason', async (t) => {
  const world = await readyWorld(t);
  const { h1, source, target, domainId, directory } = world;
  const go = (ref = target) => h1.verbs.continueImageCopy(ref, task());
  await refused('ImageNotFound', go());
  await refused('DomainNotFound', go({ ...target, domainId: randomUUID() }));
  const complete = await refused('ImageNotReady', go(source));
  assert.equal(complete.data.status, 'ok');
  const { volumeId } = await interruptedCopy(world, 6 * mebibyte);
  const record = await readFile(`${directory}/${volumeId}.copy`, 'utf8');
  await writeFile(`${directory}/${volumeId}.copy`, 'x');
  const broken = await refused('ImageNotReady', go());
  assert.equal(broken.data.status, 'broken');
  await writeFile(`${directory}/${volumeId}.copy`, record);
  // The image itself is not touched by any of these: it can still be continued.
  await rename(`${directory}/${volumeId}.next`, `${directory}/${volumeId}.hidden`);
  await refused('ImageNotReady', go());
  await rename(`${directory}/${volumeId}.hidden`, `${directory}/${volumeId}.next`);
  await truncate(world.sourcePath, 25 * mebibyte);
  const failed = await refused('CopyFailed', go());
  assert.match(failed.message, /26214400 bytes instead of 25165824/);
  await truncate(world.sourcePath, 24 * mebibyte);
  const cancelled = task<Answer>();
  cancelled.cancel();
  await refused('Cancelled', h1.verbs.continueImageCopy(target, cancelled));
  assert.equal((await world.statusOn(h1)).status, 'interrupted');
  assert.equal((await readdir(directory)).length, 5);
  await h1.verbs.deleteImage(source, task());
  assert.match((await refused('CopyFailed', go())).message, /source, image .* is gone/);
  await h1.verbs.createImage({ ...source, format: 'raw', capacity: 24 * mebibyte }, task());
  assert.match((await refused('CopyFailed', go())).message, /not what it was/);
  // All claims were given up.
  await h1.verbs.deleteImage(target, task());
  await h1.verbs.disconnectStorageDomain({ domainId }, task());
});

test('a copy that runs is busy on its own host too', async (t) => {
  const world = await readyWorld(t);
  const { h1, source, target } = world;
  let refusal: Promise<unknown> | undefined;
  const work = task<Answer>({
    taskId: 'first',
    onProgress: () => {
      refusal ??= refused('ImageBusy', h1.verbs.continueImageCopy(target, task()));
    },
  });
  await h1.verbs.copyImage({ source, target }, work);
  assert.equal(Object(Object(await refusal).data.holder).taskId, 'first');
});

test('an interrupted conversion begins again, in a new file', async (t) => {
  const world = await readyWorld(t);
  const { h1, source, target } = world;
  const work = task<Answer>({ onProgress: () => work.answers.length > 0 && work.cancel() });
  await refused('Cancelled', h1.verbs.convertImage({ source, target, format: 'qcow2' }, work));
  const before = await world.statusOn(h1);
  assert.equal(before.status, 'interrupted', before.message);
  const { image } = await h1.verbs.continueImageCopy(target, task());
  assert.equal(image.status, 'ok');
  assert.equal(image.format, 'qcow2');
  assert.notEqual(image.volumeId, before.volumeId);
  const same = await h1.verbs.checkImage({ ...target, compareWith: source }, task());
  assert.deepEqual(same.errors, []);
  assert.equal((await readdir(world.directory)).length, 3);
});

test('an import goes on while its file is the same, and not when it was changed or exchanged', async (t) => {
  const world = await readyWorld(t);
  const { h1, root, domainId, target } = world;
  const path = `${root}/disk.raw`;
  await sparseFile(path, 8, [[0, 8]]);
  const begin = async () => {
    const imageId = randomUUID();
    const work = task<Answer>({ onProgress: (done) => done >= 3 * mebibyte && work.cancel() });
    await refused('Cancelled', h1.verbs.importImage({ domainId, imageId, path, format: 'raw' }, work));
    return { domainId, imageId };
  };
  const [first, second, third, fourth] = [await begin(), await begin(), await begin(), await begin()];
  const { image } = await h1.verbs.continueImageCopy(first, task());
  assert.equal(image.status, 'ok');
  assert.ok(sameContent(path, world.pathOf(image)));
  const elsewhere = host(t, root, { hostId: 'h9', roots: [`${root}/${domainId}`, `${root}/none`] });
  await refused('InvalidPath', elsewhere.verbs.connectStorageDomain({ domainId, path: root }, task()));
  await utimes(path, 1, 1);
  assert.match((await refused('CopyFailed', h1.verbs.continueImageCopy(second, task()))).message, /not what/);
  await rm(path);
  await refused('InvalidPath', h1.verbs.continueImageCopy(third, task()));
  await sparseFile(path, 8, [[0, 8]]);
  await refused('CopyFailed', h1.verbs.continueImageCopy(fourth, task()));
  assert.equal((await h1.verbs.getImageStatus(fourth, task())).status, 'interrupted');
  await refused('ImageNotFound', h1.verbs.continueImageCopy(target, task()));
});
