/** File systems that a test can let hang: a process serves each by FUSE, and a stopped process answers nobody. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { until } from './until.ts';

export interface Mirror {
  /** Where it is mounted. */
  readonly path: string;
  /** What is in it really: always answers. */
  readonly real: string;
  /** From now on every access waits in the kernel. */
  hang(): void;
  goOn(): void;
  /** For good: what waits gets an error, and so does what comes. */
  die(): Promise<void>;
}

/**
 * Runs a test with mirrors of new directories below `root`, or skips it where they cannot be had. Nothing stays mounted, and
 * `root` is removed.
 */
export async function withMirrors(
  t: TestContext,
  count: number,
  body: (root: string, mirrors: readonly Mirror[]) => Promise<void>,
): Promise<void> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'hostbus-mirror-')));
  const mirrors: (Mirror & { unmount(): Promise<void> })[] = [];
  try {
    for (let n = 0; n < count; n++) mirrors.push(await mount(root, `mirror-${n}`));
    await body(root, mirrors);
  } catch (error) {
    if (!(error instanceof NoMirror)) throw error;
    t.skip(error.message);
  } finally {
    for (const mirror of mirrors) await mirror.unmount();
    await rm(root, { recursive: true, force: true });
  }
}

class NoMirror extends Error {}

async function mount(root: string, name: string) {
  const [path, real] = [`${root}/${name}`, `${root}/${name}-real`];
  await mkdir(path);
  await mkdir(real);
  const outside = (await stat(path)).dev;
  // Nothing is remembered: when the server hangs, everything does.
  const options = 'attr_timeout=0,entry_timeout=0,negative_timeout=0,fsname=hostbus-test';
  // It dies with the test, even one that gets SIGKILL: a server that is stopped for ever would let hang whoever looks at mounts.
  const argv = ['--pdeathsig', 'KILL', '--', 'bindfs', '-f', '-o', options, real, path];
  const server = spawn('setpriv', argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = Promise.race([once(server, 'exit'), once(server, 'error')]).catch(() => {});
  const words = wordsOf(server);
  let over = false;
  void ended.then(() => {
    over = true;
  });
  await until('the mirror is mounted', async () => over || (await stat(path)).dev !== outside);
  if (over) throw new NoMirror(`no file system can be served here: ${words() || 'bindfs is missing'}`);
  const die = async () => {
    server.kill('SIGKILL');
    await ended;
  };
  return {
    path,
    real,
    hang: () => void server.kill('SIGSTOP'),
    goOn: () => void server.kill('SIGCONT'),
    die,
    unmount: async () => {
      await die();
      execFileSync('umount', ['-l', path], { stdio: 'pipe' });
    },
  };
}

function wordsOf(server: ChildProcess): () => string {
  let text = '';
  server.stderr?.setEncoding('utf8').on('data', (more: string) => {
    text += more;
  });
  return () => text.trim();
}
