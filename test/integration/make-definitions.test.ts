import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';

const SCRIPT = join(import.meta.dirname, '../../rabbitmq/make-definitions.ts');

describe('make-definitions', () => {
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [SCRIPT, ...args], { encoding: 'utf8', stdio: 'pipe' });

  test('writes files that only their owner may read, and keeps passwords that are there', () => {
    const dir = mkdtempSync(join(tmpdir(), 'definitions-'));
    try {
      const read = (name: string): unknown => JSON.parse(readFileSync(join(dir, name), 'utf8'));
      run('--host', 'h1', '--engine', 'engine', '--out', dir);
      const first = read('passwords.json');
      assert.ok(first !== null && typeof first === 'object');
      run('--host', 'h1', '--host', 'h2', '--engine', 'engine', '--out', dir);
      const second = read('passwords.json');
      assert.ok(second !== null && typeof second === 'object');
      assert.deepEqual(Object.keys(second), ['hostbus-h1', 'hostbus-h2', 'engine']);
      assert.deepEqual({ ...second, ...first }, second);
      for (const name of ['passwords.json', 'definitions.json']) {
        assert.equal(statSync(join(dir, name)).mode & 0o777, 0o600);
      }
      const clear = Object.values(second).map(String);
      assert.ok(clear.every((password) => password.length >= 32));
      const definitions = readFileSync(join(dir, 'definitions.json'), 'utf8');
      assert.ok(clear.every((password) => !definitions.includes(password)));
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('names what is wrong with its arguments', () => {
    assert.throws(() => run(), /give at least one --host/);
    assert.throws(() => run('--host', 'Up'), /host ID "Up": expected/);
    assert.throws(() => run('--host', 'h1', '--engine', 'a.*'), /user name "a\.\*": expected/);
    assert.throws(() => run('--host', 'h1', '--engine', 'hostbus-h1'), /given twice/);
    assert.match(run('--help'), /Example: node rabbitmq\/make-definitions\.ts/);
  });

  test('made the definitions.json of the repository', () => {
    const committed = readFileSync(join(import.meta.dirname, '../../rabbitmq/definitions.json'), 'utf8');
    const fresh = run(
      '--host',
      'h1',
      '--engine',
      'engine',
      '--subscriber',
      'dashboard',
      '--without-passwords',
    );
    assert.deepEqual(JSON.parse(committed), JSON.parse(fresh));
  });
});
