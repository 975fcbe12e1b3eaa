/** The manual pages can be read, and say all that the declarations say. That they are fresh is held by generated.test.ts. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { manPages } from '../../packaging/man/man-pages.ts';
import { commands } from '../../src/cli/command-list.ts';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import { globalOptions } from '../../src/cli/program.ts';
import { configKeys } from '../../src/daemon/config-keys.ts';

/** A page as man(1) shows it, on an endless line; groff must find nothing to warn of. */
function read(path: string): string {
  const source = readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
  const options = { input: source, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(
    'groff',
    ['-man', '-Tutf8', '-ww', '-P-cbou', '-rLL=1000n'],
    options,
  );
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, path);
  return stdout;
}

test('hostbus(1) has every command with its options and examples, and every exit status', () => {
  const text = read('packaging/man/hostbus.1');
  for (const { path, options, examples } of commands) {
    assert.match(text, new RegExp(`^ +hostbus ${path.join(' ')}( |$)`, 'm'));
    for (const { flags } of options) assert.ok(text.includes(flags.replaceAll(/[<>]/g, '')), flags);
    for (const { line } of examples) assert.ok(text.includes(line), line);
  }
  for (const { flags } of globalOptions) assert.ok(text.includes(flags.replaceAll(/[<>]/g, '')), flags);
  for (const { code, meaning } of Object.values(exitCodes))
    assert.match(text, new RegExp(`^ +${code} +${meaning}$`, 'm'));
});

test('hostbusd.toml(5) has every key with its variable', () => {
  const text = read('packaging/man/hostbusd.toml.5');
  for (const { path, variable } of configKeys) {
    assert.match(text, new RegExp(`^ +${path.join('\\.')}`, 'm'));
    assert.ok(text.includes(variable), variable);
  }
});

test('hostbusd(8) has what hostbusd --help says', () => {
  const text = read('packaging/man/hostbusd.8');
  for (const word of ['--config FILE', '--print-config', '--version', 'HOSTBUS_HOST_ID=h1 hostbusd', '78'])
    assert.ok(text.includes(word), word);
});

test('There is no other page', () => {
  assert.equal(Object.keys(manPages()).length, 3);
});
