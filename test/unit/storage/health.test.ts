/** Domains that become unusable, or hang, without anybody asking; in a process with the four threads that Node has by itself. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { withMirrors } from '../../lib/mirror.ts';
import { withDisk } from './disks.ts';
import { domainOf, host, refused, type TestHost, task, until } from './world.ts';

const tuning = { probeIntervalMs: 20, lookLimitMs: 300 };

/** What was told of a domain. */
function toldOf(h1: TestHost, domainId: string): string[] {
  return h1.happenings
    .filter(({ kind, id }) => kind === 'domain' && id === domainId)
    .map(({ event }) => event);
}

/** Waits until the last thing told of a domain is this, and that it is what a list shows. */
async function tells(h1: TestHost, domainId: string, event: string, message = /^$/): Promise<void> {
  await until(`${event} is told`, () => toldOf(h1, domainId).at(-1) === event);
  const { domains } = await h1.verbs.listStorageDomains({}, task());
  const domain = domains.find((one) => one.domainId === domainId);
  assert.equal(domain?.status, event);
  assert.match(domain?.message ?? '', message);
}

test('what becomes of a file system is told, each change once, and without anybody asking', async (t) => {
  await withDisk(t, { sizeMib: 32, type: 'ext4' }, async (disk) => {
    const h1 = host(t, disk.root, { tuning });
    const domainId = await domainOf(h1, disk.path);
    execFileSync('mount', ['-o', 'remount,ro', disk.path]);
    await tells(h1, domainId, 'degraded', /its file system is read-only/);
    execFileSync('mount', ['-o', 'remount,rw', disk.path]);
    await tells(h1, domainId, 'up');
    disk.unmount();
    await tells(h1, domainId, 'down', /is it mounted/);
    await mkdir(`${disk.path}/${domainId}/images`, { recursive: true });
    await mkdir(`${disk.path}/${domainId}/dom_md`);
    const other = host(t, disk.root, { tuning });
    const foreign = `${disk.path}/${await domainOf(other, disk.path)}/dom_md/metadata`;
    await writeFile(`${disk.path}/${domainId}/dom_md/metadata`, await readFile(foreign));
    await until('another domain is found in its place', async () => {
      const { domains } = await h1.verbs.listStorageDomains({}, task());
      return /another domain/.test(domains[0]?.message ?? '');
    });
    disk.mount();
    await tells(h1, domainId, 'up');
    assert.deepEqual(toldOf(h1, domainId), ['up', 'degraded', 'up', 'down', 'up']);
    const { capacity, available, readDelay } = await h1.verbs.getStorageDomainStatus({ domainId }, task());
    assert.ok(available > 0 && available < capacity && capacity < 32 * 1024 * 1024 && readDelay > 0);
  });
});

test('a file server that is gone makes the domain down at once', async (t) => {
  await withMirrors(t, 1, async (root, [mirror]) => {
    assert.ok(mirror);
    const h1 = host(t, root, { tuning });
    const domainId = await domainOf(h1, mirror.path);
    await mirror.die();
    await tells(h1, domainId, 'down', /ENOTCONN/);
  });
});

test('domains that hang hold one thread each, however often they are looked at', async (t) => {
  assert.equal(process.env.UV_THREADPOOL_SIZE, undefined, 'four threads');
  await withMirrors(t, 3, async (root, hanging) => {
    // With one thread left, a look at the sound one may take long on a busy machine.
    const h1 = host(t, root, { tuning: { ...tuning, lookLimitMs: 2000 } });
    const [sound, ...domainIds] = await Promise.all(
      [root, ...hanging.map(({ path }) => path)].map((path) => domainOf(h1, path)),
    );
    assert.ok(sound !== undefined);
    for (const mirror of hanging) mirror.hang();
    for (const domainId of domainIds)
      await tells(h1, domainId, 'down', /has not answered since 20.*see to its file server/);
    const rounds = h1.happenings.length;
    for (let round = 0; round < 20; round++) {
      for (const domainId of domainIds) {
        const ref = { domainId, imageId: randomUUID() };
        const error = await refused('DomainUnavailable', h1.verbs.getImageStatus(ref, task()));
        assert.ok(Date.parse(String(error.data.since)) < Date.now());
        await refused('DomainUnavailable', h1.verbs.listImages({ domainId }, task()));
        await refused(
          'DomainUnavailable',
          h1.verbs.createImage({ ...ref, format: 'raw', capacity: 512 }, task()),
        );
        assert.equal((await h1.verbs.getStorageDomainStatus({ domainId }, task())).status, 'down');
      }
      const image = { domainId: sound, imageId: randomUUID() };
      await h1.verbs.createImage({ ...image, format: 'raw', capacity: 512 }, task());
      await h1.verbs.deleteImage(image, task());
    }
    assert.deepEqual(
      h1.happenings.slice(rounds).filter(({ kind }) => kind === 'domain'),
      [],
    );
    for (const mirror of hanging) mirror.goOn();
    for (const domainId of domainIds) {
      await tells(h1, domainId, 'up');
      assert.deepEqual(toldOf(h1, domainId), ['up', 'down', 'up']);
    }
  });
});

test('connecting what hangs is refused, again and again, and holds up nothing else', async (t) => {
  await withMirrors(t, 1, async (root, [mirror]) => {
    assert.ok(mirror);
    await mkdir(`${root}/sound`);
    // Each a root of its own: a path in one does not wait for the other.
    const h1 = host(t, root, { roots: [mirror.path, `${root}/sound`], tuning });
    const maker = host(t, root, { hostId: 'h2', tuning });
    await mkdir(`${mirror.path}/below`);
    const hanging = await domainOf(maker, `${mirror.path}/below`);
    mirror.hang();
    const connect = (domainId: string) =>
      h1.verbs.connectStorageDomain({ domainId, path: `${mirror.path}/below` }, task());
    await h1.storage.connectConfigured([
      { id: hanging, path: `${mirror.path}/below`, continueCopies: 'manual' },
    ]);
    for (let n = 0; n < 8; n++) {
      for (const domainId of [hanging, randomUUID()]) {
        const error = await refused('DomainUnavailable', connect(domainId));
        assert.match(error.message, /has not answered since/);
      }
      await refused(
        'DomainUnavailable',
        h1.verbs.createStorageDomain({ domainId: randomUUID(), path: `${mirror.path}/below` }, task()),
      );
      await domainOf(h1, `${root}/sound`);
    }
    mirror.goOn();
    await until('it is connected', () => toldOf(h1, hanging).at(-1) === 'up');
    assert.deepEqual(toldOf(h1, hanging), ['down', 'up']);
  });
});

test('reads that hang are given up, and the domain is used again as soon as it answers', async (t) => {
  await withMirrors(t, 1, async (root, [mirror]) => {
    assert.ok(mirror);
    // One at a time, so that one thread is all that a test process loses.
    const h1 = host(t, root, { tuning: { ...tuning, readsAtOnce: 1 } });
    const domainId = await domainOf(h1, mirror.path);
    const image = { domainId, imageId: randomUUID() };
    await h1.verbs.createImage({ ...image, format: 'raw', capacity: 512 }, task());
    mirror.hang();
    const reads = await Promise.allSettled(
      Array.from({ length: 20 }, async () => h1.verbs.getImageStatus(image, task())),
    );
    for (const read of reads) {
      assert.ok(read.status === 'rejected');
      assert.match(String(read.reason), /has not answered since/);
    }
    mirror.goOn();
    await tells(h1, domainId, 'up');
    assert.equal((await h1.verbs.getImageStatus(image, task())).status, 'ok');
    await rename(`${mirror.real}/${domainId}`, `${mirror.real}/away`);
    await tells(h1, domainId, 'down', /gone/);
  });
});

test('a domain that answers once and hangs again keeps no read waiting', async (t) => {
  await withMirrors(t, 1, async (root, [mirror]) => {
    assert.ok(mirror);
    const h1 = host(t, root, { tuning });
    const domainId = await domainOf(h1, root);
    const [metadata, images] = [`${root}/${domainId}/dom_md/metadata`, `${root}/${domainId}/images`];
    const good = await readFile(metadata);
    // What looks read and what reads read hang each for itself: a FIFO that nobody writes, and the mirror.
    execFileSync('mount', ['--bind', mirror.path, images]);
    try {
      const image = { domainId, imageId: randomUUID() };
      await h1.verbs.createImage({ ...image, format: 'raw', capacity: 512 }, task());
      await unlink(metadata);
      execFileSync('mkfifo', [metadata]);
      await tells(h1, domainId, 'down', /has not answered since/);
      await writeFile(metadata, good);
      // That look is over, and the next one under way: until that is late, too, reads begin.
      const read = async () => h1.verbs.getImageStatus(image, task());
      await until('reads begin', () =>
        read().then(
          () => true,
          () => false,
        ),
      );
      mirror.hang();
      await refused('DomainUnavailable', read());
      mirror.goOn();
    } finally {
      execFileSync('umount', ['-l', images]);
    }
    await rename(metadata, `${metadata}.fifo`);
    await writeFile(metadata, good);
    await writeFile(`${metadata}.fifo`, good);
    await tells(h1, domainId, 'up');
  });
});
