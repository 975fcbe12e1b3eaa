import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { HolderWatch } from '../../../src/storage/holder.ts';
import { endProcess, startCopy } from '../../lib/copying-process.ts';
import { domainOf, fillImage, host, refused, scratch, type TestHost, task, until } from './world.ts';

const mebibyte = 1024 * 1024;
const slow = {
  bestMethod: 'kernel' as const,
  chunkBytes: 4096,
  holderTermMs: 400,
  holderRenewMs: 50,
  checkpointMs: 50,
};

/** A domain with a full source image; h2 is connected to it. */
async function readyWorld(t: TestContext, mib: number) {
  const root = await scratch(t);
  const h2 = host(t, root, { hostId: 'h2', tuning: slow });
  const domainId = await domainOf(h2, root);
  const source = { domainId, imageId: randomUUID() };
  const made = await h2.verbs.createImage({ ...source, format: 'raw', capacity: mib * mebibyte }, task());
  await fillImage(root, domainId, source.imageId, made.volumeId, mib);
  const target = { domainId, imageId: randomUUID() };
  const statusOn = async (on: TestHost) => (await on.verbs.getImageStatus(target, task())).status;
  return { root, h2, domainId, source, target, statusOn };
}

type World = Awaited<ReturnType<typeof readyWorld>>;

/** Another process that is h1, in the middle of the copy. */
function copyingHost(t: TestContext, { root, domainId, source, target }: World) {
  const job = { root, domainId, sourceId: source.imageId, imageId: target.imageId, tuning: slow };
  return startCopy(t, { ...job, hostId: 'h1', bootId: 'boot-1' });
}

test('another host sees a living copy as copying from its beginning to its end', async (t) => {
  const { root, h2, domainId, source, target, statusOn } = await readyWorld(t, 16);
  const h1 = host(t, root, { tuning: slow });
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
  let ended = false;
  const copy = (async () => {
    const result = await h1.verbs.copyImage({ source, target }, task({ taskId: 'copy-1' }));
    ended = true;
    return result;
  })();
  await until('the target exists', () => h1.events().includes('image.copying'));
  const seen: string[] = [];
  const done: number[] = [];
  while (!ended) {
    const { status, copy: state } = await h2.verbs.getImageStatus(target, task());
    seen.push(status);
    if (state !== undefined) {
      done.push(state.done);
      assert.deepEqual(state.holder, { hostId: 'h1', bootId: 'boot-1', taskId: 'copy-1' });
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await copy;
  assert.ok(seen.length > 5, `seen ${seen.length} times only`);
  assert.deepEqual([...new Set(seen.slice(0, -1))], ['copying']);
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  );
  assert.ok(new Set(done).size > 1, 'what is durable did not grow');
  assert.equal(await statusOn(h2), 'ok');
});

test('a host that dies in a copy: others see it interrupted after the term, not before', async (t) => {
  const world = await readyWorld(t, 64);
  const { h2, target, statusOn } = world;
  const child = await copyingHost(t, world);
  assert.equal(await statusOn(h2), 'copying');
  await endProcess(child);
  const diedMs = performance.now();
  assert.equal(await statusOn(h2), 'copying');
  await refused('ImageBusy', h2.verbs.deleteImage(target, task()));
  await until('interrupted', async () => (await statusOn(h2)) === 'interrupted');
  assert.ok(performance.now() - diedMs >= slow.holderTermMs - slow.holderRenewMs);
  const { copy } = await h2.verbs.getImageStatus(target, task());
  assert.equal(copy?.total, 64 * mebibyte);
  assert.equal(copy?.holder, undefined);
  await h2.verbs.deleteImage(target, task());
});

test('a host that is stopped is taken for dead, and for alive again when it goes on', async (t) => {
  const world = await readyWorld(t, 64);
  const { h2, statusOn } = world;
  const child = await copyingHost(t, world);
  child.kill('SIGSTOP');
  await until('interrupted', async () => (await statusOn(h2)) === 'interrupted');
  child.kill('SIGCONT');
  await until('alive again', async () => (await statusOn(h2)) !== 'interrupted');
});

test('a restarted host gives up what its earlier boot held, at once and for all', async (t) => {
  const world = await readyWorld(t, 64);
  const { root, h2, domainId, statusOn } = world;
  const child = await copyingHost(t, world);
  await endProcess(child);
  const h1 = host(t, root, { bootId: 'boot-2', tuning: { ...slow, holderTermMs: 60_000 } });
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
  assert.deepEqual(h1.events(), ['image.interrupted', 'domain.up']);
  assert.equal(await statusOn(h1), 'interrupted');
  assert.equal(await statusOn(h2), 'interrupted');
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
  assert.deepEqual(h1.events(), ['image.interrupted', 'domain.up']);
});

test('what a crash between the last two steps leaves is a complete image, and is tidied by whoever connects', async (t) => {
  const { root, h2, domainId, source } = await readyWorld(t, 1);
  const directory = `${root}/${domainId}/images/${source.imageId}`;
  const { volumeId } = await h2.verbs.getImageStatus(source, task());
  for (const hostId of ['h1', 'h2']) {
    const holder = { hostId, bootId: 'boot-0', taskId: 'x', generation: 1, counter: 7 };
    await writeFile(`${directory}/${volumeId}.copy`, 'x');
    await writeFile(`${directory}/${volumeId}.holder`, JSON.stringify(holder));
    assert.equal((await h2.verbs.getImageStatus(source, task())).status, 'ok');
    await h2.verbs.connectStorageDomain({ domainId, path: root }, task());
    assert.equal((await readdir(directory)).length, 3);
    assert.equal((await h2.verbs.getImageStatus(source, task())).status, 'ok');
  }
  assert.ok(h2.events().every((event) => event !== 'image.interrupted'));
});

test('a writer that finds itself replaced stops, and leaves the image to the other', async (t) => {
  const { root, h2, domainId, source, target } = await readyWorld(t, 64);
  const h1 = host(t, root, { tuning: slow });
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
  const copy = refused('ImageBusy', h1.verbs.copyImage({ source, target }, task()));
  await until('the target exists', () => h1.events().includes('image.copying'));
  const { volumeId } = await h2.verbs.getImageStatus(target, task());
  const path = `${root}/${domainId}/images/${target.imageId}/${volumeId}.holder`;
  const text = `${JSON.stringify({ hostId: 'h3', bootId: 'b', taskId: 'other', generation: 2, counter: 0 })}\n`;
  let ended = false;
  const noteEnd = () => {
    ended = true;
  };
  copy.then(noteEnd, noteEnd);
  await until('the writer has stopped', async () => {
    if (ended) return true;
    // A renewal that was under way may have come after it.
    if ((await readFile(path, 'utf8')) !== text) {
      await writeFile(`${path}.taken`, text);
      await rename(`${path}.taken`, path);
    }
    return false;
  });
  const error = await copy;
  assert.equal(Object(error.data.holder).hostId, 'h3');
  assert.equal(error.data.imageId, target.imageId);
  assert.equal(await readFile(path, 'utf8'), text);
});

test('a garbled holder is watched like any other', async (t) => {
  const world = await readyWorld(t, 64);
  const { root, h2, domainId, target, statusOn } = world;
  const child = await copyingHost(t, world);
  await endProcess(child);
  const { volumeId } = await h2.verbs.getImageStatus(target, task());
  await writeFile(`${root}/${domainId}/images/${target.imageId}/${volumeId}.holder`, '');
  assert.equal(await statusOn(h2), 'copying');
  await until('interrupted', async () => (await statusOn(h2)) === 'interrupted');
});

test('a watch remembers only so many images', () => {
  const watch = new HolderWatch(0, 2);
  for (const key of ['a', 'b', 'c']) assert.equal(watch.isAlive(key, 'x'), true);
  assert.equal(watch.isAlive('c', 'x'), false);
  assert.equal(watch.isAlive('a', 'x'), true);
});
