/** Copies that go on by themselves after a start of the daemon. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { HostbusError } from '../../../schemas/errors.ts';
import { endProcess } from '../../lib/copying-process.ts';
import {
  type Answer,
  assertComplete,
  copyingProcess,
  interruptedCopy,
  mebibyte,
  quick,
  readyWorld,
} from './copy-world.ts';
import { host, refused, type TestHost, task, until } from './world.ts';

test('copies that an earlier boot held go on by themselves where that is configured, cancelled ones do not', async (t) => {
  const world = await readyWorld(t);
  const { root, domainId, source } = world;
  const cancelled = await interruptedCopy(
    { ...world, target: { domainId, imageId: randomUUID() } },
    mebibyte,
  );
  const child = await copyingProcess(t, world);
  await endProcess(child);
  const start = (bootId: string, continueCopies: 'auto' | 'manual') => {
    const started: string[] = [];
    let refusals = 1;
    const h1: TestHost = host(t, root, {
      bootId,
      tuning: { ...quick, retryMinMs: 20 },
      startTask: async (verb, ref) => {
        assert.equal(verb, 'continueImageCopy');
        started.push(ref.imageId);
        if (refusals-- > 0) throw new HostbusError('ImageBusy', 'As if somebody held it');
        return h1.verbs.continueImageCopy(ref, task());
      },
    });
    const domains = [{ id: domainId, path: root, continueCopies }];
    return { h1, started, connected: h1.storage.connectConfigured(domains) };
  };
  // This boot releases the holder, and ends before anything goes on.
  const second = start('boot-2', 'manual');
  await second.connected;
  assert.equal((await world.statusOn(second.h1)).status, 'interrupted');
  const { h1, started, connected } = start('boot-3', 'auto');
  await connected;
  await until('it is complete', async () => (await world.statusOn(h1)).status === 'ok');
  await assertComplete(world, await world.statusOn(h1));
  const { imageId } = world.target;
  assert.deepEqual(started, [imageId, imageId]);
  assert.deepEqual(second.started, []);
  const left = await h1.verbs.getImageStatus({ domainId, imageId: cancelled.imageId }, task());
  assert.equal(left.status, 'interrupted');
  assert.equal((await h1.verbs.getImageStatus(source, task())).status, 'ok');
});

test('what the end of the daemon cut short goes on after its next start', async (t) => {
  const world = await readyWorld(t);
  const { h1, root, domainId, source, target } = world;
  const work = task<Answer>({
    onProgress: (done) => {
      if (done < 2 * mebibyte) return;
      h1.storage.stopping();
      work.cancel();
    },
  });
  await refused('Cancelled', h1.verbs.copyImage({ source, target }, work));
  const next: TestHost = host(t, root, {
    bootId: 'boot-2',
    startTask: async (_verb, ref) => next.verbs.continueImageCopy(ref, task()),
  });
  await next.storage.connectConfigured([{ id: domainId, path: root, continueCopies: 'auto' }]);
  await until('it is complete', async () => (await world.statusOn(next)).status === 'ok');
});
