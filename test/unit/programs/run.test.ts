import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type FailureKind, run } from '../../../src/programs/run.ts';
import { failure, isAlive, log, options } from '../../lib/programs.ts';

async function failsAs(kind: FailureKind, promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await failure(promise);
  assert.equal(error.kind, kind);
  assert.match(error.message, message);
}

test('arguments reach the program as they are, and its output comes back', async () => {
  const result = await run('printf', ['%s|%s', '$HOME; ls *', 'ü "'], options);
  assert.equal(result.stdout, '$HOME; ls *|ü "');
});

test('the environment of a program is small and its language is C', async () => {
  process.env.HOSTBUS_SECRET_OF_TEST = 'secret';
  const { stdout } = await run('env', [], options);
  delete process.env.HOSTBUS_SECRET_OF_TEST;
  assert.match(stdout, /^LC_ALL=C$/m);
  assert.doesNotMatch(stdout, /secret/);
});

test('stdin is empty', async () => {
  assert.equal((await run('cat', [], options)).stdout, '');
});

test('a missing program is told from a failing one', async () => {
  await failsAs('missing', run('no-such-program-here', [], options), /is not installed on this host/);
});

test('an exit code comes with the end of stderr', async () => {
  const error = await failure(run('sh', ['-c', 'echo first >&2; echo why >&2; exit 3'], options));
  assert.equal(error.kind, 'exit');
  assert.equal(error.exitCode, 3);
  assert.match(error.message, /exit code 3: first\nwhy$/);
});

test('a program that somebody kills is told from one that fails', async () => {
  await failsAs('signal', run('sh', ['-c', 'kill -KILL $$'], options), /killed by SIGKILL/);
});

test('a program that ignores SIGTERM is gone when its time-out is reported', async () => {
  const script = 'trap "" TERM; echo $$; while :; do sleep 1; done';
  let pid = 0;
  const promise = run('bash', ['-c', `echo $$ >&2; ${script}`], { log, timeoutMs: 300 });
  const error = await failure(promise);
  assert.equal(error.kind, 'timeout');
  pid = Number(error.stderr.trim());
  assert.ok(pid > 0);
  assert.ok(!isAlive(pid));
});

test('aborting kills the program', async () => {
  const controller = new AbortController();
  const promise = run('sleep', ['60'], { ...options, signal: controller.signal });
  setImmediate(() => controller.abort());
  await failsAs('aborted', promise, /was stopped/);
});

test('output over the limit kills the program', async () => {
  await failsAs('output', run('yes', [], { ...options, maxOutputBytes: 1000 }), /more than is allowed/);
});

test('a grandchild that keeps the pipes open is not waited for', async () => {
  const started = performance.now();
  const { stdout } = await run('sh', ['-c', 'sleep 20 & echo $!'], options);
  assert.ok(performance.now() - started < 10_000);
  process.kill(Number(stdout.trim()));
});
