/** A world with a copy that was cut short, or is under way in another process. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import type { ImageStatus } from '../../../schemas/image.ts';
import type { StorageTuning } from '../../../src/storage/storage.ts';
import { startCopy } from '../../lib/copying-process.ts';
import { domainOf, host, refused, sameContent, scratch, sparseFile, type TestHost, task } from './world.ts';

export const mebibyte = 1024 * 1024;
export const quick: Partial<StorageTuning> = {
  bestMethod: 'kernel',
  chunkBytes: mebibyte / 4,
  checkpointMs: 0,
  holderTermMs: 300,
  holderRenewMs: 50,
};
export type Answer = { image: ImageStatus; taskId: string };

/** A domain with a sparse source image; h1 is connected to it. */
export async function readyWorld(t: TestContext, tuning: Partial<StorageTuning> = {}) {
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

export type World = Awaited<ReturnType<typeof readyWorld>>;

/** Leaves a copy that was cancelled after so many bytes. */
export async function interruptedCopy({ h1, source, target }: World, atBytes: number): Promise<ImageStatus> {
  const work = task<Answer>({ onProgress: (done) => done >= atBytes && work.cancel() });
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
  return h1.verbs.getImageStatus(target, task());
}

/** Another process that is h1, in the middle of the copy. */
export async function copyingProcess(
  t: TestContext,
  { root, domainId, source, target }: World,
): Promise<ChildProcess> {
  const tuning = { ...quick, chunkBytes: 4096, checkpointMs: 20 };
  const job = { root, domainId, sourceId: source.imageId, imageId: target.imageId, tuning };
  return startCopy(t, { ...job, hostId: 'h1', bootId: 'boot-0' });
}

export async function assertComplete(world: World, image: ImageStatus): Promise<void> {
  const { sourcePath, pathOf, directory } = world;
  assert.equal(image.status, 'ok', image.message);
  assert.equal(image.generation, 1);
  assert.ok(sameContent(sourcePath, pathOf(image)), 'the target differs from its source');
  const { volumeId } = image;
  const files = [volumeId, `${volumeId}.lease`, `${volumeId}.meta`];
  assert.deepEqual((await readdir(directory)).sort(), files.sort());
}
