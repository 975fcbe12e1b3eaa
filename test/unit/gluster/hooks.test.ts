/** Hooks as files, in a folder that is laid out as glusterd's. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Compile } from 'typebox/compile';
import type { ErrorName } from '../../../schemas/errors.ts';
import { HostbusError } from '../../../schemas/errors.ts';
import { addHook, type Hook, maxHookBytes, readHook } from '../../../schemas/gluster-hooks.ts';
import { hookImplementations } from '../../../src/gluster/hooks.ts';
import { idleTask } from '../../lib/idle-task.ts';

const root = mkdtempSync(join(tmpdir(), 'hostbus-hooks-'));
after(() => rmSync(root, { recursive: true }));

/** A folder `hooks/1` of its own, and the verbs on it. */
function hooksIn(name: string) {
  const directory = join(root, name);
  for (const place of ['start/post', 'start/pre', 'add-brick/post', 'add-brick/pre']) {
    mkdirSync(join(directory, place), { recursive: true });
  }
  const verbs = hookImplementations(directory);
  const call = (verb: keyof typeof verbs, params: object) =>
    Promise.resolve(
      verbs[verb](params as never, idleTask()) as { hook: Hook; content: string; encoding: string },
    );
  const list = async () => {
    const { hooks } = (await verbs['gluster.listHooks']({}, idleTask())) as { hooks: Hook[] };
    return hooks.map(({ command, stage, name: file, enabled }) => `${command}/${stage}/${file} ${enabled}`);
  };
  return { directory, post: join(directory, 'start/post'), call, list };
}

const hook = { command: 'start', stage: 'post', name: '50x.sh' };
const isError = (name: ErrorName, words?: RegExp) => (error: unknown) =>
  error instanceof HostbusError && error.name === name && (words?.test(error.message) ?? true);

test('A hook is added disabled, read, enabled, updated, disabled, removed', async () => {
  const { post, call, list } = hooksIn('life');
  const content = '#!/bin/sh\necho ü\n';
  const added = await call('gluster.addHook', { ...hook, content });
  assert.deepEqual(readdirSync(post), ['K50x.sh']);
  assert.equal(statSync(join(post, 'K50x.sh')).mode & 0o777, 0o755);
  assert.equal(added.hook.checksum, createHash('sha256').update(content).digest('hex'));
  assert.equal(added.hook.size, Buffer.byteLength(content));
  assert.deepEqual(
    await call('gluster.readHook', hook).then((read) => [read.content, read.encoding, read.hook.enabled]),
    [content, 'utf8', false],
  );
  for (const _twice of [1, 2]) {
    assert.equal((await call('gluster.enableHook', hook)).hook.enabled, true);
    assert.deepEqual(readdirSync(post), ['S50x.sh']);
  }
  await call('gluster.updateHook', { ...hook, content: 'exit 0\n' });
  assert.deepEqual(readdirSync(post), ['S50x.sh']);
  assert.equal(readFileSync(join(post, 'S50x.sh'), 'utf8'), 'exit 0\n');
  for (const _twice of [1, 2]) await call('gluster.disableHook', hook);
  assert.deepEqual(await list(), ['start/post/50x.sh false']);
  await call('gluster.removeHook', hook);
  assert.deepEqual(readdirSync(post), []);
});

test('Bytes that are no text go in base64, both ways', async () => {
  const { call, post } = hooksIn('bytes');
  const bytes = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff, 0x00]);
  const params = { ...hook, content: bytes.toString('base64'), encoding: 'base64', enabled: true };
  await call('gluster.addHook', params);
  assert.deepEqual(readFileSync(join(post, 'S50x.sh')), bytes);
  const read = await call('gluster.readHook', hook);
  assert.deepEqual([read.content, read.encoding], [bytes.toString('base64'), 'base64']);
  await assert.rejects(
    call('gluster.updateHook', { ...hook, content: 'not!base64', encoding: 'base64' }),
    isError('InvalidParams'),
  );
});

test('What is there already is never overwritten', async () => {
  const { call, post } = hooksIn('exists');
  await call('gluster.addHook', { ...hook, content: 'old' });
  const again = { ...hook, content: 'new', enabled: true };
  await assert.rejects(call('gluster.addHook', again), isError('HookExists'));
  assert.deepEqual(readdirSync(post), ['K50x.sh']);
  writeFileSync(join(post, 'S50x.sh'), 'another');
  await assert.rejects(call('gluster.disableHook', hook), isError('HookExists'));
  assert.equal(readFileSync(join(post, 'K50x.sh'), 'utf8'), 'old');
  assert.equal(readFileSync(join(post, 'S50x.sh'), 'utf8'), 'another');
});

test('What is missing is told: the hook, or the folder', async () => {
  const { call } = hooksIn('missing');
  for (const verb of ['readHook', 'enableHook', 'disableHook', 'removeHook'] as const) {
    await assert.rejects(call(`gluster.${verb}`, hook), isError('HookNotFound', /listHooks/));
  }
  await assert.rejects(call('gluster.updateHook', { ...hook, content: 'x' }), isError('HookNotFound'));
  const unknown = { ...hook, command: 'nosuch', content: 'x' };
  await assert.rejects(call('gluster.addHook', unknown), isError('InvalidParams', /add-brick, start/));
  const nowhere = hookImplementations(join(root, 'nowhere'));
  const listed = async () => nowhere['gluster.listHooks']({}, idleTask());
  await assert.rejects(listed(), isError('GlusterUnavailable'));
});

test('A daemon that died between two steps leaves nothing that is run by mistake, and nothing that stays', async () => {
  const { call, post, list } = hooksIn('crash');
  await call('gluster.addHook', { ...hook, content: 'right' });
  // Killed while writing, and killed between the two names.
  writeFileSync(join(post, '.hostbus-new'), 'half');
  linkSync(join(post, 'K50x.sh'), join(post, 'S50x.sh'));
  assert.deepEqual(await list(), ['start/post/50x.sh true']);
  await call('gluster.disableHook', hook);
  await call('gluster.updateHook', { ...hook, content: 'righter' });
  assert.deepEqual(readdirSync(post), ['K50x.sh']);
});

test('Lists in order, with links, without what glusterd does not run', async () => {
  const { directory, call, list } = hooksIn('list');
  writeFileSync(join(directory, 'start/pre/S2'), '');
  writeFileSync(join(directory, 'start/pre/K1'), '');
  writeFileSync(join(directory, 'start/pre/README'), '');
  writeFileSync(join(directory, 'add-brick/post/disabled-x.sh'), '');
  writeFileSync(join(directory, 'add-brick/post/S9'), Buffer.alloc(maxHookBytes + 1));
  symlinkSync(join(directory, 'start/pre/K1'), join(directory, 'start/post/S3'));
  symlinkSync('/nonexistent', join(directory, 'start/post/S4'));
  mkdirSync(join(directory, 'start/post/S5'));
  assert.deepEqual(await list(), [
    'add-brick/post/9 true',
    'start/pre/1 false',
    'start/pre/2 true',
    'start/post/3 true',
  ]);
  const large = { command: 'add-brick', stage: 'post', name: '9' };
  await assert.rejects(call('gluster.readHook', large), isError('GlusterError', /too large/));
  await assert.rejects(
    call('gluster.updateHook', { ...large, content: 'x'.repeat(maxHookBytes + 1) }),
    isError('InvalidParams'),
  );
  await assert.rejects(
    call('gluster.readHook', { ...hook, name: '5' }),
    isError('GlusterError', /no regular file/),
  );
});

test('No name leads out of the folder', () => {
  const accepts = Compile(readHook.params);
  const params = { command: 'start', stage: 'post', name: '50x.sh' };
  assert.ok(accepts.Check(params));
  for (const name of ['../x', 'a/b', '.', '..', '.x', '', 'a\0b', 'a b', 'a\n']) {
    assert.ok(!accepts.Check({ ...params, name }), JSON.stringify(name));
    assert.ok(!accepts.Check({ ...params, command: name }), JSON.stringify(name));
  }
  assert.ok(!accepts.Check({ ...params, stage: 'post/../..' }));
  assert.equal(addHook.access, 'admin');
  assert.ok(!existsSync(join(root, 'x')));
});
