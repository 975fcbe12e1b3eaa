/** A daemon that is killed while it writes an image goes on with it by itself: in a task of its own, which everybody can see. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPrivateBroker } from '../../rabbitmq/private-broker.ts';
import { startDaemon } from '../lib/daemon.ts';
import { until } from '../lib/until.ts';
import { sparseFile } from '../unit/storage/world.ts';
import { RawClient } from './protocol/raw-client.ts';

interface ImageState {
  status: string;
  format: string;
}

test('What goes on by itself is a task with events of its own, and without a user.', async (t) => {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'hostbus-auto-')));
  t.after(() => rm(root, { recursive: true }));
  const broker = await startPrivateBroker();
  t.after(() => broker.stop());
  const client = await RawClient.connect(broker.url);
  t.after(() => client.close());
  const domainId = randomUUID();
  await mkdir(`${root}/storage`);
  await sparseFile(`${root}/disk`, 256, [[0, 192]]);
  const domain = `[[storage.domains]]\nid = "${domainId}"\npath = "${root}/storage"\ncontinue_copies = "auto"\n`;
  await writeFile(`${root}/h1.toml`, `[storage]\nroots = ["${root}"]\n${domain}`);
  const start = async () => {
    const args = ['--config', `${root}/h1.toml`];
    const daemon = await startDaemon({ hostId: 'h1', brokerUrl: broker.url, args });
    t.after(() => daemon.kill());
    return daemon;
  };
  const first = await start();
  await client.result('h1', 'createStorageDomain', { domainId, path: `${root}/storage` });
  const source = { domainId, imageId: randomUUID() };
  const imported = await client.tap('h1.task.succeeded.import');
  await client.result('h1', 'importImage', { ...source, path: `${root}/disk`, format: 'raw' }, 'import');
  await until('the source is there', () => imported.seen.length > 0);

  const target = { domainId, imageId: randomUUID() };
  const started = await client.tap('h1.task.started.*');
  // A conversion: no file system can do it in no time.
  const params = { source, target, format: 'qcow2' };
  const userId = decodeURIComponent(new URL(broker.url).username);
  const { error } = await client.rpc('h1', 'convertImage', params, 'asked', { userId });
  assert.equal(error, undefined, JSON.stringify(error));
  await first.kill();
  await until('the start was told', () => started.namesOf('asked').length > 0);
  const [asked] = started.seen;
  assert.equal(asked?.body.data.user, userId);

  const ended = await client.tap('h1.task.succeeded.*');
  await start();
  await until('it went on', () => ended.seen.length > 0);
  const own = started.seen.filter(({ body }) => body.data.method === 'continueImageCopy');
  assert.equal(own.length, 1, JSON.stringify(started.seen.map(({ body }) => body.data)));
  const body = own[0]?.body;
  assert.ok(body !== undefined);
  const { subject: taskId, data } = body;
  assert.notEqual(taskId, 'asked', 'an ID of its own');
  assert.deepEqual(data.subject, { kind: 'image', id: `${domainId}/${target.imageId}` });
  assert.ok(!('user' in data) && !('flowId' in data), JSON.stringify(data));
  assert.equal(ended.seen[0]?.body.subject, taskId);
  const state = await client.result<ImageState>('h1', 'getImageStatus', target);
  assert.deepEqual([state.status, state.format], ['ok', 'qcow2']);
});
