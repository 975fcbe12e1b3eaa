/** The lab as people run it. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { removeBridge } from './bridge.ts';
import { runCommand } from './command.ts';
import { labRefusal } from './lab.ts';
import { readLab } from './lab-state.ts';
import { cutPower, takeDown } from './take-down.ts';
import { traceLab } from './traces.ts';

const commandLine = join(import.meta.dirname, 'main.ts');

const randomName = () => `x${randomBytes(4).toString('hex')}`;

/** Runs the command line as people do. */
function lab(...args: string[]) {
  return runCommand([process.execPath, commandLine, ...args], { timeoutMs: 60_000 });
}

describe('npm run lab', { skip: labRefusal() ?? false }, () => {
  test('up, ls, brick, exec, power-cut, start, unplug, plug, down: each may be repeated.', async () => {
    const name = randomName();
    const named = ['--name', name];
    try {
      const up = await lab('up', '1', ...named);
      assert.equal(up.stderr, '');
      assert.match(up.stdout, new RegExp(`^${name} h1 10\\.87\\.\\d+\\.1 on\n$`));
      const grown = await lab('up', '2', '--pool', ...named);
      assert.match(grown.stdout, new RegExp(`^${name} h1 .* on\n${name} h2 .* on\n$`));
      assert.equal(
        (await lab('brick', ...named, '2', 'b1', '--size', '400')).stdout,
        'h2:/bricks/b1/brick\n',
      );
      assert.equal((await lab('exec', ...named, '2', 'ls', '-1', '/bricks/b1')).stdout, 'brick\n');
      assert.equal((await lab('exec', ...named, '1', 'sh', '-c', 'exit 3')).exitCode, 3);
      for (const word of ['unplug', 'plug', 'power-cut', 'power-cut']) {
        assert.deepEqual(await lab(word, ...named, '2'), { exitCode: 0, stdout: '', stderr: '' });
      }
      assert.match((await lab('ls')).stdout, new RegExp(`${name} h2 .* off\n`));
      const off = await lab('exec', ...named, '2', 'true');
      assert.deepEqual(off, { exitCode: 1, stdout: '', stderr: 'lab: h2 is off\n' });
      for (const _ of [1, 2]) assert.equal((await lab('start', ...named, '2')).exitCode, 0);
      assert.equal((await lab('exec', ...named, '2', 'ls', '-1', '/bricks/b1')).stdout, 'brick\n');
      const state = readLab(name);
      assert.ok(state);

      // What a restart of the machine leaves of it: the disks.
      await Promise.all([1, 2].map((host) => cutPower(state, host)));
      await removeBridge(state);
      assert.match((await lab('up', '2', ...named)).stdout, new RegExp(`${name} h2 .* on\n$`));
      assert.equal((await lab('exec', ...named, '2', 'ls', '-1', '/bricks/b1')).stdout, 'brick\n');
      assert.match((await lab('exec', ...named, '2', 'gluster', 'pool', 'list')).stdout, /\bh1\b/);

      const left = await traceLab(readLab(name) ?? state);
      for (const _ of [1, 2]) {
        assert.deepEqual(await lab('down', ...named), { exitCode: 0, stdout: '', stderr: '' });
      }
      assert.deepEqual(await left(), []);
    } finally {
      await takeDown(name);
    }
  });

  test('It says what it can do, and what is wrong.', async () => {
    const help = await lab('--help');
    for (const word of ['up', 'exec', 'power-cut', 'start', 'unplug', 'plug', 'brick', 'ls', 'down']) {
      assert.match(help.stdout, new RegExp(`^  ${word}\\b`, 'm'));
    }
    const absent = await lab('exec', '--name', randomName(), '1', 'true');
    assert.equal(absent.exitCode, 1);
    assert.match(absent.stderr, /^lab: there is no lab x[0-9a-f]+: start it with up\n$/);
  });
});
