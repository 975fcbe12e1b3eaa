/** Copies whose writer died, and who may go on with them: one, and nothing is lost or left over. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdir, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { endProcess } from '../../lib/copying-process.ts';
import {
  type Answer,
  assertComplete,
  copyingProcess,
  interruptedCopy,
  mebibyte,
  readyWorld,
} from './copy-world.ts';
import { refused, task, until } from './world.ts';

test('a restarted host goes on in the same volume with what its earlier boot held', async (t) => {
  const world = await readyWorld(t);
  const child = await copyingProcess(t, world);
  await until('something is durable', async () => ((await world.statusOn(world.h1)).copy?.done ?? 0) > 0);
  await endProcess(child);
  const h1 = await world.another('h1', { bootId: 'boot-2' });
  const before = await world.statusOn(h1);
  assert.equal(before.status, 'interrupted');
  const work = task<Answer>();
  const { image } = await h1.verbs.continueImageCopy(world.target, work);
  await assertComplete(world, image);
  assert.equal(image.volumeId, before.volumeId);
  assert.equal(work.reports[0]?.done, before.copy?.done);
});

test('who takes over from another host that cannot be proven dead writes a file of its own', async (t) => {
  const world = await readyWorld(t);
  const child = await copyingProcess(t, world);
  const h2 = await world.another('h2');
  await until('something is durable', async () => ((await world.statusOn(h2)).copy?.done ?? 0) > mebibyte);
  const busy = await refused('ImageBusy', h2.verbs.continueImageCopy(world.target, task()));
  assert.deepEqual(busy.data.holder, { hostId: 'h1', bootId: 'boot-0', taskId: 'task-of-child' });
  await endProcess(child);
  await until('it is interrupted', async () => (await world.statusOn(h2)).status === 'interrupted');
  const before = await world.statusOn(h2);
  const work = task<Answer>();
  const { image } = await h2.verbs.continueImageCopy(world.target, work);
  await assertComplete(world, image);
  assert.notEqual(image.volumeId, before.volumeId);
  assert.deepEqual(work.phases, ['moving', 'copying', 'flushing']);
  const done = work.reports.map((report) => report.done);
  assert.ok((done[0] ?? 0) >= (before.copy?.done ?? 0), 'it fell back');
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  );
  // The host that was dead comes back, and finds nothing to do.
  await world.another('h1', { bootId: 'boot-2' });
  await assertComplete(world, await world.statusOn(h2));
});

test('a take-over that is cut short while it moves data can be taken over itself', async (t) => {
  const world = await readyWorld(t);
  const child = await copyingProcess(t, world);
  const h2 = await world.another('h2', { bootId: 'boot-1' });
  await until('something is durable', async () => ((await world.statusOn(h2)).copy?.done ?? 0) > mebibyte);
  await endProcess(child);
  await until('it is interrupted', async () => (await world.statusOn(h2)).status === 'interrupted');
  const durable = (await world.statusOn(h2)).copy?.done ?? 0;
  const work = task<Answer>({ onProgress: () => work.phases.includes('moving') && work.cancel() });
  await refused('Cancelled', h2.verbs.continueImageCopy(world.target, work));
  const status = await world.statusOn(h2);
  assert.equal(status.status, 'interrupted');
  assert.ok((status.copy?.done ?? 0) >= durable, 'what was durable is so no more');
  const h3 = await world.another('h3');
  const { image } = await h3.verbs.continueImageCopy(world.target, task());
  await assertComplete(world, image);
});

test('when several hosts go on with one image, one holds it, and the others are told who', async (t) => {
  for (let round = 0; round < 5; round++) {
    const world = await readyWorld(t, { chunkBytes: 65536 });
    await interruptedCopy(world, 6 * mebibyte);
    const hosts = await Promise.all(['h2', 'h3', 'h4', 'h5'].map((hostId) => world.another(hostId)));
    const outcomes = await Promise.allSettled(
      hosts.map(async (on) => on.verbs.continueImageCopy(world.target, task({ taskId: 'one-id-for-all' }))),
    );
    const won = outcomes.filter(({ status }) => status === 'fulfilled');
    assert.equal(won.length, 1, JSON.stringify(outcomes));
    const winner = hosts[outcomes.findIndex(({ status }) => status === 'fulfilled')];
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') continue;
      const error = await refused('ImageBusy', Promise.reject(outcome.reason));
      assert.equal(Object(error.data.holder).taskId, 'one-id-for-all');
      assert.ok(winner !== undefined);
    }
    await assertComplete(world, await world.statusOn(world.h1));
  }
});

test('when several hosts take over from a dead one, one holds it, and nothing is left over', async (t) => {
  for (let round = 0; round < 3; round++) {
    const world = await readyWorld(t, { chunkBytes: 65536 });
    const child = await copyingProcess(t, world);
    const hosts = await Promise.all(['h2', 'h3', 'h4'].map((hostId) => world.another(hostId)));
    await endProcess(child);
    await Promise.all(
      hosts.map((on) =>
        until('interrupted', async () => (await world.statusOn(on)).status === 'interrupted'),
      ),
    );
    const outcomes = await Promise.allSettled(
      hosts.map(async (on) => on.verbs.continueImageCopy(world.target, task())),
    );
    assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, JSON.stringify(outcomes));
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') await refused('ImageBusy', Promise.reject(outcome.reason));
    }
    await assertComplete(world, await world.statusOn(world.h1));
  }
});

test('a source is busy for every host while a copy from it lives, and can be deleted when it does not', async (t) => {
  const world = await readyWorld(t);
  const { source, directory } = world;
  const child = await copyingProcess(t, world);
  const h2 = await world.another('h2');
  const busy = await refused('ImageBusy', h2.verbs.deleteImage(source, task()));
  assert.deepEqual(busy.data.holder, { hostId: 'h1', bootId: 'boot-0', taskId: 'task-of-child' });
  assert.equal((await h2.verbs.getImageStatus(source, task())).status, 'ok');
  await endProcess(child);
  await until('it is interrupted', async () => (await world.statusOn(h2)).status === 'interrupted');
  await h2.verbs.deleteImage(source, task());
  const images = await readdir(`${directory}/..`);
  assert.deepEqual(images, [world.target.imageId]);
});

test('what somebody left who died before he took over does not keep the image from being completed or deleted', async (t) => {
  const world = await readyWorld(t);
  const { directory, target, h1 } = world;
  const stray = async (hostId: string) => {
    const id = randomUUID();
    const holder = { hostId, bootId: 'b', taskId: 'x', generation: 2, counter: 0 };
    await writeFile(`${directory}/${id}.holder`, JSON.stringify(holder));
    await writeFile(`${directory}/${id}`, '');
    await writeFile(`${directory}/${id}.meta`, '');
    await writeFile(`${directory}/${id}.copy.new-${hostId}`, '');
    return id;
  };
  await interruptedCopy(world, 6 * mebibyte);
  await stray('h7');
  assert.equal((await world.statusOn(h1)).status, 'interrupted');
  const { image } = await h1.verbs.continueImageCopy(target, task());
  await assertComplete(world, image);
  // He may even come later.
  await stray('h7');
  await stray('h1');
  assert.equal((await world.statusOn(h1)).status, 'ok');
  const h7 = await world.another('h7');
  assert.equal((await readdir(directory)).length, 7);
  await world.another('h1');
  await assertComplete(world, await world.statusOn(h7));
  await h1.verbs.deleteImage(target, task());
  await interruptedCopy(world, 6 * mebibyte);
  await stray('h7');
  await refused('ImageBusy', h1.verbs.deleteImage(target, task()));
  await until('it can be deleted', async () => {
    try {
      await h1.verbs.deleteImage(target, task());
      return true;
    } catch {
      return false;
    }
  });
});

test('what a host left of a copy that it completed is removed by whoever connects the domain', async (t) => {
  const world = await readyWorld(t);
  const { directory, source, target, h1 } = world;
  const { image } = await h1.verbs.copyImage({ source, target }, task());
  const holder = { hostId: 'h9', bootId: 'b', taskId: 'x', generation: 1, counter: 0 };
  const path = `${directory}/${image.volumeId}`;
  await writeFile(`${path}.holder`, JSON.stringify(holder));
  await writeFile(`${path}.copy`, '{}');
  await writeFile(`${path}.copy.new-h9`, '{');
  await writeFile(`${path}.below-${randomUUID()}`, '');
  // Of somebody who may be just making it: not touched.
  const other = `${directory}/${randomUUID()}.holder`;
  await writeFile(other, JSON.stringify(holder));
  await world.another('h2');
  assert.deepEqual(
    (await readdir(directory)).map((name) => `${directory}/${name}`).sort(),
    [path, `${path}.lease`, `${path}.meta`, other].sort(),
  );
  assert.equal((await world.statusOn(h1)).status, 'ok');
});
