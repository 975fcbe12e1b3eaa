/** The examples of `hostbus gluster …`, run as they stand. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commands } from '../../src/cli/command-list.ts';
import { type CommandResult, runCommand } from '../lab/command.ts';
import { programEnvironment } from '../lib/daemon.ts';

const program = fileURLToPath(new URL('../../src/bin/hostbus.ts', import.meta.url));

export interface Shell extends AsyncDisposable {
  /** Runs a line for a POSIX shell in which `hostbus` is the program of this checkout. */
  run(line: string): Promise<CommandResult>;
}

export async function openShell(brokerUrl: string): Promise<Shell> {
  const dir = await mkdtemp(join(tmpdir(), 'hostbus-gluster-cli-'));
  const shim = join(dir, 'hostbus');
  await writeFile(shim, `#!/bin/sh\nexec '${process.execPath}' '${program}' "$@"\n`);
  await chmod(shim, 0o755);
  const env = { ...programEnvironment(), PATH: `${dir}:${process.env.PATH}`, HOSTBUS_URL: brokerUrl };
  return {
    run: (line) => runCommand(['sh', '-c', line], { env, timeoutMs: 90_000 }),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/**
 * Runs the examples of a command or group of commands.
 * @param path - such as `gluster rebalance`
 */
export async function runExamples(shell: Shell, path: string): Promise<void> {
  const chosen = commands.filter((command) => `${command.path.join(' ')} `.startsWith(`${path} `));
  assert.notEqual(chosen.length, 0);
  for (const { line } of chosen.flatMap(({ examples }) => examples)) {
    const { exitCode, stdout, stderr } = await shell.run(line);
    assert.equal(exitCode, 0, `${line}\n${stdout}${stderr}`);
    assert.notEqual(stdout + stderr, '', line);
  }
}
