import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { commands, groups } from '../../../src/cli/command-list.ts';
import { completionScript } from '../../../src/cli/completion.ts';
import { committedVerbs } from '../../../src/cli/openrpc.ts';
import { globalOptions } from '../../../src/cli/program.ts';

const catalogue = { commands, groups, globalOptions };

const run = promisify(execFile);
const hasZsh = spawnSync('zsh', ['--version']).status === 0;
let dir: string;

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'hostbus-completion-'));
  const verbs = await committedVerbs();
  await writeFile(join(dir, 'hostbus.bash'), completionScript('bash', catalogue, verbs));
  await writeFile(join(dir, '_hostbus'), completionScript('zsh', catalogue, verbs));
  await writeFile(join(dir, 'server.pem'), '');
});

after(() => rm(dir, { recursive: true, force: true }));

/** What bash offers for a line whose cursor is at its end, as readline would call the completion. */
async function bashOffers(line: string): Promise<string[]> {
  const script = `
    source ./hostbus.bash
    COMP_LINE="$1" COMP_POINT=\${#1} COMP_TYPE=9
    function=$(complete -p hostbus | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
    COMPREPLY=()
    "$function"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = await run('bash', ['--norc', '-uc', script, 'bash', line], {
    cwd: dir,
    timeout: 10_000,
  });
  assert.equal(stderr, '');
  return stdout.split('\n').filter((word) => word !== '');
}

/** What the part that both shells share offers. */
async function zshOffers(words: readonly string[], current: string): Promise<string[]> {
  const script = `
    compdef() { : }
    source ./_hostbus
    __hostbus_candidates "$@"`;
  const { stdout } = await run('zsh', ['-fc', script, 'zsh', current, ...words], {
    cwd: dir,
    timeout: 10_000,
  });
  return stdout.split('\n').filter((word) => word !== '');
}

test('bash completes commands and their subcommands', async () => {
  assert.deepEqual(await bashOffers('hostbus ima'), ['image']);
  assert.deepEqual(await bashOffers('hostbus --json task '), ['list', 'status', 'wait', 'cancel']);
  const all = await bashOffers('hostbus ');
  for (const name of ['call', 'verbs', 'hosts', 'events', 'completion', 'task', 'image', 'domain', 'help'])
    assert.ok(all.includes(name), name);
});

test('bash completes options and the values that they can have', async () => {
  assert.deepEqual(await bashOffers('hostbus image create h1 x 1G --form'), ['--format']);
  assert.deepEqual(await bashOffers('hostbus image create h1 x 1G --format '), ['raw', 'qcow2']);
  assert.deepEqual(await bashOffers('hostbus image con'), ['continue', 'convert']);
  assert.deepEqual(await bashOffers('hostbus image convert h1 x y --format '), ['raw', 'qcow2']);
  assert.deepEqual(await bashOffers('hostbus image check h1 x --comp'), ['--compare-with']);
  assert.deepEqual(await bashOffers('hostbus task list h1 --state q'), ['queued']);
  assert.deepEqual(await bashOffers('hostbus events --kind '), [
    'task',
    'host',
    'image',
    'domain',
    'operation',
  ]);
  assert.deepEqual(await bashOffers('hostbus call h1 ping --qu'), ['--quiet']);
  assert.deepEqual(await bashOffers('hostbus call h1 ping --ca ser'), ['server.pem']);
  assert.deepEqual(await bashOffers('hostbus call h1 ping --timeout '), []);
});

test('bash completes verbs, their parameters, and what those can be', async () => {
  assert.deepEqual(await bashOffers('hostbus call h1 copyI'), ['copyImage']);
  assert.deepEqual(await bashOffers('hostbus call --timeout 5 h1 getHostI'), ['getHostInfo']);
  assert.deepEqual(await bashOffers('hostbus call h1 copyImage source.'), [
    'source.domainId=',
    'source.imageId=',
  ]);
  // bash has split the word at the = sign: only what follows is to be given
  assert.deepEqual(await bashOffers('hostbus call h1 createImage format=q'), ['qcow2']);
  assert.deepEqual(await bashOffers('hostbus verbs rpc'), ['rpc.discover']);
  assert.deepEqual(await bashOffers('hostbus completion '), ['bash', 'zsh']);
});

test('bash runs nothing that stands on the line', async () => {
  await bashOffers('hostbus call h1 $(touch ran) `touch ran` *');
  assert.deepEqual(await bashOffers('hostbus call h1 ping --ca ra'), []);
});

test('zsh gets the same candidates', { skip: hasZsh ? false : 'zsh is not installed' }, async () => {
  assert.deepEqual(await zshOffers(['task'], ''), ['list', 'status', 'wait', 'cancel']);
  assert.deepEqual(await zshOffers(['image', 'create', 'h1', 'x', '1G', '--format'], ''), ['raw', 'qcow2']);
  assert.ok((await zshOffers(['call', 'h1'], '')).includes('copyImage'));
  assert.ok((await zshOffers(['call', 'h1', 'copyImage'], '')).includes('target.imageId='));
});

test('zsh takes the script as a completion function', {
  skip: hasZsh ? false : 'zsh is not installed',
}, async () => {
  const script = 'fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; print -r -- $_comps[hostbus]';
  const { stdout } = await run('zsh', ['-fc', script], { cwd: dir, timeout: 20_000 });
  assert.equal(stdout.trim(), '_hostbus');
});
