import assert from 'node:assert/strict';
import {
  lstatSync,
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
import { addToFstab, findFstabEntry } from '../../../src/gluster/fstab.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostbus-fstab-'));
after(() => rmSync(directory, { recursive: true }));

test('A line is added and all else stays, byte for byte, with its mode', async () => {
  const path = join(directory, 'fstab');
  writeFileSync(path, '#\t/a  comment\nUUID=1\t/a ext4\tdefaults 0 0', { mode: 0o640 });
  await addToFstab('UUID=2 /b xfs noatime 0 0', path);
  assert.equal(
    readFileSync(path, 'utf8'),
    '#\t/a  comment\nUUID=1\t/a ext4\tdefaults 0 0\nUUID=2 /b xfs noatime 0 0\n',
  );
  assert.equal(statSync(path).mode & 0o777, 0o640);
  assert.deepEqual(await findFstabEntry('/a', path), { source: 'UUID=1', mountPoint: '/a' });
  assert.deepEqual(await findFstabEntry('/b', path), { source: 'UUID=2', mountPoint: '/b' });
  assert.equal(await findFstabEntry('/c', path), undefined);
  assert.deepEqual(readdirSync(directory), ['fstab']);
});

test('A table that is a link stays one; one that is not there is made', async () => {
  const target = join(directory, 'target');
  const link = join(directory, 'link');
  writeFileSync(target, '');
  symlinkSync(target, link);
  await addToFstab('UUID=3 /d xfs noatime 0 0', link);
  assert.ok(lstatSync(link).isSymbolicLink());
  assert.equal(readFileSync(target, 'utf8'), 'UUID=3 /d xfs noatime 0 0\n');
  const absent = join(directory, 'absent');
  assert.equal(await findFstabEntry('/d', absent), undefined);
  await addToFstab('UUID=4 /e xfs noatime 0 0', absent);
  assert.equal(statSync(absent).mode & 0o777, 0o644);
});
