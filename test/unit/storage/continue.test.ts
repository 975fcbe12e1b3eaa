import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { open, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { HostbusError } from '../../../schemas/errors.ts';
import type { ImageStatus } from '../../../schemas/image.ts';
import type { StorageTuning } from '../../../src/storage/storage.ts';
import type { ChildJob } from '../../crash/storage-child.ts';
import {
  domainOf,
  host,
  refused,
  sameContent,
  scratch,
  sparseFile,
  type TestHost,
  task,
  until,
} from './world.ts';

const mebibyte = 1024 * 1024;
const childPath = fileURLToPath(new URL('../../crash/storage-child.ts', import.meta.url));
const quick: Partial<StorageTuning> = {
  bestMethod: 'kernel',
  chunkBytes: mebibyte / 4,
  checkpointMs: 0,
  holderTermMs: 300,
  holderRenewMs: 50,
};
type Answer = { image: ImageStatus; taskId: string };

/** A domain with a sparse source image; h1 is connected to it. */
async function readyWorld(t: TestContext, tuning: Partial<StorageTuning> = {}) {
  const root = await scratch(t);
  const h1 = host(t, root, { tuning: { ...quick, ...tuning } });
  const domainId = await domainOf(h1, root);
  const source = { domainId, imageId: randomUUID() };
  const capacity = 24 * mebibyte;
  const made = await h1.verbs.createImage({ ...source, format: 'raw', capacity }, task());
  const pathOf = (image: { imageId: string; volumeId: string }) =>
    `${root}/${domainId}/images/${image.imageId}/${image.volumeId}`;
  const sourcePath = pathOf(made);
  await sparseFile(sourcePath, 24, [
    [0, 8],
    [12, 4],
    [20, 2],
  ]);
  const target = { domainId, imageId: randomUUID() };
  const directory = `${root}/${domainId}/images/${target.imageId}`;
  const statusOn = (on: TestHost) => on.verbs.getImageStatus(target, task());
  const another = async (hostId: string, options: Partial<Parameters<typeof host>[2]> = {}) => {
    const made = host(t, root, { hostId, ...options, tuning: { ...quick, ...tuning } });
    await made.verbs.connectStorageDomain({ domainId, path: root }, task());
    return made;
  };
  return { root, h1, domainId, source, sourcePath, target, directory, pathOf, statusOn, another };
}

type World = Awaited<ReturnType<typeof readyWorld>>;

/** Leaves a copy that was cancelled after so many bytes. */
async function interruptedCopy({ h1, source, target }: World, atBytes: number): Promise<ImageStatus> {
  const work = task<Answer>({ onProgress: (done) => done >= atBytes && work.cancel() });
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
  return h1.verbs.getImageStatus(target, task());
}

/** Another process that is h1, in the middle of a copy. */
async function copyingProcess(t: TestContext, world: World): Promise<ChildProcess> {
  const { root, domainId, source, target } = world;
  const job: ChildJob = {
    root,
    domainId,
    hostId: 'h1',
    bootId: 'boot-0',
    action: 'copyImage',
    imageId: target.imageId,
    sourceId: source.imageId,
    tuning: { ...quick, chunkBytes: 4096, checkpointMs: 20 },
  };
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  const child = spawn(process.execPath, [childPath, JSON.stringify(job)], { stdio: [...stdio] });
  t.after(() => end(child));
  assert.ok(child.stdout !== null);
  for await (const line of createInterface({ input: child.stdout })) if (line === 'answered') break;
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function assertComplete(world: World, image: ImageStatus): Promise<void> {
  const { sourcePath, pathOf, directory } = world;
  assert.equal(image.status, 'ok', image.message);
  assert.equal(image.generation, 1);
  assert.ok(sameContent(sourcePath, pathOf(image)), 'the target differs from its source');
  const { volumeId } = image;
  const files = [volumeId, `${volumeId}.lease`, `${volumeId}.meta`];
  assert.deepEqual((await readdir(directory)).sort(), files.sort());
}

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

test('a restarted host goes on in the same volume with what its earlier boot held', async (t) => {
  const world = await readyWorld(t);
  const child = await copyingProcess(t, world);
  await until('something is durable', async () => ((await world.statusOn(world.h1)).copy?.done ?? 0) > 0);
  await end(child);
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
  await end(child);
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
  await end(child);
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
    await end(child);
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

test('a source is busy for every host while a copy from it lives, and can be deleted when it does not', async (t) => {
  const world = await readyWorld(t);
  const { source, directory } = world;
  const child = await copyingProcess(t, world);
  const h2 = await world.another('h2');
  const busy = await refused('ImageBusy', h2.verbs.deleteImage(source, task()));
  assert.deepEqual(busy.data.holder, { hostId: 'h1', bootId: 'boot-0', taskId: 'task-of-child' });
  assert.equal((await h2.verbs.getImageStatus(source, task())).status, 'ok');
  await end(child);
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

test('copies that an earlier boot held go on by themselves where that is configured, cancelled ones do not', async (t) => {
  const world = await readyWorld(t);
  const { root, domainId, source } = world;
  const cancelled = await interruptedCopy(
    { ...world, target: { domainId, imageId: randomUUID() } },
    mebibyte,
  );
  const child = await copyingProcess(t, world);
  await end(child);
  const start = (bootId: string, continueCopies: 'auto' | 'manual') => {
    const started: string[] = [];
    let refusals = 1;
    const h1: TestHost = host(t, root, {
      bootId,
      tuning: { ...quick, retryMinMs: 20 },
      startTask: async (verb, ref) => {
        assert.equal(verb, 'continueImageCopy');
        started.push(ref.imageId);
        if (refusals-- > 0) throw new HostbusError('ImageBusy', 'As if somebody held it');
        return h1.verbs.continueImageCopy(ref, task());
      },
    });
    const domains = [{ id: domainId, path: root, continueCopies }];
    return { h1, started, connected: h1.storage.connectConfigured(domains) };
  };
  // This boot releases the holder, and ends before anything goes on.
  const second = start('boot-2', 'manual');
  await second.connected;
  assert.equal((await world.statusOn(second.h1)).status, 'interrupted');
  const { h1, started, connected } = start('boot-3', 'auto');
  await connected;
  await until('it is complete', async () => (await world.statusOn(h1)).status === 'ok');
  await assertComplete(world, await world.statusOn(h1));
  const { imageId } = world.target;
  assert.deepEqual(started, [imageId, imageId]);
  assert.deepEqual(second.started, []);
  const left = await h1.verbs.getImageStatus({ domainId, imageId: cancelled.imageId }, task());
  assert.equal(left.status, 'interrupted');
  assert.equal((await h1.verbs.getImageStatus(source, task())).status, 'ok');
});

test('what the end of the daemon cut short goes on after its next start', async (t) => {
  const world = await readyWorld(t);
  const { h1, root, domainId, source, target } = world;
  const work = task<Answer>({
    onProgress: (done) => {
      if (done < 2 * mebibyte) return;
      h1.storage.stopping();
      work.cancel();
    },
  });
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
  const next: TestHost = host(t, root, {
    bootId: 'boot-2',
    startTask: async (_verb, ref) => next.verbs.continueImageCopy(ref, task()),
  });
  await next.storage.connectConfigured([{ id: domainId, path: root, continueCopies: 'auto' }]);
  await until('it is complete', async () => (await world.statusOn(next)).status === 'ok');
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
