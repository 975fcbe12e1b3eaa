/** A daemon some of whose storage hangs: all the rest goes on as if nothing were the matter. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { after, before, type TestContext, test } from 'node:test';
import { type PrivateBroker, startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { type Client, connect, type Host, HostbusError } from '../../src/client/client.ts';
import { startDaemon, type TestDaemon } from '../lib/daemon.ts';
import { type Mirror, withMirrors } from '../lib/mirror.ts';
import { until } from '../lib/until.ts';

let broker: PrivateBroker;
let client: Client;

before(async () => {
  broker = await startPrivateBroker();
  client = await connect(broker.url);
});

after(async () => {
  await client.close();
  await broker.stop();
});

interface Scene {
  h1: Host;
  daemon: TestDaemon;
  root: string;
  mirrors: readonly Mirror[];
  /** One in each mirror. */
  hanging: readonly string[];
  /** On a file system that answers. */
  sound: string;
  /** What was told of a domain. */
  told(domainId: string): string[];
}

async function withScene(
  t: TestContext,
  mirrorCount: number,
  body: (scene: Scene) => Promise<void>,
): Promise<void> {
  await withMirrors(t, mirrorCount, async (root, mirrors) => {
    const daemon = await startDaemon({
      hostId: 'h1',
      brokerUrl: broker.url,
      env: {
        HOSTBUS_STORAGE_ROOTS: root,
        HOSTBUS_STORAGE_PROBE_INTERVAL: '0.3',
        HOSTBUS_STORAGE_PROBE_TIMEOUT: '2',
      },
    });
    const happenings: [string, string][] = [];
    const events = client.events({ host: 'h1', kind: 'domain' });
    const listening = (async () => {
      for await (const { id, event } of events) happenings.push([id, event]);
    })();
    try {
      await events.ready;
      const h1 = client.host('h1');
      await mkdir(`${root}/sound`);
      const made = [];
      for (const path of [`${root}/sound`, ...mirrors.map((mirror) => mirror.path)]) {
        made.push((await h1.call('createStorageDomain', { domainId: randomUUID(), path })).domainId);
      }
      const [sound = '', ...hanging] = made;
      const told = (domainId: string) =>
        happenings.filter(([id]) => id === domainId).map(([, event]) => event);
      await body({ h1, daemon, root, mirrors, hanging, sound, told });
    } finally {
      await daemon.kill();
      await events.close();
      await listening;
    }
  });
}

async function refusal(call: Promise<unknown>): Promise<HostbusError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof HostbusError, `not refused: ${String(error)}`);
  assert.equal(error.name, 'DomainUnavailable');
  return error;
}

/** An image in a mirror of so much data: a mirror knows no holes. */
async function bigImage({ h1, root }: Scene, domainId: string, mebibytes: number) {
  const path = `${root}/big`;
  await writeFile(path, '');
  await truncate(path, mebibytes * 1024 * 1024);
  const image = { domainId, imageId: randomUUID() };
  const { taskId } = await h1.call('importImage', { ...image, path, format: 'raw' });
  assert.equal((await h1.task(taskId).wait()).state, 'succeeded');
  return image;
}

/** All that a domain is good for. */
async function works(h1: Host, domainId: string): Promise<void> {
  const image = { domainId, imageId: randomUUID() };
  await h1.call('createImage', { ...image, format: 'raw', capacity: 1024 * 1024 });
  assert.equal((await h1.call('getImageStatus', image)).status, 'ok');
  const target = { domainId, imageId: randomUUID() };
  const { taskId } = await h1.call('copyImage', { source: image, target });
  assert.equal((await h1.task(taskId).wait()).state, 'succeeded');
  assert.ok((await h1.call('listImages', { domainId })).images.length >= 2);
  for (const made of [image, target]) await h1.call('deleteImage', made);
}

test('three domains hang under full lanes: their verbs are refused, their tasks wait, and nothing else notices', async (t) => {
  await withScene(t, 3, async (scene) => {
    const { h1, mirrors, hanging, sound, told } = scene;
    const [first = ''] = hanging;
    const source = await bigImage(scene, first, 256);
    const copies = await Promise.all(
      // As many as the lane of the domain that they copy into holds.
      Array.from({ length: 4 }, () =>
        h1.call('copyImage', { source, target: { domainId: sound, imageId: randomUUID() } }),
      ),
    );
    for (const mirror of mirrors) mirror.hang();
    // More than the lanes hold, before anybody knows.
    const calls = hanging.flatMap((domainId) =>
      Array.from({ length: 30 }, () => [
        refusal(h1.call('getImageStatus', { domainId, imageId: source.imageId })),
        refusal(h1.call('listImages', { domainId })),
        refusal(h1.call('createImage', { domainId, imageId: randomUUID(), format: 'raw', capacity: 512 })),
        refusal(h1.call('deleteImage', { domainId, imageId: source.imageId })),
      ]).flat(),
    );
    for (const { message } of await Promise.all(calls)) assert.match(message, /has not answered since 20/);
    for (const domainId of hanging) await until('down is told', () => told(domainId).at(-1) === 'down');
    // The copies' lane is full of copies that hang.
    await works(h1, sound);
    for (const { taskId } of copies) {
      const { state, progress } = await h1.task(taskId).status();
      assert.equal(state, 'running');
      assert.ok(progress !== undefined && progress.done < progress.total);
    }
    const { domains } = await h1.call('listStorageDomains', {});
    assert.equal(domains.filter(({ status }) => status === 'down').length, 3);
    assert.equal((await h1.call('getStorageDomainStatus', { domainId: first })).status, 'down');
    const { domains: briefly } = await h1.call('getHostInfo', {});
    assert.deepEqual(briefly.find(({ domainId }) => domainId === sound)?.status, 'up');
    // It would be in use by tasks that nobody could explain.
    const busy = h1.call('disconnectStorageDomain', { domainId: first });
    await assert.rejects(busy, { name: 'ImageBusy' });

    for (const mirror of mirrors) mirror.goOn();
    for (const domainId of hanging) await until('up is told', () => told(domainId).at(-1) === 'up');
    for (const { taskId } of copies) assert.equal((await h1.task(taskId).wait()).state, 'succeeded');
    await works(h1, first);
    for (const domainId of hanging) assert.deepEqual(told(domainId), ['up', 'down', 'up']);
    assert.deepEqual(told(sound), ['up']);
  });
});

test('a copy into a domain that hangs ends clearly when its file server is gone for good', async (t) => {
  await withScene(t, 1, async (scene) => {
    const { h1, mirrors, hanging, told } = scene;
    const [domainId = ''] = hanging;
    const source = await bigImage(scene, domainId, 256);
    const target = { domainId, imageId: randomUUID() };
    const { taskId } = await h1.call('copyImage', { source, target });
    for (const mirror of mirrors) mirror.hang();
    await until('down is told', () => told(domainId).at(-1) === 'down');
    assert.equal((await h1.task(taskId).status()).state, 'running');
    for (const mirror of mirrors) await mirror.die();
    const { state, error } = await h1.task(taskId).wait({ timeout: 20_000 });
    assert.equal(state, 'failed');
    assert.match(error?.message ?? '', /ENOTCONN|ECONNABORTED|EIO/);
  });
});

test('SIGTERM ends a daemon whose storage hangs', async (t) => {
  await withScene(t, 2, async (scene) => {
    const { h1, daemon, mirrors, hanging, sound, told } = scene;
    const [domainId = ''] = hanging;
    const source = await bigImage(scene, domainId, 256);
    const target = { domainId: sound, imageId: randomUUID() };
    await h1.call('copyImage', { source, target });
    for (const mirror of mirrors) mirror.hang();
    await until('down is told', () => told(domainId).at(-1) === 'down');
    daemon.process.kill('SIGTERM');
    // A thread whose request the file server had taken before it was stopped is held in the kernel, and with it what is left of the process.
    await until('it has ended', async () => {
      const state = await readFile(`/proc/${daemon.pid}/stat`, 'utf8').catch(() => '');
      return state === '' || / Z /.test(state);
    });
    for (const mirror of mirrors) mirror.goOn();
    assert.equal((await daemon.exited).code, 0);
  });
});
