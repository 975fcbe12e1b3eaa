import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { linkNewFile, removeTree, replaceFile, writeNewFile } from '../../../src/lib/atomic-file.ts';

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hostbus-file-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

test('a new file is not made twice', async (t) => {
  const directory = await scratch(t);
  await writeNewFile(`${directory}/a`, 'one');
  await assert.rejects(writeNewFile(`${directory}/a`, 'two'), { code: 'EEXIST' });
  assert.equal(await readFile(`${directory}/a`, 'utf8'), 'one');
});

test('readers of a file that is replaced see the old or the new content, never a part', async (t) => {
  const directory = await scratch(t);
  const path = `${directory}/a`;
  const content = (letter: string) => letter.repeat(50_000);
  await writeNewFile(path, content('a'));
  let running = true;
  const writing = (async () => {
    for (const letter of 'bcdefghijklmnopqrst')
      await replaceFile(path, content(letter), 'w', { flushDirectory: true });
    running = false;
  })();
  while (running) {
    const text = await readFile(path, 'utf8');
    assert.equal(text, content(text[0] ?? ''));
  }
  await writing;
  assert.deepEqual(await readdir(directory), ['a']);
});

test('a replacement that fails leaves nothing', async (t) => {
  const directory = await scratch(t);
  await mkdir(`${directory}/a`);
  await assert.rejects(replaceFile(`${directory}/a`, 'x', 'w'));
  assert.deepEqual(await readdir(directory), ['a']);
});

test('of many who make the same file, one succeeds', async (t) => {
  const directory = await scratch(t);
  const tries = Array.from({ length: 20 }, (_, n) => linkNewFile(`${directory}/a`, String(n), `t${n}`));
  const results = await Promise.allSettled(tries);
  assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
  const winner = results.findIndex(({ status }) => status === 'fulfilled');
  assert.equal(await readFile(`${directory}/a`, 'utf8'), String(winner));
  assert.deepEqual(await readdir(directory), ['a']);
});

test('removing a tree follows no link, bears others who remove it too, and is no error twice', async (t) => {
  const directory = await scratch(t);
  await mkdir(`${directory}/precious`);
  await writeFile(`${directory}/precious/x`, '');
  await mkdir(`${directory}/tree/a/b`, { recursive: true });
  for (let n = 0; n < 50; n++) await writeFile(`${directory}/tree/a/${n}`, '');
  await symlink(`${directory}/precious`, `${directory}/tree/link`);
  await Promise.all([1, 2, 3].map(() => removeTree(`${directory}/tree`)));
  await removeTree(`${directory}/tree`);
  await symlink(`${directory}/precious`, `${directory}/link`);
  await removeTree(`${directory}/link`);
  assert.deepEqual(await readdir(directory), ['precious']);
  assert.deepEqual(await readdir(`${directory}/precious`), ['x']);
});
