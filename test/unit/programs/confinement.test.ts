import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { inspectImage } from '../../../src/programs/qemu-img.ts';
import { ProgramFailed, run } from '../../../src/programs/run.ts';
import { failure, isAlive, log, options } from '../../lib/programs.ts';
import { until } from '../../lib/until.ts';

async function scratch(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'hostbus-programs-'));
  t.after(() => rm(directory, { recursive: true }));
  return directory;
}

/** Runs with a PATH of its own choice; programs are found by it. */
async function withPath<T>(path: string, work: () => Promise<T>): Promise<T> {
  const before = process.env.PATH;
  process.env.PATH = path;
  try {
    return await work();
  } finally {
    process.env.PATH = before;
  }
}

test('a program within bounds has its arguments, output, exit code and process ID as without them', async () => {
  const script = 'printf "%s|" "$@"; echo "$$ $(ulimit -c)"; exit 3';
  const limits = { cpuS: 10, addressSpaceBytes: 1024 ** 3 };
  const { stdout, exitCode } = await run('sh', ['-c', script, 'sh', '--cpu=1', '$HOME'], {
    ...options,
    limits,
    exitCodes: [0, 3],
  });
  assert.equal(exitCode, 3);
  assert.match(stdout, /^--cpu=1\|\$HOME\|\d+ 0\n$/);
  const error = await failure(
    run('sh', ['-c', 'echo why >&2; exit 4'], { ...options, limits, exitCodes: [3] }),
  );
  assert.equal(error.exitCode, 4);
  assert.match(error.message, /^sh failed with exit code 4: why$/);
});

test('a program that computes for ever is killed when its processor time is used up', async () => {
  const error = await failure(run('sh', ['-c', 'while :; do :; done'], { ...options, limits: { cpuS: 1 } }));
  assert.equal(error.kind, 'signal');
  assert.match(error.message, /sh was killed by SIG(XCPU|KILL)/);
});

test('a program gets no more memory than it may have', async () => {
  const limits = { addressSpaceBytes: 256 * 1024 * 1024 };
  // A single line that never ends, which sort must hold in memory.
  const args = ['-c', 'head -c 1G /dev/zero | LC_ALL=C sort --buffer-size=1M >/dev/null'];
  const error = await failure(run('sh', args, { ...options, limits }));
  assert.equal(error.kind, 'exit');
  assert.match(error.stderr, /memory exhausted/);
});

test('what is missing is named, whether it is the program or what keeps it within bounds', async (t) => {
  const bounded = (path?: string) => {
    const work = () => failure(run('no-such-program-here', [], { ...options, limits: {} }));
    return path === undefined ? work() : withPath(path, work);
  };
  assert.match((await bounded()).message, /^no-such-program-here is not installed on this host/);
  const directory = await scratch(t);
  const none = await bounded(directory);
  assert.equal(none.kind, 'missing');
  assert.match(none.message, /^setpriv is not installed/);
  await symlink('/usr/bin/setpriv', `${directory}/setpriv`);
  assert.match((await bounded(directory)).message, /^prlimit is not installed/);
});

test('a program within bounds is aborted, and gone by then', async () => {
  const controller = new AbortController();
  let pid = 0;
  const work = run('sh', ['-c', 'echo $$; exec sleep 60'], {
    ...options,
    limits: {},
    signal: controller.signal,
    onOutput: (text) => {
      pid = Number(text);
      controller.abort();
    },
  });
  assert.equal((await failure(work)).kind, 'aborted');
  assert.ok(pid > 0);
  assert.ok(!isAlive(pid));
});

test('a program within bounds dies with the process that started it, even when that is killed', async (t) => {
  const directory = await scratch(t);
  const runner = new URL('../../../src/programs/run.ts', import.meta.url).pathname;
  const script = `
    import { pino } from ${JSON.stringify(import.meta.resolve('pino'))};
    import { run } from ${JSON.stringify(runner)};
    await run('sh', ['-c', 'echo $$; exec sleep 600'], {
      log: pino({ level: 'silent' }), timeoutMs: 'none', limits: {}, onOutput: (text) => process.stdout.write(text),
    });`;
  await writeFile(`${directory}/parent.mjs`, script);
  const parent = spawn(process.execPath, [`${directory}/parent.mjs`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(parent, 'exit');
  const [line] = (await once(createInterface({ input: parent.stdout }), 'line')) as [string];
  const pid = Number(line);
  assert.ok(isAlive(pid));
  parent.kill('SIGKILL');
  await ended;
  try {
    await until('the program is gone', () => !isAlive(pid), 5_000);
  } finally {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  }
});

/** A qcow2 header that promises what the file has not: all numbers big-endian, as its specification has them. */
function qcow2Header(fields: { snapshots?: number; l1Entries?: number; capacity?: bigint }): Buffer {
  const header = Buffer.alloc(104);
  header.write('QFI\xfb', 0, 'latin1');
  header.writeUInt32BE(3, 4); // version
  header.writeUInt32BE(16, 20); // bits of a cluster
  header.writeBigUInt64BE(fields.capacity ?? 1n << 30n, 24);
  header.writeUInt32BE(fields.l1Entries ?? 2, 36);
  header.writeBigUInt64BE(0x30000n, 40); // first-level table
  header.writeBigUInt64BE(0x10000n, 48); // reference counts
  header.writeUInt32BE(1, 56);
  header.writeUInt32BE(fields.snapshots ?? 0, 60);
  header.writeBigUInt64BE(1n << 20n, 64);
  header.writeUInt32BE(4, 96); // 16-bit reference counts
  header.writeUInt32BE(104, 100);
  return header;
}

test('files made to use up the host are looked at within bounds of time and memory', async (t) => {
  const directory = await scratch(t);
  const hostile = [
    { snapshots: 28_000 }, // each of them told in the answer
    { l1Entries: 4 * 1024 * 1024, capacity: 1n << 50n },
    { snapshots: 0xffffffff, l1Entries: 0x7fffffff },
  ];
  for (const [index, fields] of hostile.entries()) {
    const file = await open(`${directory}/${index}`, 'w+');
    try {
      await file.write(qcow2Header(fields));
      await file.truncate(2 ** 40);
      const startedMs = performance.now();
      const end = await inspectImage(file.fd, 'qcow2', { log }).catch((error: unknown) => error);
      assert.ok(performance.now() - startedMs < 20_000);
      if (index !== 1) assert.ok(end instanceof ProgramFailed, JSON.stringify(fields));
    } finally {
      await file.close();
    }
  }
});
