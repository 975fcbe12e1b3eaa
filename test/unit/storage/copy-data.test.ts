import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type CopyPosition, CopyRun } from '../../../src/storage/copy-data.ts';
import { dataAfter, measureData } from '../../../src/storage/copy-progress.ts';
import type { MoveMethod } from '../../../src/storage/data-mover.ts';
import { sameContent, scratch } from './world.ts';

const blockBytes = 4096;

/** Two open files in a scratch directory; the first has data where asked. */
async function twoFiles(directory: string, sizeBytes: number, blocks: readonly number[]) {
  const source = await open(`${directory}/source`, 'w+');
  const target = await open(`${directory}/target`, 'w+');
  await source.truncate(sizeBytes);
  for (const block of blocks) {
    const offset = block * blockBytes;
    const lengthBytes = Math.min(blockBytes, sizeBytes - offset);
    if (lengthBytes > 0) await source.write(Buffer.alloc(blockBytes, `${block};`), 0, lengthBytes, offset);
  }
  await source.sync();
  await target.truncate(sizeBytes);
  return { source, target, close: () => Promise.all([source.close(), target.close()]) };
}

async function stretchesOf(file: { fd: number }, sizeBytes: number): Promise<[number, number][]> {
  const found: [number, number][] = [];
  for (let offset = 0; ; ) {
    const stretch = await dataAfter(file.fd, offset, sizeBytes);
    if (stretch === undefined) return found;
    found.push([stretch.begin, stretch.end]);
    offset = stretch.end;
  }
}

async function checkCopy(t: TestContext, method: MoveMethod): Promise<void> {
  const directory = await scratch(t);
  const property = fc.asyncProperty(
    fc.array(fc.nat(63), { maxLength: 20 }),
    fc.integer({ min: 1, max: 64 * blockBytes }),
    fc.constantFrom(blockBytes, 3 * blockBytes, 1 << 20),
    fc.nat(30),
    async (blocks, sizeBytes, chunkBytes, stopAfter) => {
      const { source, target, close } = await twoFiles(directory, sizeBytes, blocks);
      try {
        const measure = await measureData(source.fd, sizeBytes);
        const durable: CopyPosition[] = [];
        let reports = 0;
        let last = 0;
        const controller = new AbortController();
        const shared = { source, target, sizeBytes, ...measure, chunkBytes, checkpointMs: 0, method };
        const onProgress = (doneBytes: number) => {
          assert.ok(doneBytes >= last && doneBytes <= measure.totalBytes);
          last = doneBytes;
          if (++reports === stopAfter) controller.abort(new Error('stopped'));
        };
        const onDurable = async (position: CopyPosition) => void durable.push(position);
        const signal = controller.signal;
        const first = new CopyRun({
          ...shared,
          start: { offset: 0, doneBytes: 0 },
          signal,
          onProgress,
          onDurable,
        });
        const stopped = await first.run().then(
          () => false,
          () => true,
        );
        if (stopped) {
          // A copy that goes on where the record says gives the same image, and the same progress.
          const start = await first.flush();
          assert.equal(start.doneBytes, last);
          const rest = { ...shared, start, signal: new AbortController().signal, onProgress, onDurable };
          await new CopyRun(rest).run();
        }
        assert.equal(last, measure.totalBytes);
        assert.deepEqual(await stretchesOf(target, sizeBytes), await stretchesOf(source, sizeBytes));
        assert.ok(sameContent(`${directory}/source`, `${directory}/target`));
      } finally {
        await close();
      }
    },
  );
  await fc.assert(property, { numRuns: 40 });
}

test('any file is copied with its holes, stopped and continued at any point: in the kernel', (t) =>
  checkCopy(t, 'kernel'));

test('any file is copied with its holes, stopped and continued at any point: through a buffer', (t) =>
  checkCopy(t, 'buffer'));

test('where blocks cannot be shared the kernel copies', async (t) => {
  const { source, target, close } = await twoFiles(await scratch(t), 8 * blockBytes, [1, 2]);
  t.after(close);
  const measure = await measureData(source.fd, 8 * blockBytes);
  assert.equal(measure.totalBytes, 2 * blockBytes);
  const run = new CopyRun({
    source,
    target,
    sizeBytes: 8 * blockBytes,
    ...measure,
    start: { offset: 0, doneBytes: 0 },
    chunkBytes: 1 << 20,
    checkpointMs: 1000,
    signal: new AbortController().signal,
    onProgress: () => {},
    onDurable: async () => {},
  });
  await run.run();
  // On a file system that shares blocks it stays `clone`.
  assert.ok(run.method === 'kernel' || run.method === 'clone', run.method);
});

test('a source that ends early fails, however it is copied', async (t) => {
  for (const method of ['kernel', 'buffer'] as const) {
    const { source, target, close } = await twoFiles(
      await scratch(t),
      8 * blockBytes,
      [0, 1, 2, 3, 4, 5, 6, 7],
    );
    t.after(close);
    const run = new CopyRun({
      source,
      target,
      sizeBytes: 8 * blockBytes,
      totalBytes: 8 * blockBytes,
      countedTo: 8 * blockBytes,
      start: { offset: 0, doneBytes: 0 },
      chunkBytes: blockBytes,
      checkpointMs: 1000,
      signal: new AbortController().signal,
      method,
      onProgress: () => {},
      onDurable: async () => {},
    });
    const running = run.run();
    await source.truncate(2 * blockBytes);
    await running.then(
      // Then it had been read already, or the rest looks like a hole; the size is compared afterwards.
      async () => assert.equal((await source.stat()).size, 2 * blockBytes),
      (error: unknown) => assert.match(String(error), /SourceTooShort/),
    );
  }
});
