/** What is on disk, read by rules that were written from the format alone. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ImageStatus } from '../../../schemas/image.ts';
import { domainOf, fillImage, host, refused, scratch, sparseFile, task } from './world.ts';

const mebibyte = 1024 * 1024;
const reader = fileURLToPath(new URL('./format-reader.py', import.meta.url));
type Answer = { image: ImageStatus; taskId: string };

interface Found {
  domains: {
    domainId: string;
    name: string;
    remotePath: string;
    others: string[];
    images: Record<string, unknown>[];
  }[];
}

function readBy(directory: string): { found?: Found; complaint: string } {
  const { status, stdout, stderr, error } = spawnSync('/usr/bin/python3', [reader, directory], {
    encoding: 'utf8',
  });
  assert.equal(error, undefined);
  return status === 0 ? { found: JSON.parse(stdout) as Found, complaint: '' } : { complaint: stderr };
}

test('a domain with images of all kinds is read as its own verbs tell it', async (t) => {
  const root = await scratch(t);
  const disks = `${root}/disks`;
  await mkdir(disks);
  const h1 = host(t, root, { tuning: { chunkBytes: mebibyte, bestMethod: 'kernel' } });
  const domainId = randomUUID();
  const name = 'Büro – 事務所 🗄 = 50%';
  await h1.verbs.createStorageDomain({ domainId, path: disks, name }, task());
  const fresh = () => ({ domainId, imageId: randomUUID() });
  const create = { capacity: 8 * mebibyte } as const;
  const raw = await h1.verbs.createImage({ ...fresh(), ...create, format: 'raw' }, task());
  await fillImage(disks, domainId, raw.imageId, raw.volumeId, 8);
  await h1.verbs.createImage({ ...fresh(), ...create, format: 'qcow2' }, task());
  await h1.verbs.createImage({ ...fresh(), ...create, format: 'raw', allocation: 'preallocated' }, task());
  await h1.verbs.createImage({ ...fresh(), ...create, format: 'qcow2', allocation: 'preallocated' }, task());
  await sparseFile(`${root}/file`, 16, [[2, 3]]);
  await writeFile(`${root}/file`, 'an odd end', { flag: 'a' });
  const imported = fresh();
  await h1.verbs.importImage({ ...imported, path: `${root}/file`, format: 'raw' }, task());
  const source = { domainId, imageId: raw.imageId };
  await h1.verbs.copyImage({ source, target: fresh() }, task());
  await h1.verbs.convertImage({ source, target: fresh(), format: 'qcow2' }, task());
  await h1.verbs.convertImage({ source: imported, target: fresh(), format: 'raw' }, task());
  const stopped = task<Answer>({ onProgress: (done) => done > 0 && stopped.cancel() });
  await refused('Cancelled', h1.verbs.copyImage({ source, target: fresh() }, stopped));
  const continued = fresh();
  const again = task<Answer>({ onProgress: (done) => done > 0 && again.cancel() });
  await refused('Cancelled', h1.verbs.copyImage({ source, target: continued }, again));
  await h1.verbs.continueImageCopy(continued, task());
  const deleted = fresh();
  await h1.verbs.createImage({ ...deleted, ...create, format: 'raw' }, task());
  await h1.verbs.deleteImage(deleted, task());

  const { found, complaint } = readBy(disks);
  assert.equal(complaint, '');
  assert.equal(found?.domains.length, 1);
  const [domain] = found?.domains ?? [];
  const { images, ...about } = domain ?? { images: [] };
  assert.deepEqual(about, { domainId, name, remotePath: disks, others: [] });
  const told = (await h1.verbs.listImages({ domainId }, task())).images;
  assert.equal(images.length, 10);
  assert.deepEqual(
    images,
    told.map((image) => ({
      imageId: image.imageId,
      volumeId: image.volumeId,
      status: image.status,
      format: image.format,
      capacity: image.capacity,
      allocated: image.allocated,
      generation: image.generation,
      createdAt: Date.parse(image.createdAt) / 1000,
      type: images.find(({ imageId }) => imageId === image.imageId)?.type,
      source: image.copy?.source ?? null,
    })),
  );
  assert.equal(images.filter(({ type }) => type === 'PREALLOCATED').length, 2);
  assert.deepEqual(
    images.map(({ status }) => status).filter((status) => status !== 'ok'),
    ['interrupted'],
  );
  assert.deepEqual(images.map(({ generation }) => generation).sort(), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  const nowS = Date.now() / 1000;
  assert.ok(images.every(({ createdAt }) => Number(createdAt) > nowS - 300 && Number(createdAt) <= nowS));
});

test('the independent reader refuses what is not as the format has it', async (t) => {
  const root = await scratch(t);
  const disks = `${root}/disks`;
  await mkdir(disks);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, disks);
  const ref = { domainId, imageId: randomUUID() };
  const { volumeId } = await h1.verbs.createImage({ ...ref, format: 'raw', capacity: mebibyte }, task());
  assert.equal(readBy(disks).complaint, '');
  const meta = `${disks}/${domainId}/images/${ref.imageId}/${volumeId}.meta`;
  const metadata = `${disks}/${domainId}/dom_md/metadata`;
  for (const [file, from, to, complaint] of [
    [metadata, 'Regular', 'Master', /checksum/],
    [metadata, '\nVERSION', '\nVERSION=5\nVERSION', /checksum/],
    [meta, 'EOF\n', '', /ends with EOF/],
    [meta, 'CAP=1048576', 'CAP=1048575', /bounds/],
    [meta, '=LEGAL', '=ILLEGAL', /record of its copy/],
  ] as const) {
    const good = await readFile(file, 'utf8');
    await writeFile(file, good.replace(from, to));
    assert.match(readBy(disks).complaint, complaint);
    await writeFile(file, good);
  }
  await truncate(meta.replace('.meta', ''), 512);
  assert.match(readBy(disks).complaint, /as large as its capacity/);
  execFileSync('rm', [meta]);
  assert.match(readBy(disks).complaint, /one volume/);
});
