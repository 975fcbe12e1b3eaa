/**
 * Paths of callers, while somebody who may write below the root exchanges directories and symbolic links as fast as he can:
 * nothing outside the roots is made, changed or read.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { globSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { HostbusError } from '../../schemas/errors.ts';
import { domainOf, host, scratch, task } from '../unit/storage/world.ts';

const timeLimitMs = process.env.HOSTBUS_TEST_FAULTS === 'all' ? 60_000 : 3_000;
const canary = 'canary: outside the roots';

/** `root/a` is now a directory, now a symbolic link to what is outside; `root/a/file`, too. */
const racer = `
  const fs = require('node:fs');
  const [root, outside] = process.argv.slice(1);
  process.stdout.write('races');
  for (;;) {
    fs.renameSync(root + '/a', root + '/b');
    fs.symlinkSync(outside, root + '/a');
    fs.unlinkSync(root + '/a');
    fs.renameSync(root + '/b', root + '/a');
    fs.renameSync(root + '/a/file', root + '/a/aside');
    fs.symlinkSync(outside + '/file', root + '/a/file');
    fs.unlinkSync(root + '/a/file');
    fs.renameSync(root + '/a/aside', root + '/a/file');
  }`;

/** Every name below a directory with what it is, when it changed, and what is in it. */
function snapshot(directory: string): string[] {
  return globSync('**', { cwd: directory }).map((name) => {
    const { mode, ino, size, mtimeMs, ctimeMs } = lstatSync(join(directory, name));
    const content = (mode & 0o170000) === 0o100000 ? readFileSync(join(directory, name), 'latin1') : '';
    return JSON.stringify([name, mode, ino, size, mtimeMs, ctimeMs, content]);
  });
}

test('No path leads out of the roots, whoever races with the check.', async (t) => {
  const world = await scratch(t);
  const [root, outside, store] = ['root', 'outside', 'store'].map((name) => join(world, name));
  assert.ok(root !== undefined && outside !== undefined && store !== undefined);
  for (const directory of [root, outside, store, join(root, 'a')]) mkdirSync(directory, { recursive: true });
  writeFileSync(join(root, 'a', 'file'), 'x'.repeat(512));
  writeFileSync(join(outside, 'file'), canary.padEnd(512));
  const h1 = host(t, root, { roots: [root, store] });
  const domainId = await domainOf(h1, store);
  // A domain outside, with something that connecting a domain would remove.
  const stranger = await domainOf(host(t, outside, { hostId: 'h2' }), outside);
  mkdirSync(join(outside, stranger, 'images', `_remove_me_${randomUUID()}`));
  const before = snapshot(outside);

  const racing = spawn(process.execPath, ['-e', racer, root, outside], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const outcomes = { done: 0, refused: 0 };
  try {
    await once(racing.stdout, 'data');
    const { createStorageDomain, connectStorageDomain, disconnectStorageDomain, importImage, deleteImage } =
      h1.verbs;
    const tries = {
      create: async (path: string) => {
        const made = randomUUID();
        await createStorageDomain({ domainId: made, path }, task());
        await disconnectStorageDomain({ domainId: made }, task());
      },
      connect: async (path: string) => {
        await connectStorageDomain({ domainId: stranger, path }, task());
        assert.fail(`a domain outside was connected by ${path}`);
      },
      import: async (path: string) => {
        const image = { domainId, imageId: randomUUID() };
        await importImage({ ...image, path }, task());
        const data = globSync(`${store}/${domainId}/images/${image.imageId}/*`);
        assert.ok(!data.some((file) => readFileSync(file, 'latin1').includes(canary)), `read by ${path}`);
        await deleteImage(image, task());
      },
    };
    const word = fc.constantFrom('a', 'b', 'file', '..', '.', '', '../outside', '\0', 'a/../../outside');
    const path = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('a', 'a/file', 'a/.', 'b', 'a/../a') },
      { weight: 1, arbitrary: fc.array(word, { maxLength: 5 }).map((words) => words.join('/')) },
    );
    const verb = fc.constantFrom<(keyof typeof tries)[]>('create', 'connect', 'import');
    const property = fc.asyncProperty(verb, path, async (name, below) => {
      try {
        await tries[name](`${root}/${below}`);
        outcomes.done += 1;
      } catch (error) {
        if (!(error instanceof HostbusError)) throw error;
        outcomes.refused += 1;
      }
    });
    await fc.assert(property, {
      numRuns: 1_000_000,
      interruptAfterTimeLimit: timeLimitMs,
      endOnFailure: true,
    });
  } finally {
    racing.kill('SIGKILL');
    await once(racing, 'exit');
  }
  assert.deepEqual(snapshot(outside), before);
  assert.ok(outcomes.done > 0 && outcomes.refused > 0, JSON.stringify(outcomes));
  t.diagnostic(JSON.stringify(outcomes));
});
