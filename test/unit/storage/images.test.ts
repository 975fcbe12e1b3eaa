import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { domainOf, host, refused, scratch, task } from './world.ts';

async function readyDomain(t: TestContext) {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  const images = `${root}/${domainId}/images`;
  const create = (imageId: string, capacity = 1 << 20) =>
    h1.verbs.createImage({ domainId, imageId, format: 'raw', capacity }, task());
  return { root, h1, domainId, images, create };
}

const mebibyte = 1024 * 1024;

test('a sparse raw image takes no space and has its size', async (t) => {
  const { h1, domainId, images } = await readyDomain(t);
  const imageId = randomUUID();
  const capacity = 64 * mebibyte;
  const status = await h1.verbs.createImage({ domainId, imageId, format: 'raw', capacity }, task());
  const { volumeId, createdAt } = status;
  const expected = {
    domainId,
    imageId,
    volumeId,
    status: 'ok',
    format: 'raw',
    capacity,
    allocated: 0,
    generation: 0,
  };
  assert.deepEqual(status, { ...expected, createdAt });
  assert.equal((await stat(`${images}/${imageId}/${volumeId}`)).size, capacity);
  const files = [volumeId, `${volumeId}.lease`, `${volumeId}.meta`];
  assert.deepEqual((await readdir(`${images}/${imageId}`)).sort(), files.sort());
  assert.match(
    await readFile(`${images}/${imageId}/${volumeId}.meta`, 'utf8'),
    /^GEN=0\n(.*\n)*LEGALITY=LEGAL\n/m,
  );
  assert.deepEqual(await h1.verbs.getImageStatus({ domainId, imageId }, task()), status);
  assert.deepEqual(h1.events(), ['domain.up', 'image.ok']);
  assert.equal(h1.happenings[1]?.id, `${domainId}/${imageId}`);
  assert.equal(h1.happenings[1]?.flowId, 'flow');
  assert.deepEqual(await readdir(images), [imageId]);
});

test('a preallocated raw image has its space', async (t) => {
  const { h1, domainId } = await readyDomain(t);
  const params = { domainId, imageId: randomUUID(), format: 'raw', capacity: 8 * mebibyte } as const;
  const status = await h1.verbs.createImage({ ...params, allocation: 'preallocated' }, task());
  assert.ok(status.allocated >= 8 * mebibyte);
});

test('a qcow2 image is one that qemu-img checks, sparse or preallocated', async (t) => {
  const { h1, domainId, images } = await readyDomain(t);
  for (const allocation of ['sparse', 'preallocated'] as const) {
    const imageId = randomUUID();
    const capacity = 16 * mebibyte;
    const status = await h1.verbs.createImage(
      { domainId, imageId, format: 'qcow2', capacity, allocation },
      task(),
    );
    assert.equal(status.format, 'qcow2');
    assert.equal(status.capacity, capacity);
    assert.equal(status.allocated > capacity, allocation === 'preallocated');
    execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', `${images}/${imageId}/${status.volumeId}`]);
  }
});

test('an image that exists is not made again, also by two tasks at once', async (t) => {
  const { create, images } = await readyDomain(t);
  const imageId = randomUUID();
  const made = await Promise.allSettled([create(imageId), create(imageId), create(imageId)]);
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1);
  const error = await refused('ImageExists', create(imageId));
  assert.equal(error.data.imageId, imageId);
  assert.deepEqual(await readdir(images), [imageId]);
});

test('of two hosts that make the same image at once, one succeeds', async (t) => {
  const { root, h1, domainId, images } = await readyDomain(t);
  const h2 = host(t, root, { hostId: 'h2' });
  await h2.verbs.connectStorageDomain({ domainId, path: root }, task());
  for (let round = 0; round < 10; round++) {
    const params = { domainId, imageId: randomUUID(), format: 'raw', capacity: 512 } as const;
    const made = await Promise.allSettled([
      h1.verbs.createImage(params, task()),
      h2.verbs.createImage(params, task()),
    ]);
    assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1);
  }
  assert.equal((await readdir(images)).length, 10);
});

test('a size that cannot be is refused, and nothing is left', async (t) => {
  const { root, h1, domainId, images } = await readyDomain(t);
  await writeFile(`${root}/huge`, '');
  const params = { domainId, imageId: randomUUID(), format: 'raw' } as const;
  // Larger than a file may be, on most file systems.
  const huge = await truncate(`${root}/huge`, 2 ** 50).then(
    () => true,
    () => false,
  );
  const creation = h1.verbs.createImage({ ...params, capacity: 2 ** 50 }, task());
  if (huge) {
    await creation;
    await h1.verbs.deleteImage({ domainId, imageId: params.imageId }, task());
  } else {
    await refused('InvalidImage', creation);
  }
  const preallocated = { ...params, capacity: 2 ** 46, allocation: 'preallocated' } as const;
  const error = await refused('NoSpace', h1.verbs.createImage(preallocated, task()));
  assert.ok(Number(error.data.needed) > Number(error.data.available));
  assert.deepEqual(await readdir(images), []);
});

test('an unknown image, an unknown domain', async (t) => {
  const { h1, domainId } = await readyDomain(t);
  const imageId = randomUUID();
  await refused('ImageNotFound', h1.verbs.getImageStatus({ domainId, imageId }, task()));
  await refused('ImageNotFound', h1.verbs.deleteImage({ domainId, imageId }, task()));
  const other = randomUUID();
  await refused('DomainNotFound', h1.verbs.getImageStatus({ domainId: other, imageId }, task()));
  await refused('DomainNotFound', h1.verbs.listImages({ domainId: other }, task()));
  await refused('DomainNotFound', h1.verbs.deleteImage({ domainId: other, imageId }, task()));
});

test('a list is in the order of IDs, and pages join without gap or double', async (t) => {
  const { h1, domainId, create, images } = await readyDomain(t);
  const ids = Array.from({ length: 25 }, () => randomUUID()).sort();
  for (const imageId of ids) await create(imageId);
  await mkdir(`${images}/_new_${randomUUID()}.h2.boot`);
  await mkdir(`${images}/_remove_me_${randomUUID()}`);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const params = cursor === undefined ? { domainId, limit: 10 } : { domainId, limit: 10, cursor };
    const page = await h1.verbs.listImages(params, task());
    seen.push(...page.images.map((image) => image.imageId));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  assert.deepEqual(seen, ids);
  await refused('InvalidParams', h1.verbs.listImages({ domainId, cursor: 'nonsense' }, task()));
});

test('one bad image hides none of the others, and says what is wrong', async (t) => {
  const { root, h1, domainId, create, images } = await readyDomain(t);
  const damage: [RegExp, (directory: string, volume: string) => Promise<unknown>][] = [
    [/does not end with EOF/, (_directory, volume) => writeFile(`${volume}.meta`, 'CAP=1\n')],
    [
      /not a whole number/,
      async (_directory, volume) =>
        writeFile(`${volume}.meta`, (await readFile(`${volume}.meta`, 'utf8')).replace(/CAP=\d+/, 'CAP=x')),
    ],
    [/data file is missing/, (_directory, volume) => rmFile(volume)],
    [/has 10 of 1048576 bytes/, (_directory, volume) => writeFile(volume, '0123456789')],
    [/no metadata/, (_directory, volume) => rmFile(`${volume}.meta`)],
    [/2 volumes/, (directory) => writeFile(`${directory}/${randomUUID()}.meta`, '')],
    [
      /no record to go on from/,
      async (_directory, volume) =>
        writeFile(`${volume}.meta`, (await readFile(`${volume}.meta`, 'utf8')).replace('=LEGAL', '=ILLEGAL')),
    ],
    [
      /symbolic link/,
      async (_directory, volume) => {
        await rmFile(`${volume}.meta`);
        await symlink('/etc/hostname', `${volume}.meta`);
      },
    ],
    [
      /not a regular file/,
      async (_directory, volume) => {
        await rmFile(`${volume}.meta`);
        execFileSync('mkfifo', [`${volume}.meta`]);
      },
    ],
  ];
  const good = randomUUID();
  await create(good);
  const expected = new Map<string, RegExp>();
  for (const [message, harm] of damage) {
    const imageId = randomUUID();
    const { volumeId } = await create(imageId);
    await harm(`${images}/${imageId}`, `${images}/${imageId}/${volumeId}`);
    expected.set(imageId, message);
  }
  const linked = randomUUID();
  await symlink(root, `${images}/${linked}`);
  expected.set(linked, /not a directory/);
  const list = await h1.verbs.listImages({ domainId }, task());
  assert.equal(list.images.length, damage.length + 2);
  for (const image of list.images) {
    const message = expected.get(image.imageId);
    assert.equal(image.status, message === undefined ? 'ok' : 'broken', image.message);
    if (message !== undefined) assert.match(image.message ?? '', message);
  }
  // Each can be deleted, and what a link leads to stays.
  for (const imageId of expected.keys()) await h1.verbs.deleteImage({ domainId, imageId }, task());
  assert.deepEqual(await readdir(images), [good]);
  assert.ok((await readdir(root)).includes(domainId));
});

function rmFile(path: string): Promise<void> {
  return import('node:fs/promises').then(({ unlink }) => unlink(path));
}

test('deleting removes all, also when an earlier deletion of the same ID was cut short', async (t) => {
  const { h1, domainId, images, create } = await readyDomain(t);
  const imageId = randomUUID();
  await create(imageId);
  await mkdir(`${images}/_remove_me_${imageId}`);
  await writeFile(`${images}/_remove_me_${imageId}/data`, '');
  assert.deepEqual(await h1.verbs.deleteImage({ domainId, imageId }, task()), {});
  assert.deepEqual(await readdir(images), []);
  assert.deepEqual(h1.events().slice(-2), ['image.ok', 'image.deleted']);
  assert.deepEqual(h1.happenings.at(-1)?.data, { domainId, imageId });
  await create(imageId);
});

test('reading an image while it is deleted gives its state or ImageNotFound, never a broken one', async (t) => {
  const { h1, domainId, create } = await readyDomain(t);
  const ref = { domainId, imageId: randomUUID() };
  for (let round = 0; round < 30; round++) {
    await create(ref.imageId);
    const reads = Array.from({ length: 5 }, async () => {
      try {
        return (await h1.verbs.getImageStatus(ref, task())).status;
      } catch (error) {
        assert.ok(error instanceof Error);
        return error.name;
      }
    });
    const [, ...states] = await Promise.all([h1.verbs.deleteImage(ref, task()), ...reads]);
    for (const state of states) assert.ok(state === 'ok' || state === 'ImageNotFound', state);
  }
});

test('connecting while images are deleted disturbs neither', async (t) => {
  const { root, h1, domainId, create, images } = await readyDomain(t);
  const h2 = host(t, root, { hostId: 'h2' });
  for (let round = 0; round < 20; round++) {
    const imageId = randomUUID();
    await create(imageId);
    await Promise.all([
      h1.verbs.deleteImage({ domainId, imageId }, task()),
      h2.verbs.connectStorageDomain({ domainId, path: root }, task()),
      h1.verbs.connectStorageDomain({ domainId, path: root }, task()),
    ]);
  }
  await h2.verbs.connectStorageDomain({ domainId, path: root }, task());
  assert.deepEqual(await readdir(images), []);
});
