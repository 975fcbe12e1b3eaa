import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import type { ImageStatus } from '../../../schemas/image.ts';
import { decodeVolumeMetadata } from '../../../src/storage/volume-metadata.ts';
import { addLayer, editMetadata, flattened, makeChain } from './chains.ts';
import { stoppedWorkersIn } from './workers.ts';
import { domainOf, host, refused, sameContent, scratch, sparseFile, task, until } from './world.ts';

const mebibyte = 1024 * 1024;
type Answer = { image: ImageStatus; taskId: string };

/** A domain with an image of three volumes: raw, and two on top. */
async function readyChain(t: TestContext, { sizeMib = 4, dataMib = 1 } = {}) {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  await sparseFile(`${root}/raw`, sizeMib, [[0, dataMib]]);
  const source = { domainId, imageId: randomUUID() };
  const params = { ...source, path: `${root}/raw`, format: 'raw' } as const;
  const { image: base } = await h1.verbs.importImage(params, task());
  const images = `${root}/${domainId}/images`;
  const directory = `${images}/${source.imageId}`;
  const chain = await makeChain(directory, base);
  const [baseId = '', middleId = '', leafId = ''] = chain;
  const content = flattened(`${directory}/${leafId}`, 'qcow2', `${root}/content`);
  const statusOf = (ref = source) => h1.verbs.getImageStatus(ref, task());
  const fileOf = (image: ImageStatus) => `${images}/${image.imageId}/${image.volumeId}`;
  const target = () => ({ domainId, imageId: randomUUID() });
  const world = { root, h1, domainId, images, source, directory, chain, baseId, middleId, leafId };
  return { ...world, content, statusOf, fileOf, target };
}

type World = Awaited<ReturnType<typeof readyChain>>;

test('an image of several volumes reads as its last one, with what all occupy', async (t) => {
  const { root, h1, domainId, source, directory, chain, leafId, statusOf } = await readyChain(t);
  const status = await statusOf();
  assert.equal(status.status, 'ok', status.message);
  assert.deepEqual(status.chain, chain);
  assert.equal(status.volumeId, leafId);
  assert.equal(status.format, 'qcow2');
  assert.equal(status.capacity, 4 * mebibyte);
  const files = chain.map((id) => `${directory}/${id}`);
  const used = execFileSync('du', ['-k', ...files], { encoding: 'utf8' })
    .trim()
    .split('\n');
  const usedBytes = used.reduce((sum, line) => sum + Number.parseInt(line, 10) * 1024, 0);
  assert.equal(status.allocated, usedBytes);
  assert.deepEqual((await h1.verbs.listImages({ domainId }, task())).images, [status]);
  const h2 = host(t, root, { hostId: 'h2' });
  await h2.verbs.connectStorageDomain({ domainId, path: root }, task());
  assert.deepEqual(await h2.verbs.getImageStatus(source, task()), status);
  assert.equal((await readdir(directory)).length, 9, 'connecting left all in place');
  await h1.verbs.deleteImage(source, task());
  assert.deepEqual((await h1.verbs.listImages({ domainId }, task())).images, []);
});

test('volumes that are no chain are broken, with the reason', async (t) => {
  const world = await readyChain(t);
  const { images, directory, chain, leafId, middleId, baseId } = world;
  const rebase =
    (name: string, at = leafId) =>
    (dir: string) => {
      execFileSync('qemu-img', ['rebase', '-u', '-b', name, '-F', 'qcow2', at], { cwd: dir });
    };
  const data = (dir: string) => `${dir}/${middleId}`;
  const cases: [RegExp, (dir: string) => unknown][] = [
    [/builds on "\/etc\/passwd", its metadata/, rebase('/etc/passwd')],
    [/builds on "\.\.\/x\/y", its metadata/, rebase('../x/y')],
    [/builds on "nbd:\/\/host\/x"/, rebase('nbd://host/x')],
    [/builds on "json:/, rebase('json:{"driver":"file","filename":"/etc/passwd"}')],
    [/builds on ".*\/[0-9a-f-]{36}", its metadata/, (dir) => rebase(`${dir}/${middleId}`)(dir)],
    [/qemu-img rebase -u -b [0-9a-f-]{36}\)/, rebase(baseId)],
    [/builds on nothing, its metadata says on/, rebase('')],
    [/on "\/etc\/shadow", its metadata/, rebase('/etc/shadow', middleId)],
    [/which is not there/, (dir) => rm(data(dir))],
    [/which is not there/, (dir) => rm(`${data(dir)}.meta`)],
    [/which is ILLEGAL/, (dir) => editMetadata(data(dir), { legal: false })],
    [
      /nothing builds on volume .*, but its VOLTYPE is INTERNAL/,
      (dir) => editMetadata(data(dir), { parentId: leafId }),
    ],
    [/VOLTYPE is LEAF/, (dir) => editMetadata(data(dir), { volumeType: 'LEAF' })],
    [/VOLTYPE is INTERNAL/, (dir) => editMetadata(`${dir}/${leafId}`, { volumeType: 'INTERNAL' })],
    [/cannot be believed|not belong/, (dir) => writeFile(`${data(dir)}.meta`, 'CAP=1\n')],
    [/the PUUID of volume .* is no ID/, (dir) => editMetadata(`${dir}/${leafId}`, { parentId: '../x' })],
    [/has 1000 of 4194304 bytes/, (dir) => truncate(`${dir}/${baseId}`, 1000)],
    [
      /not a regular file/,
      async (dir) => {
        await rename(data(dir), `${dir}/../elsewhere`);
        await symlink('../elsewhere', data(dir));
      },
    ],
    [
      /not where its qcow2 header says/,
      async (dir) => {
        const file = await open(`${dir}/${leafId}`, 'r+');
        await file.write(Buffer.from([0x7f]), 0, 1, 8);
        await file.close();
      },
    ],
    [/its metadata says on/, (dir) => editMetadata(`${dir}/${leafId}`, { parentId: baseId })],
    [/4 volumes, of which 2 are its last one/, (dir) => twoLeaves(dir, middleId)],
    [
      /3 volumes, of which none is complete/,
      (dir) => Promise.all(chain.map((id) => editMetadata(`${dir}/${id}`, { legal: false }))),
    ],
  ];
  for (const [message, harm] of cases) {
    const ref = world.target();
    const dir = `${images}/${ref.imageId}`;
    execFileSync('cp', ['-a', directory, dir]);
    await harm(dir);
    const status = await world.statusOf(ref);
    assert.equal(status.status, 'broken', String(message));
    assert.match(status.message ?? '', message);
    await refusedEverywhere(world, ref);
    await world.h1.verbs.deleteImage(ref, task());
    await rm(`${images}/elsewhere`, { force: true });
  }
});

async function twoLeaves(directory: string, parentId: string): Promise<void> {
  await addLayer(directory, parentId);
}

/** Nothing is begun with it, so nothing that its headers name is opened. */
async function refusedEverywhere({ h1, target }: World, ref: { domainId: string; imageId: string }) {
  await refused('ImageNotReady', h1.verbs.checkImage(ref, task()));
  for (const chain of ['keep', 'flatten'] as const) {
    await refused('ImageNotReady', h1.verbs.copyImage({ source: ref, target: target(), chain }, task()));
  }
  const params = { source: ref, target: target(), format: 'raw' } as const;
  await refused('ImageNotReady', h1.verbs.convertImage(params, task()));
}

test('volumes that build on each other in a circle, and far too many, are broken', async (t) => {
  const { directory, middleId, leafId, statusOf } = await readyChain(t);
  const own = await addLayer(directory, leafId);
  execFileSync('qemu-img', ['rebase', '-u', '-b', leafId, '-F', 'qcow2', middleId], { cwd: directory });
  await editMetadata(`${directory}/${middleId}`, { parentId: leafId });
  const circle = await statusOf();
  assert.match(circle.message ?? '', /in a circle/);
  assert.equal(circle.volumeId, own);
  const many = await readyChain(t);
  let top = many.leafId;
  for (let i = 0; i < 62; i++) top = await addLayer(many.directory, top);
  assert.match((await many.statusOf()).message ?? '', /more than 64 volumes/);
});

test('a qcow2 image that builds on a file though its metadata names none is broken', async (t) => {
  const { h1, domainId, images, statusOf } = await readyChain(t);
  const ref = { domainId, imageId: randomUUID() };
  const made = await h1.verbs.createImage({ ...ref, format: 'qcow2', capacity: mebibyte }, task());
  const path = `${images}/${ref.imageId}/${made.volumeId}`;
  assert.equal((await statusOf(ref)).chain, undefined);
  execFileSync('qemu-img', ['rebase', '-u', '-b', '/etc/passwd', '-F', 'raw', path]);
  const { status, message = '' } = await statusOf(ref);
  assert.equal(status, 'broken');
  assert.match(message, /builds on "\/etc\/passwd", its metadata says on no other/);
});

test('flattening makes one volume of all, in the same format, or in another one', async (t) => {
  const world = await readyChain(t);
  const { root, h1, source, content, fileOf, target, images, directory } = world;
  const before = await readdir(directory);
  const work = task<Answer>();
  const { image } = await h1.verbs.copyImage({ source, target: target(), chain: 'flatten' }, work);
  assert.equal(work.answers[0]?.image.status, 'copying');
  assert.equal(image.status, 'ok');
  assert.equal(image.format, 'qcow2');
  assert.equal(image.chain, undefined);
  assert.equal((await readdir(`${images}/${image.imageId}`)).length, 3);
  assert.ok(sameContent(flattened(fileOf(image), 'qcow2', `${root}/copy`), content));
  const { image: raw } = await h1.verbs.convertImage({ source, target: target(), format: 'raw' }, task());
  assert.ok(sameContent(fileOf(raw), content));
  assert.deepEqual(await readdir(directory), before);
  for (const other of [image, raw]) {
    const compareWith = { domainId: other.domainId, imageId: other.imageId };
    const result = await h1.verbs.checkImage({ ...source, compareWith }, task());
    assert.deepEqual(result, { ok: true, errors: [] });
  }
});

test('flattening that is cut short goes on from the beginning, on another host too', async (t) => {
  const world = await readyChain(t, { sizeMib: 256, dataMib: 128 });
  const { root, h1, domainId, source, content, fileOf, images } = world;
  const target = world.target();
  const work = task<Answer>({
    onProgress: (done) => {
      if (done === 0) return;
      stoppedWorkersIn(images);
      work.cancel();
    },
  });
  await refused('Cancelled', h1.verbs.copyImage({ source, target, chain: 'flatten' }, work));
  assert.equal((await world.statusOf(target)).status, 'interrupted');
  const h2 = host(t, root, { hostId: 'h2' });
  await h2.verbs.connectStorageDomain({ domainId, path: root }, task());
  const { image } = await h2.verbs.continueImageCopy(target, task());
  assert.equal(image.status, 'ok');
  assert.ok(sameContent(flattened(fileOf(image), 'qcow2', `${root}/copy`), content));
});

/** All of its volumes are byte by byte those of the source, and nothing else is there. */
async function assertSameChain(world: World, image: ImageStatus): Promise<void> {
  const { directory, images, chain, h1, source } = world;
  assert.equal(image.status, 'ok', image.message);
  assert.equal(image.generation, 1);
  const ids = image.chain ?? [];
  assert.deepEqual(ids.slice(0, -1), chain.slice(0, -1), 'headers name them, so they keep their IDs');
  assert.equal(ids.at(-1), image.volumeId);
  assert.ok(!chain.includes(image.volumeId));
  const copy = `${images}/${image.imageId}`;
  for (const [i, id] of chain.entries()) {
    assert.ok(sameContent(`${directory}/${id}`, `${copy}/${ids[i]}`), `volume ${i}`);
    assert.equal((await stat(`${copy}/${ids[i]}`)).nlink, 1);
    const metadata = decodeVolumeMetadata(await readFile(`${copy}/${ids[i]}.meta`, 'utf8'));
    assert.equal(metadata.imageId, image.imageId);
    assert.equal(metadata.volumeType, i === chain.length - 1 ? 'LEAF' : 'INTERNAL');
    assert.ok(metadata.legal);
  }
  const files = ids.flatMap((id) => [id, `${id}.lease`, `${id}.meta`]);
  assert.deepEqual((await readdir(copy)).sort(), files.sort());
  const compareWith = { domainId: image.domainId, imageId: image.imageId };
  assert.deepEqual((await h1.verbs.checkImage({ ...source, compareWith }, task())).errors, []);
}

test('a chain is copied with all of its volumes, unless something else is asked for', async (t) => {
  const world = await readyChain(t);
  const { h1, source, target, chain, root } = world;
  const work = task<Answer>();
  const { image } = await h1.verbs.copyImage({ source, target: target() }, work);
  await assertSameChain(world, image);
  const [answer] = work.answers;
  assert.equal(answer?.image.status, 'copying');
  assert.deepEqual(answer?.image.chain, image.chain);
  assert.deepEqual(work.phases, ['copying', 'flushing']);
  const done = work.reports.map((report) => report.done);
  assert.deepEqual(
    done,
    done.toSorted((a, b) => a - b),
  );
  const { total } = work.reports[0] ?? { total: 0 };
  assert.ok(total > 3 * mebibyte, 'the data of all volumes');
  assert.deepEqual(work.reports.at(-1), { done: total, total, unit: 'bytes' });
  // A copy can be copied, also into another domain, and what was shared with other images is its own there.
  await mkdir(`${root}/other`);
  const otherDomain = await domainOf(h1, `${root}/other`);
  await editMetadata(`${world.directory}/${chain[0]}`, { volumeType: 'SHARED' });
  const elsewhere = { domainId: otherDomain, imageId: randomUUID() };
  const again = await h1.verbs.copyImage({ source, target: elsewhere, chain: 'keep' }, task());
  await assertSameChain({ ...world, images: `${root}/other/${otherDomain}/images` }, again.image);
});

test('a copy of a chain goes on where it was, in whichever volume that was', async (t) => {
  const world = await readyChain(t, { sizeMib: 4, dataMib: 3 });
  const { root, h1: first, source, domainId, images } = world;
  const tuning = { bestMethod: 'kernel', chunkBytes: 65536, checkpointMs: 0, holderTermMs: 200 } as const;
  const h1 = host(t, root, { tuning });
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
  const { total } = (await measured(first, world)).at(-1) ?? { total: 0 };
  for (const [share, as] of [
    [0.05, 'the same host'],
    [0.4, 'another host'],
    [0.7, 'another host'],
    [0.7, 'the same host'],
    [0.9, 'another host'],
    [0.9, 'the same host'],
  ] as const) {
    const target = world.target();
    const work = task<Answer>({ onProgress: (done) => done >= total * share && work.cancel() });
    await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
    const before = await h1.verbs.getImageStatus(target, task());
    assert.equal(before.status, 'interrupted', before.message);
    assert.ok((before.copy?.done ?? 0) >= total * share * 0.9);
    assert.equal(before.chain?.length, 3);
    // As if its holder were alive somewhere: it must be watched, and gets a file of its own when it is silent.
    const path = `${images}/${target.imageId}/${before.volumeId}`;
    const holder = { hostId: 'h9', bootId: 'b', taskId: 'x', generation: 1, counter: 0 };
    if (as === 'another host') await writeFile(`${path}.holder`, `${JSON.stringify(holder)}\n`);
    await until('it is interrupted', async () => {
      return (await h1.verbs.getImageStatus(target, task())).status === 'interrupted';
    });
    const on = task<Answer>();
    const { image } = await h1.verbs.continueImageCopy(target, on);
    assert.equal(image.volumeId === before.volumeId, as === 'the same host');
    assert.ok((on.reports[0]?.done ?? 0) >= (before.copy?.done ?? 0), 'it fell back');
    await assertSameChain(world, image);
  }
});

async function measured(on: World['h1'], { source, target }: World) {
  const work = task<Answer>();
  await on.verbs.copyImage({ source, target: target() }, work);
  return work.reports;
}

test('a copy of a chain does not go on when the chain has changed', async (t) => {
  const world = await readyChain(t);
  const { h1, source, directory, leafId, middleId } = world;
  const interrupted = async () => {
    const target = world.target();
    const work = task<Answer>({ onProgress: (done) => done > 0 && work.cancel() });
    await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
    return target;
  };
  const [first, second] = [await interrupted(), await interrupted()];
  await truncate(`${directory}/${middleId}`, 3 * mebibyte);
  assert.match((await refused('CopyFailed', h1.verbs.continueImageCopy(first, task()))).message, /not what/);
  await addLayer(directory, leafId);
  assert.match(
    (await refused('CopyFailed', h1.verbs.continueImageCopy(second, task()))).message,
    /bytes|not what/,
  );
  assert.equal((await world.statusOf(first)).status, 'interrupted');
});

test('each volume of a chain is checked, and the chain as one compared', async (t) => {
  const { h1, source, directory, middleId, baseId, target } = await readyChain(t);
  assert.deepEqual(await h1.verbs.checkImage(source, task()), { ok: true, errors: [] });
  const { image } = await h1.verbs.copyImage({ source, target: target(), chain: 'flatten' }, task());
  await harmByte(`${directory}/${baseId}`, 100);
  const compareWith = { domainId: image.domainId, imageId: image.imageId };
  const different = await h1.verbs.checkImage({ ...source, compareWith }, task());
  assert.match(String(different.errors), /content differs at offset 0$/);
  // Its table of reference counts no longer leads anywhere.
  const file = await open(`${directory}/${middleId}`, 'r+');
  await file.write(Buffer.alloc(8), 0, 8, 65536);
  await file.close();
  const damaged = await h1.verbs.checkImage(source, task());
  assert.match(damaged.errors[0] ?? '', new RegExp(`^volume ${middleId}: \\d+ errors in its structure`));
});

async function harmByte(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(Buffer.from('!'), 0, 1, offset);
  await file.close();
}
