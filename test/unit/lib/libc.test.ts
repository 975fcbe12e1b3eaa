import assert from 'node:assert/strict';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import * as libc from '../../../src/lib/libc.ts';

const mebibyte = 1024 * 1024;

async function files(t: TestContext): Promise<[FileHandle, FileHandle]> {
  const directory = await mkdtemp(join(tmpdir(), 'hostbus-libc-'));
  const a = await open(`${directory}/a`, 'w+');
  const b = await open(`${directory}/b`, 'w+');
  t.after(async () => {
    await a.close();
    await b.close();
    await rm(directory, { recursive: true });
  });
  return [a, b];
}

/** Not every file system does (tmpfs does not); the copies then count in another way. */
async function tellsExtents(t: TestContext, file: FileHandle): Promise<boolean> {
  try {
    await libc.countData(file.fd, 0, 4096);
    return true;
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'ENOTSUP');
    t.skip('the file system of temporary files does not tell extents');
    return false;
  }
}

test('data is found between holes', async (t) => {
  const [a] = await files(t);
  await a.truncate(10 * mebibyte);
  await a.write(Buffer.alloc(mebibyte, 1), 0, mebibyte, 5 * mebibyte);
  assert.deepEqual(await libc.nextData(a.fd, 0), { begin: 5 * mebibyte, end: 6 * mebibyte });
  assert.equal(await libc.nextData(a.fd, 6 * mebibyte), undefined);
  assert.equal(await libc.nextData(a.fd, 10 * mebibyte), undefined);
});

test('data is counted, hundreds of extents at a time', async (t) => {
  const [a] = await files(t);
  if (!(await tellsExtents(t, a))) return;
  const pieces = 700;
  const end = pieces * 8 * 4096;
  await a.truncate(end);
  for (let i = 0; i < pieces; i += 1) await a.write(Buffer.alloc(4096, 1), 0, 4096, i * 8 * 4096);
  await a.sync();
  let dataBytes = 0;
  let parts = 0;
  for (let offset = 0; offset < end; parts += 1) {
    const part = await libc.countData(a.fd, offset, end);
    dataBytes += part.dataBytes;
    offset = part.countedTo;
  }
  assert.equal(dataBytes, pieces * 4096);
  assert.equal(parts, 2);
  // From the middle of an extent to the middle of another.
  assert.deepEqual(await libc.countData(a.fd, 1024, 8 * 4096 + 512), {
    dataBytes: 3072 + 512,
    countedTo: 8 * 4096 + 512,
  });
});

test('reserved space that was never written does not count as data', async (t) => {
  const [a] = await files(t);
  if (!(await tellsExtents(t, a))) return;
  await libc.allocate(a.fd, mebibyte);
  assert.deepEqual(await libc.countData(a.fd, 0, mebibyte), { dataBytes: 0, countedTo: mebibyte });
});

test('offsets beyond 4 GiB are kept whole', async (t) => {
  const [a, b] = await files(t);
  const offset = 5 * 1024 * mebibyte + 4096;
  await a.write(Buffer.alloc(4096, 7), 0, 4096, offset);
  await b.truncate(offset + 4096);
  assert.deepEqual(await libc.nextData(a.fd, 0), { begin: offset, end: offset + 4096 });
  assert.equal(await libc.copyFileRange(a.fd, b.fd, offset, 4096), 4096);
  const { buffer } = await b.read(Buffer.alloc(4096), 0, 4096, offset);
  assert.ok(buffer.every((byte) => byte === 7));
  await libc.startWriteBack(b.fd, offset, 4096);
  await libc.finishWriteBack(b.fd, offset, 4096);
});

test('space is reserved', async (t) => {
  const [a] = await files(t);
  await libc.allocate(a.fd, 3 * mebibyte);
  const { size, blocks } = await a.stat();
  assert.equal(size, 3 * mebibyte);
  assert.ok(blocks * 512 >= 3 * mebibyte);
});

test('errors carry their code, also when many calls fail and succeed at once', async (t) => {
  const [a] = await files(t);
  await assert.rejects(libc.nextData(99_999, 0), {
    name: 'SystemCallError',
    code: 'EBADF',
    syscall: 'lseek',
  });
  const calls = Array.from({ length: 100 }, (_, n) =>
    n % 2 === 0
      ? libc.allocate(a.fd, 4096).then(() => 'ok')
      : libc.nextData(99_999, 0).then(
          () => 'wrong',
          (error: { code?: string }) => error.code,
        ),
  );
  const results = await Promise.all(calls);
  assert.ok(results.every((result, n) => result === (n % 2 === 0 ? 'ok' : 'EBADF')));
});
