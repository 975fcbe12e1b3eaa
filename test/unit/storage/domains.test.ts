import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { type TestContext, test } from 'node:test';
import { domainOf, host, refused, scratch, task, until } from './world.ts';

const statuses = ({ storage }: ReturnType<typeof host>) =>
  storage.domains().map(({ domainId, status }) => [domainId, status]);

async function readyDomain(t: TestContext) {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = await domainOf(h1, root);
  return { root, h1, domainId, directory: `${root}/${domainId}` };
}

test('a new domain is on disk as oVirt has it, connected, and up', async (t) => {
  const root = await scratch(t);
  const h1 = host(t, root);
  const domainId = randomUUID();
  const domain = await h1.verbs.createStorageDomain({ domainId, path: root, name: 'Büro' }, task());
  assert.equal(domain.status, 'up');
  assert.equal(domain.name, 'Büro');
  assert.equal(domain.path, root);
  assert.ok(domain.capacity > domain.available && domain.available > 0 && domain.readDelay >= 0);
  assert.deepEqual((await readdir(`${root}/${domainId}`)).sort(), ['dom_md', 'images']);
  assert.deepEqual(await readdir(`${root}/${domainId}/dom_md`), [
    'ids',
    'inbox',
    'leases',
    'metadata',
    'outbox',
  ]);
  assert.match(await readFile(`${root}/${domainId}/dom_md/metadata`, 'utf8'), /^DESCRIPTION=Büro$/m);
  assert.deepEqual(await readdir(root), [domainId]);
  assert.deepEqual(h1.events(), ['domain.up']);
  assert.deepEqual(statuses(h1), [[domainId, 'up']]);
  assert.deepEqual(
    (await h1.verbs.listStorageDomains({}, task())).domains.map((d) => d.domainId),
    [domainId],
  );
});

test('a domain that exists is not made again, connected or not', async (t) => {
  const { root, h1, domainId } = await readyDomain(t);
  await refused('DomainExists', h1.verbs.createStorageDomain({ domainId, path: root }, task()));
  const h2 = host(t, root, { hostId: 'h2' });
  await refused('DomainExists', h2.verbs.createStorageDomain({ domainId, path: root }, task()));
});

test('of two hosts that make the same domain at once, one succeeds', async (t) => {
  const root = await scratch(t);
  const domainId = randomUUID();
  const hosts = ['h1', 'h2', 'h3'].map((hostId) => host(t, root, { hostId }));
  const made = await Promise.allSettled(
    hosts.map(async (one) => one.verbs.createStorageDomain({ domainId, path: root }, task())),
  );
  assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.deepEqual(await readdir(root), [domainId]);
});

test('what a creation that was cut short left is removed when it is tried again', async (t) => {
  const root = await scratch(t);
  const domainId = randomUUID();
  await mkdir(`${root}/_new_${domainId}.h1.boot-0/dom_md`, { recursive: true });
  await mkdir(`${root}/_new_${domainId}.h2.boot-0/dom_md`, { recursive: true });
  const h1 = host(t, root);
  await h1.verbs.createStorageDomain({ domainId, path: root }, task());
  assert.deepEqual((await readdir(root)).sort(), [domainId, `_new_${domainId}.h2.boot-0`].sort());
});

test('no path leads out of the roots', async (t) => {
  const outer = await scratch(t);
  await mkdir(`${outer}/root`);
  await mkdir(`${outer}/root2`);
  await symlink(outer, `${outer}/root/link`);
  await writeFile(`${outer}/root/file`, '');
  const h1 = host(t, outer, { roots: [`${outer}/root`, `${outer}/not-mounted`] });
  const domainId = randomUUID();
  for (const path of [
    outer,
    '/',
    `${outer}/root2`,
    `${outer}/root/..`,
    `${outer}/root/link`,
    `${outer}/root/link/root2`,
    `${outer}/root/file`,
    `${outer}/root/missing`,
    `${outer}/not-mounted`,
    'root',
  ]) {
    const error = await refused('InvalidPath', h1.verbs.createStorageDomain({ domainId, path }, task()));
    assert.equal(error.data.path, path);
  }
  assert.deepEqual(await readdir(`${outer}/root`), ['file', 'link']);
});

test('a domain directory that is a symbolic link out of the roots is not connected', async (t) => {
  const outer = await scratch(t);
  await mkdir(`${outer}/root`);
  const all = host(t, outer);
  const domainId = await domainOf(all, outer);
  await symlink(`${outer}/${domainId}`, `${outer}/root/${domainId}`);
  const h1 = host(t, outer, { roots: [`${outer}/root`] });
  await refused('InvalidPath', h1.verbs.connectStorageDomain({ domainId, path: `${outer}/root` }, task()));
});

test('connecting twice is once, by whatever name of the path; another path is refused', async (t) => {
  const { root, h1, domainId } = await readyDomain(t);
  await symlink(root, `${root}/same`);
  await mkdir(`${root}/other/${domainId}`, { recursive: true });
  const [a, b, c] = await Promise.all(
    [root, root, `${root}/same`].map(async (path) =>
      h1.verbs.connectStorageDomain({ domainId, path }, task()),
    ),
  );
  assert.ok(a?.path === root && b?.path === root && c?.path === root);
  const path = `${root}/other`;
  const error = await refused('DomainExists', h1.verbs.connectStorageDomain({ domainId, path }, task()));
  assert.equal(error.data.path, root);
  assert.deepEqual(h1.events(), ['domain.up']);
});

test('a domain that is not there, or not believable, is told apart', async (t) => {
  const { root, directory, domainId } = await readyDomain(t);
  const h2 = host(t, root, { hostId: 'h2' });
  const connect = () => h2.verbs.connectStorageDomain({ domainId, path: root }, task());
  await refused('DomainNotFound', h2.verbs.getStorageDomainStatus({ domainId }, task()));
  await refused(
    'DomainNotFound',
    h2.verbs.connectStorageDomain({ domainId: randomUUID(), path: root }, task()),
  );
  const metadata = `${directory}/dom_md/metadata`;
  const good = await readFile(metadata, 'utf8');
  for (const bad of [
    good.replace('Regular', 'Master'),
    good.slice(0, 90),
    '',
    good.replace('VERSION=5', 'VERSION=6'),
  ]) {
    await writeFile(metadata, bad);
    const error = await refused('DomainUnavailable', connect());
    assert.match(error.message, /metadata cannot be believed/);
  }
  await unlink(metadata);
  await refused('DomainUnavailable', connect());
  await writeFile(metadata, good.replace(/^_SHA_CKSUM.*\n/m, ''));
  const domain = await connect();
  assert.equal(domain.status, 'degraded');
  assert.match(domain.message ?? '', /no checksum/);
});

test('the metadata of another domain is not taken for this one', async (t) => {
  const { root, directory } = await readyDomain(t);
  const domainId = randomUUID();
  await rename(directory, `${root}/${domainId}`);
  const h2 = host(t, root);
  const error = await refused(
    'DomainUnavailable',
    h2.verbs.connectStorageDomain({ domainId, path: root }, task()),
  );
  assert.match(error.message, /another domain/);
});

test('a domain whose directory is gone is down, and up again when it is back', async (t) => {
  const { root, h1, domainId, directory } = await readyDomain(t);
  await rename(directory, `${root}/away`);
  const down = await h1.verbs.getStorageDomainStatus({ domainId }, task());
  assert.equal(down.status, 'down');
  assert.match(down.message ?? '', /gone/);
  const imageId = randomUUID();
  const error = await refused('DomainUnavailable', h1.verbs.getImageStatus({ domainId, imageId }, task()));
  assert.doesNotMatch(JSON.stringify(error), /src\/storage|at async/);
  await refused('DomainUnavailable', h1.verbs.listImages({ domainId }, task()));
  await refused(
    'DomainUnavailable',
    h1.verbs.createImage({ domainId, imageId, format: 'raw', capacity: 512 }, task()),
  );
  await rename(`${root}/away`, directory);
  assert.equal((await h1.verbs.getStorageDomainStatus({ domainId }, task())).message, undefined);
  assert.deepEqual(h1.events(), ['domain.up', 'domain.down', 'domain.up']);
});

test('a file system that does not answer makes the domain down, and hangs no call', async (t) => {
  const root = await scratch(t);
  const h1 = host(t, root, { tuning: { lookLimitMs: 100 } });
  const domainId = await domainOf(h1, root);
  const metadata = `${root}/${domainId}/dom_md/metadata`;
  const good = await readFile(metadata, 'utf8');
  // Opening a FIFO that nobody writes hangs in the kernel, as a dead file server does.
  await unlink(metadata);
  execFileSync('mkfifo', [metadata]);
  for (let looks = 0; looks < 8; looks++) {
    const { message } = await h1.verbs.getStorageDomainStatus({ domainId }, task());
    assert.match(message ?? '', /has not answered since/);
  }
  const imageId = randomUUID();
  await refused('DomainUnavailable', h1.verbs.getImageStatus({ domainId, imageId }, task()));
  const writer = await open(metadata, 'w');
  await writer.writeFile(good);
  await writer.close();
  await rm(metadata);
  await writeFile(metadata, good);
  await until('the domain is up', async () => {
    return (await h1.verbs.getStorageDomainStatus({ domainId }, task())).status === 'up';
  });
  assert.deepEqual(h1.events(), ['domain.up', 'domain.down', 'domain.up']);
});

test('disconnecting forgets a domain and changes nothing in it', async (t) => {
  const { root, h1, domainId } = await readyDomain(t);
  assert.equal((await h1.verbs.disconnectStorageDomain({ domainId }, task())).domainId, domainId);
  await refused('DomainNotFound', h1.verbs.disconnectStorageDomain({ domainId }, task()));
  assert.deepEqual(h1.storage.domains(), []);
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
});

test('a configured domain that is not there is down, and connected as soon as it is', async (t) => {
  const root = await scratch(t);
  const maker = host(t, root, { hostId: 'h2' });
  const domainId = await domainOf(maker, root);
  await rename(`${root}/${domainId}`, `${root}/away`);
  const h1 = host(t, root, { tuning: { retryMinMs: 10 } });
  await h1.storage.connectConfigured([{ id: domainId, path: root, continueCopies: 'manual' }]);
  assert.deepEqual(statuses(h1), [[domainId, 'down']]);
  const imageId = randomUUID();
  const error = await refused('DomainUnavailable', h1.verbs.getImageStatus({ domainId, imageId }, task()));
  assert.match(error.message, /holds no storage domain/);
  await rename(`${root}/away`, `${root}/${domainId}`);
  await until('the domain is up', () => h1.storage.domains()[0]?.status === 'up');
  assert.deepEqual(h1.events(), ['domain.down', 'domain.up']);
});

test('connecting finishes deletions, and removes what earlier boots of this host did not finish making', async (t) => {
  const { root, h1, domainId, directory } = await readyDomain(t);
  const images = `${directory}/images`;
  const id = randomUUID();
  const names = [`_remove_me_${id}`, `_new_${id}.h1.boot-0`, `_new_${id}.h1.boot-1`, `_new_${id}.h2.boot-0`];
  for (const name of names) {
    await mkdir(`${images}/${name}`);
    await writeFile(`${images}/${name}/${id}`, 'data');
  }
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
  assert.deepEqual((await readdir(images)).sort(), [`_new_${id}.h1.boot-1`, `_new_${id}.h2.boot-0`]);
});

test('removing never follows a symbolic link', async (t) => {
  const { root, h1, domainId, directory } = await readyDomain(t);
  await mkdir(`${root}/precious`);
  await writeFile(`${root}/precious/file`, 'x');
  const id = randomUUID();
  await symlink(`${root}/precious`, `${directory}/images/_remove_me_${id}`);
  await mkdir(`${directory}/images/_remove_me_${randomUUID()}`);
  await h1.verbs.connectStorageDomain({ domainId, path: root }, task());
  assert.deepEqual(await readdir(`${directory}/images`), []);
  assert.deepEqual(await readdir(`${root}/precious`), ['file']);
});
