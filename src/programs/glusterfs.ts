/**
 * `glusterfs`: Gluster's client. It mounts a volume for a moment, in a mount namespace that is its own, and that this process looks into
 * through /proc. With the client's end, however it comes, the namespace and the mount are gone: nothing is left to clean up.
 */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ProgramFailed, run } from './run.ts';

export interface ClientOptions {
  /** A name that is looked for in PATH, or a path. */
  program: string;
  log: Logger;
  /** For all of it: mounting and looking. */
  timeoutMs: number;
}

/** The volume could not be mounted or looked at. */
export class ClientFailed extends Error {
  override readonly name = 'ClientFailed';
  readonly kind: 'missing' | 'timeout' | 'failed';
  readonly command: readonly string[];
  readonly exitCode: number | undefined;
  readonly stderr: string;

  constructor(
    kind: 'missing' | 'timeout' | 'failed',
    message: string,
    details: { command: readonly string[]; exitCode?: number | undefined; stderr: string },
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.kind = kind;
    this.command = details.command;
    this.exitCode = details.exitCode;
    this.stderr = details.stderr;
  }
}

/** Where it is mounted, in the namespace: any directory that every system has. */
const mountPoint = '/mnt';
const pollMs = 10;

/**
 * Mounts a volume read-only, has it looked at, and ends the mount.
 *
 * @param see - is given the path of the volume's root; all that it opens must be closed when it settles
 * @throws {ClientFailed}
 */
export async function withVolumeMounted<T>(
  volume: string,
  options: ClientOptions,
  see: (path: string) => Promise<T>,
): Promise<T> {
  const { program, log, timeoutMs } = options;
  const client = [
    ...[program, '--no-daemon', '--read-only', '--log-level=ERROR', '--log-file=-'],
    ...['--volfile-server=localhost', `--volfile-id=${volume}`, mountPoint],
  ];
  const enough = new AbortController();
  const started = Promise.withResolvers<number>();
  const ended = run('unshare', ['--mount', '--propagation', 'private', '--', ...client], {
    log,
    timeoutMs,
    signal: enough.signal,
    limits: {},
    onStart: started.resolve,
  });
  const failed = ended.then(
    ({ exitCode, stderr }) => {
      throw failure('failed', volume, { command: client, exitCode, stderr });
    },
    (error: unknown) => {
      throw error instanceof ProgramFailed ? failureOf(error, volume, client) : error;
    },
  );
  const seen = started.promise.then(async (pid) => see(await mounted(pid, volume, enough.signal)));
  try {
    return await Promise.race([failed, seen]);
  } catch (error) {
    // When the client ends, whatever waits for its mount fails too: the client's end is the reason that is told.
    enough.abort();
    await failed;
    throw error;
  } finally {
    enough.abort();
    await Promise.allSettled([failed]);
  }
}

/** The path by which this process sees the volume's root, once it is mounted. */
async function mounted(pid: number, volume: string, signal: AbortSignal): Promise<string> {
  const sources = [`localhost:${volume}`, `localhost:/${volume}`];
  for (;;) {
    const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(async () => {
      // The client is gone, and how it ended is about to be told.
      await aborted(signal);
      throw signal.reason;
    });
    const own = mounts
      .split('\n')
      .map((line) => line.split(' '))
      .findLast((fields) => fields[4] === mountPoint);
    if (own?.includes('fuse.glusterfs') === true && sources.some((source) => own.includes(source)))
      return `/proc/${pid}/root${mountPoint}`;
    await sleep(pollMs, undefined, { signal });
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort');
}

function failureOf(error: ProgramFailed, volume: string, command: readonly string[]): ClientFailed {
  const { kind, exitCode, stderr } = error;
  const details = { command, exitCode, stderr };
  // `unshare` tells by these codes, as execvp(3)'s users do, that it could not start the client.
  const absent = kind === 'missing' || (kind === 'exit' && (exitCode === 126 || exitCode === 127));
  if (absent) {
    const message = `Gluster's client cannot be started (${error.message}): install glusterfs-client and util-linux`;
    return new ClientFailed('missing', message, details, { cause: error });
  }
  return failure(kind === 'timeout' ? 'timeout' : 'failed', volume, details, error);
}

function failure(
  kind: 'timeout' | 'failed',
  volume: string,
  details: { command: readonly string[]; exitCode?: number | undefined; stderr: string },
  cause?: unknown,
): ClientFailed {
  const what =
    kind === 'timeout' ? 'could not be mounted and looked at in time' : 'could not be mounted and looked at';
  const why = details.stderr.trim().split('\n').at(-1) ?? '';
  const message = `Volume ${volume} ${what}${why === '' ? '' : `: ${why.slice(-300)}`}. See that enough of its bricks run`;
  return new ClientFailed(kind, message, details, { cause });
}
