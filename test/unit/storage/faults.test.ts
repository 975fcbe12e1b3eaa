/** Storage that fails under the daemon: each time a clear error, the right status, and all is well when the cause is gone. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile, truncate, unlink, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import type { HostbusError } from '../../../schemas/errors.ts';
import type { ImageStatus } from '../../../schemas/image.ts';
import { type Disk, shutDownXfs, withDisk } from './disks.ts';
import { workersIn } from './workers.ts';
import { domainOf, host, refused, sameContent, scratch, sparseFile, type TestHost, task } from './world.ts';

const mebibyte = 1024 * 1024;
type Answer = { image: ImageStatus; taskId: string };

/** Starts an import that does harm once some of it is copied, and returns what it fails with. */
async function harmedImport(
  h1: TestHost,
  target: { domainId: string; imageId: string },
  path: string,
  harm: () => void,
): Promise<unknown> {
  let harmed = false;
  const work = task<Answer>({
    onProgress: (done) => {
      if (done === 0 || harmed) return;
      harmed = true;
      harm();
    },
  });
  try {
    await h1.verbs.importImage({ ...target, path, format: 'raw' }, work);
  } catch (error) {
    assert.ok(harmed);
    return error;
  }
  throw new assert.AssertionError({ message: 'the copy did not fail' });
}

/** A domain on the disk, and a file of data beside it. Small pieces, so that harm comes in the middle. */
async function readyDisk(t: TestContext, disk: Disk, mib: number) {
  const tuning = { chunkBytes: mebibyte, checkpointMs: 5, bestMethod: 'kernel' } as const;
  const h1 = host(t, disk.root, { tuning });
  const domainId = await domainOf(h1, disk.path);
  const path = `${disk.root}/source`;
  await sparseFile(path, mib, [[0, mib]]);
  const target = { domainId, imageId: randomUUID() };
  const create = (imageId: string = randomUUID()) =>
    h1.verbs.createImage({ domainId, imageId, format: 'raw', capacity: mebibyte }, task());
  const domainStatus = async () => (await h1.verbs.getStorageDomainStatus({ domainId }, task())).status;
  return { h1, domainId, path, target, create, domainStatus };
}

type Ready = Awaited<ReturnType<typeof readyDisk>>;

/** All is well again: the target of the broken copy is there, and can be deleted and made anew. */
async function recovers({ h1, target, path, domainStatus }: Ready, images: string): Promise<void> {
  assert.equal(await domainStatus(), 'up');
  const status = await h1.verbs.getImageStatus(target, task());
  assert.equal(status.status, 'interrupted', status.message);
  await h1.verbs.deleteImage(target, task());
  const { image } = await h1.verbs.importImage({ ...target, path, format: 'raw' }, task());
  assert.ok(sameContent(path, `${images}/${image.imageId}/${image.volumeId}`));
  assert.deepEqual(await readdir(images), [target.imageId]);
}

function oneOf(error: unknown, names: readonly string[]): HostbusError {
  const found = error as HostbusError;
  assert.ok(names.includes(found.name), `${found.name}: ${found.message}`);
  assert.doesNotMatch(JSON.stringify(found), /src\/|node:/, 'nothing of the daemon itself is told');
  return found;
}

test('a file system that turns read-only in the middle of a copy', async (t) => {
  await withDisk(t, { sizeMib: 96, type: 'ext4' }, async (disk) => {
    const ready = await readyDisk(t, disk, 48);
    const { h1, target, path, create, domainStatus, domainId } = ready;
    // What ext4 does by itself when its journal cannot be written.
    const harm = () => execFileSync('mount', ['-o', 'remount,abort', disk.path]);
    const error = oneOf(await harmedImport(h1, target, path, harm), ['CopyFailed', 'DomainUnavailable']);
    assert.match(error.message, /it is read-only|EIO/);
    assert.notEqual(await domainStatus(), 'up');
    assert.match((await refused('DomainUnavailable', create())).message, /read-only/);
    await h1.verbs.disconnectStorageDomain({ domainId }, task());
    disk.unmount();
    disk.mount();
    await h1.verbs.connectStorageDomain({ domainId, path: disk.path }, task());
    await recovers(ready, `${disk.path}/${domainId}/images`);
  });
});

test('a disk that fails every access (EIO) in the middle of a copy', async (t) => {
  await withDisk(t, { sizeMib: 400, type: 'xfs' }, async (disk) => {
    const ready = await readyDisk(t, disk, 48);
    const { h1, target, path, create, domainStatus, domainId } = ready;
    const source = await create();
    // From now on every access of the file system is an EIO, as when its disk is gone.
    const harm = () => shutDownXfs(disk.path);
    const error = oneOf(await harmedImport(h1, target, path, harm), ['CopyFailed', 'DomainUnavailable']);
    assert.match(error.message, /EIO/);
    if (error.name === 'CopyFailed') assert.equal(error.data.errno, 'EIO');
    assert.equal(await domainStatus(), 'down');
    const sourceRef = { domainId, imageId: source.imageId };
    for (const work of [
      () => create(),
      () => h1.verbs.listImages({ domainId }, task()),
      () => h1.verbs.getImageStatus(sourceRef, task()),
      () => h1.verbs.checkImage(sourceRef, task()),
      () =>
        h1.verbs.convertImage(
          { source: sourceRef, target: { domainId, imageId: randomUUID() }, format: 'raw' },
          task(),
        ),
      () => h1.verbs.deleteImage(sourceRef, task()),
    ]) {
      assert.match((await refused('DomainUnavailable', work())).message, /EIO/);
    }
    disk.unmount();
    disk.mount();
    await h1.verbs.connectStorageDomain({ domainId, path: disk.path }, task());
    await h1.verbs.deleteImage(sourceRef, task());
    await recovers(ready, `${disk.path}/${domainId}/images`);
    assert.deepEqual(
      h1.events().filter((event) => event.startsWith('domain.')),
      ['domain.up', 'domain.down', 'domain.up'],
    );
  });
});

test('a disk that fails in the middle of a conversion ends it with qemu-img gone, and it can be gone on with', async (t) => {
  await withDisk(t, { sizeMib: 400, type: 'xfs' }, async (disk) => {
    const { h1, domainId, path } = await readyDisk(t, disk, 128);
    const safe = await domainOf(h1, disk.root);
    const source = { domainId: safe, imageId: randomUUID() };
    await h1.verbs.importImage({ ...source, path, format: 'raw' }, task());
    const target = { domainId, imageId: randomUUID() };
    let harmed = false;
    const work = task<Answer>({
      onProgress: (done) => {
        if (done === 0 || harmed) return;
        harmed = true;
        shutDownXfs(disk.path);
      },
    });
    const conversion = Promise.resolve(h1.verbs.convertImage({ source, target, format: 'qcow2' }, work));
    const error = oneOf(await conversion.catch((thrown: unknown) => thrown), [
      'CopyFailed',
      'DomainUnavailable',
    ]);
    assert.ok(harmed);
    assert.match(error.message, /EIO|Input\/output error/);
    assert.deepEqual(workersIn(disk.path), []);
    disk.unmount();
    disk.mount();
    assert.equal((await h1.verbs.getImageStatus(target, task())).status, 'interrupted');
    const { image } = await h1.verbs.continueImageCopy(target, task());
    assert.equal(image.status, 'ok');
    const whole = await h1.verbs.checkImage({ ...target, compareWith: source }, task());
    assert.deepEqual(whole, { ok: true, errors: [] });
  });
});

test('a disk that is unmounted in the middle of a copy: nothing is written to the bare mount point', async (t) => {
  await withDisk(t, { sizeMib: 96, type: 'ext4' }, async (disk) => {
    const ready = await readyDisk(t, disk, 48);
    const { h1, target, path, create, domainStatus, domainId } = ready;
    const image = { domainId, imageId: (await create()).imageId };
    const error = oneOf(await harmedImport(h1, target, path, () => disk.unmount('lazily')), [
      'CopyFailed',
      'DomainUnavailable',
    ]);
    assert.match(error.message, /is it mounted\?/);
    assert.equal(await domainStatus(), 'down');
    for (const work of [
      () => create(),
      () => h1.verbs.importImage({ ...target, imageId: randomUUID(), path, format: 'raw' }, task()),
      () => h1.verbs.getImageStatus(image, task()),
      () => h1.verbs.listImages({ domainId }, task()),
      () => h1.verbs.deleteImage(image, task()),
    ]) {
      assert.match((await refused('DomainUnavailable', work())).message, /is it mounted\?/);
    }
    await refused('DomainNotFound', h1.verbs.connectStorageDomain({ domainId, path: disk.path }, task()));
    assert.deepEqual(await readdir(disk.path), []);
    disk.mount();
    await h1.verbs.deleteImage(image, task());
    await h1.verbs.connectStorageDomain({ domainId, path: disk.path }, task());
    await recovers(ready, `${disk.path}/${domainId}/images`);
  });
});

test('a directory of the same shape under the mount point is not taken for the domain', async (t) => {
  await withDisk(t, { sizeMib: 32, type: 'ext4' }, async (disk) => {
    const { h1, domainId, create } = await readyDisk(t, disk, 1);
    disk.unmount();
    execFileSync('mkdir', ['-p', `${disk.path}/${domainId}/images`, `${disk.path}/${domainId}/dom_md`]);
    const away = { domainId, imageId: randomUUID() };
    await refused('DomainUnavailable', create());
    const path = `${disk.root}/source`;
    await refused('DomainUnavailable', h1.verbs.importImage({ ...away, path, format: 'raw' }, task()));
    await refused('DomainUnavailable', h1.verbs.deleteImage(away, task()));
    assert.deepEqual(await readdir(`${disk.path}/${domainId}/images`), []);
    assert.deepEqual(await readdir(`${disk.path}/${domainId}/dom_md`), []);
    disk.mount();
    await create();
  });
});

test('a disk that fills up during a conversion ends it with NoSpace, and the target is interrupted', async (t) => {
  await withDisk(t, { sizeMib: 80, type: 'ext4' }, async (disk) => {
    const { h1, domainId, path, target } = await readyDisk(t, disk, 24);
    await h1.verbs.importImage({ ...target, path, format: 'raw' }, task());
    for (const format of ['qcow2', 'raw'] as const) {
      const work = task<Answer>();
      const answer = work.answer.bind(work);
      work.answer = (result) => {
        answer(result);
        execFileSync('fallocate', ['-l', '32M', `${disk.path}/other`]);
      };
      const copy = { domainId, imageId: randomUUID() };
      const conversion = h1.verbs.convertImage({ source: target, target: copy, format }, work);
      const error = await refused('NoSpace', conversion);
      assert.equal(error.data.imageId, copy.imageId);
      await unlink(`${disk.path}/other`);
      assert.equal((await h1.verbs.getImageStatus(copy, task())).status, 'interrupted');
      await h1.verbs.deleteImage(copy, task());
    }
    execFileSync('fallocate', ['-l', '36M', `${disk.path}/other`]);
    const early = { source: target, target: { domainId, imageId: randomUUID() }, format: 'qcow2' } as const;
    const error = await refused('NoSpace', h1.verbs.convertImage(early, task()));
    assert.ok(Number(error.data.needed) > Number(error.data.available));
    assert.deepEqual(await readdir(`${disk.path}/${domainId}/images`), [target.imageId]);
  });
});

/** A copy to the disk that was cut short, from an image that is elsewhere. */
async function cutShort(t: TestContext, disk: Disk, mib: number) {
  const ready = await readyDisk(t, disk, mib);
  const { h1, path, target } = ready;
  const safe = await domainOf(h1, disk.root);
  const source = { domainId: safe, imageId: randomUUID() };
  await h1.verbs.importImage({ ...source, path, format: 'raw' }, task());
  const work = task<Answer>({ onProgress: (done) => done >= 4 * mebibyte && work.cancel() });
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
  const images = `${disk.path}/${target.domainId}/images/${target.imageId}`;
  const before = (await readdir(images)).sort();
  /** Nobody holds it, and nothing has been written. */
  const untouched = async () => {
    assert.deepEqual((await readdir(images)).sort(), before);
    assert.equal((await h1.verbs.getImageStatus(target, task())).status, 'interrupted');
  };
  const goOn = (on = task<Answer>()) => h1.verbs.continueImageCopy(target, on);
  const completes = async () => {
    const { image } = await goOn();
    assert.equal(image.status, 'ok');
    assert.ok(sameContent(path, `${images}/${image.volumeId}`));
  };
  return { ...ready, source, untouched, goOn, completes };
}

test('a copy does not go on without the space that it needs, and does when there is some', async (t) => {
  await withDisk(t, { sizeMib: 64, type: 'ext4' }, async (disk) => {
    const { target, untouched, goOn, completes } = await cutShort(t, disk, 24);
    const fill = () => execFileSync('fallocate', ['-l', '34M', `${disk.path}/other`]);
    fill();
    const early = await refused('NoSpace', goOn());
    const { domainId, imageId, needed, available } = early.data;
    assert.deepEqual({ domainId, imageId }, target);
    assert.ok(
      Number(needed) > Number(available) && Number(needed) <= 20 * mebibyte,
      JSON.stringify(early.data),
    );
    await untouched();
    await unlink(`${disk.path}/other`);
    // Somebody else takes it when the copy has been accepted.
    const work = task<Answer>();
    const answer = work.answer.bind(work);
    work.answer = (result) => {
      answer(result);
      fill();
    };
    const late = await refused('NoSpace', goOn(work));
    assert.equal(work.answers.length, 1);
    assert.equal(late.data.errno, 'ENOSPC');
    await unlink(`${disk.path}/other`);
    await untouched();
    await completes();
  });
});

test('a copy does not go on in a domain that is gone, and does when it is back', async (t) => {
  await withDisk(t, { sizeMib: 64, type: 'ext4' }, async (disk) => {
    const { domainId, untouched, goOn, completes } = await cutShort(t, disk, 24);
    disk.unmount();
    const gone = await refused('DomainUnavailable', goOn());
    assert.equal(gone.data.domainId, domainId);
    assert.match(gone.message, /is it mounted\?/);
    assert.deepEqual(await readdir(disk.path), [], 'nothing is written to the bare mount point');
    disk.mount();
    await untouched();
    let harmed = false;
    const work = task<Answer>({
      onProgress: (done) => {
        if (harmed || done < 8 * mebibyte) return;
        harmed = true;
        disk.unmount('lazily');
      },
    });
    const late = await refused('DomainUnavailable', goOn(work));
    assert.ok(harmed && work.answers.length === 1);
    assert.equal(late.data.domainId, domainId);
    disk.mount();
    await completes();
  });
});

test('a copy does not go on while the domain of its source is gone', async (t) => {
  await withDisk(t, { sizeMib: 64, type: 'ext4' }, async (disk) => {
    const { h1, domainId, path } = await readyDisk(t, disk, 24);
    const source = { domainId, imageId: randomUUID() };
    await h1.verbs.importImage({ ...source, path, format: 'raw' }, task());
    const target = { domainId: await domainOf(h1, disk.root), imageId: randomUUID() };
    const work = task<Answer>({ onProgress: (done) => done >= 4 * mebibyte && work.cancel() });
    await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
    disk.unmount();
    const error = await refused('DomainUnavailable', h1.verbs.continueImageCopy(target, task()));
    assert.equal(error.data.domainId, domainId);
    assert.equal((await h1.verbs.getImageStatus(target, task())).status, 'interrupted');
    disk.mount();
    assert.equal((await h1.verbs.continueImageCopy(target, task())).image.status, 'ok');
  });
});

function sealed(text: string): string {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('_SHA_CKSUM'));
  const hash = createHash('sha1').update(lines.join(''), 'ascii').digest('hex');
  return `${[...lines, `_SHA_CKSUM=${hash}`].join('\n')}\n`;
}

test('metadata of a connected domain that is torn, garbled, foreign or newer stops all writing, until it is mended', async (t) => {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  const image = { domainId, imageId: randomUUID() };
  const create = (imageId: string) =>
    h1.verbs.createImage({ domainId, imageId, format: 'raw', capacity: mebibyte }, task());
  await create(image.imageId);
  const metadata = `${root}/${domainId}/dom_md/metadata`;
  const images = `${root}/${domainId}/images`;
  const good = await readFile(metadata, 'utf8');
  const defects: [string, RegExp, () => Promise<void>][] = [
    ['cut short', /checksum|KEY=VALUE|no |whole number/, () => truncate(metadata, 100)],
    ['empty', /believed/, () => writeFile(metadata, '')],
    ['changed', /checksum is wrong/, () => writeFile(metadata, good.replace('Regular', 'Master'))],
    [
      'noise',
      /believed/,
      () => writeFile(metadata, Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 256))),
    ],
    ['of version 6', /version 6/, () => writeFile(metadata, sealed(good.replace('VERSION=5', 'VERSION=6')))],
    ['of version 4', /version 4/, () => writeFile(metadata, sealed(good.replace('VERSION=5', 'VERSION=4')))],
    [
      "another domain's",
      /another domain/,
      () => writeFile(metadata, sealed(good.replaceAll(domainId, randomUUID()))),
    ],
    ['gone', /is it mounted/, () => unlink(metadata)],
  ];
  for (const [what, message, harm] of defects) {
    await harm();
    const domain = await h1.verbs.getStorageDomainStatus({ domainId }, task());
    assert.equal(domain.status, 'down', what);
    assert.match(domain.message ?? '', message, what);
    const other = randomUUID();
    for (const work of [
      () => create(other),
      () => h1.verbs.deleteImage(image, task()),
      () => h1.verbs.copyImage({ source: image, target: { domainId, imageId: other } }, task()),
      () => h1.verbs.checkImage(image, task()),
      () => h1.verbs.connectStorageDomain({ domainId, path: root }, task()),
    ]) {
      assert.match((await refused('DomainUnavailable', work())).message, message, what);
    }
    assert.deepEqual(await readdir(images), [image.imageId], what);
    await writeFile(metadata, good);
    assert.equal((await h1.verbs.getStorageDomainStatus({ domainId }, task())).status, 'up', what);
  }
  assert.equal((await h1.verbs.getImageStatus(image, task())).status, 'ok');
  await create(randomUUID());
});

test('a file made to use up the host is not taken in', async (t) => {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  const path = `${root}/hostile.qcow2`;
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '1G']);
  const data = await readFile(path);
  data.writeUInt32BE(28_000, 60); // snapshots, all of them read from a hole
  data.writeBigUInt64BE(2n ** 30n, 64);
  await writeFile(path, data);
  await truncate(path, 2 ** 33);
  const error = await refused(
    'InvalidImage',
    h1.verbs.importImage({ domainId, imageId: randomUUID(), path }, task()),
  );
  assert.match(String(error.data.reason), /qemu-img wrote more than is allowed/);
  assert.deepEqual(await readdir(`${root}/${domainId}/images`), []);
});
