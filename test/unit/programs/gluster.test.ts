import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { pino } from 'pino';
import {
  GlusterFailed,
  type GlusterFailureKind,
  type GlusterOptions,
  gluster,
  readReply,
} from '../../../src/programs/gluster.ts';
import { savedOutput, savedReply } from '../../lib/gluster-output.ts';

const directory = mkdtempSync(join(tmpdir(), 'hostbus-gluster-'));
after(() => rmSync(directory, { recursive: true }));

function program(name: string, script: string): GlusterOptions {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return { program: path, log: pino({ level: 'silent' }), timeoutS: 1, graceMs: 100 };
}

async function failsAs(kind: GlusterFailureKind, options: GlusterOptions, message: RegExp) {
  const error = await gluster(['pool', 'list'], options).then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof GlusterFailed, String(error));
  assert.equal(error.kind, kind);
  assert.match(error.message, message);
  assert.deepEqual(error.command.slice(1), ['--mode=script', '--xml', '--timeout=1', 'pool', 'list']);
  return error;
}

const text = (stdout: string, exitCode = 1) =>
  assert.throws.bind(null, () => readReply(['gluster'], { exitCode, stdout, stderr: '' }));

test('A refusal that ends with exit code 0 is a refusal', () => {
  const reply = savedReply('create-gddown');
  assert.equal(reply.opRet, -1);
  assert.equal(reply.opErrno, 30800);
  assert.equal(reply.opErrstr, 'Host gp2 not connected');
});

test('An exit code other than 0 does not hide the answer', async () => {
  const options = program(
    'rc1',
    'echo \'<?xml version="1.0"?><cliOutput><opRet>-1</opRet></cliOutput>\'; exit 1',
  );
  const reply = await gluster(['pool', 'list'], options);
  assert.deepEqual([reply.opRet, reply.opErrno, reply.exitCode], [-1, 0, 1]);
});

test('Warnings before the XML do no harm', () => {
  const stdout = `Warning: something\n${savedOutput('pool-list.xml')}`;
  assert.equal(readReply(['gluster'], { exitCode: 0, stdout, stderr: '' }).opRet, 0);
});

test("glusterd's absence, its silence and unknown words are told apart", () => {
  const kind = (wanted: string) => (error: unknown) =>
    error instanceof GlusterFailed && error.kind === wanted;
  text(savedOutput('no-daemon.txt'))(kind('noDaemon'));
  text('Error : Request timed out\n')(kind('timeout'));
  text(savedOutput('unknown-word.txt'))(kind('text'));
  text('', 0)(kind('text'));
});

test('XML that is cut off anywhere is no answer', () => {
  const whole = savedOutput('pool-list.xml').trim();
  for (let length = 0; length < whole.length; length += 1) {
    const stdout = whole.slice(0, length);
    assert.throws(() => readReply(['gluster'], { exitCode: 0, stdout, stderr: '' }), GlusterFailed, stdout);
  }
});

test('A program that is missing', async () => {
  const absent = { ...program('absent', ''), program: join(directory, 'nosuch') };
  await failsAs('missing', absent, /is not installed/);
});

test('A program that hangs is killed', async () => {
  await failsAs(
    'timeout',
    program('hangs', 'trap "" TERM; while :; do sleep 1; done'),
    /did not end within 1.1 s/,
  );
});

test('A program that writes for ever is killed', async () => {
  await failsAs(
    'output',
    { ...program('floods', 'yes'), timeoutS: 1, graceMs: 30_000 },
    /more than is allowed/,
  ).then((error) => assert.equal(error.said, ''));
});

test('A program that writes rubbish', async () => {
  await failsAs('text', program('rubbish', 'head -c 1000 /dev/urandom; exit 3'), /exit code 3/);
  await failsAs(
    'garbled',
    program('cut', 'echo "<?xml version=\\"1.0\\"?><cliOutput><opRet>0"'),
    /cannot be read/,
  );
});

test('What it says on stderr alone is kept', async () => {
  const error = await failsAs('text', program('stderr', 'echo why >&2; exit 2'), /exit code 2 and said: why/);
  assert.deepEqual([error.exitCode, error.said, error.stderr], [2, 'why', 'why\n']);
});
