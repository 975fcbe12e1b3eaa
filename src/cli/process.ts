/** What `hostbus` needs of the process that it runs in: signals, broken pipes, the end. */
import { Interrupted } from './errors.ts';
import { exitCodeOf, exitCodes } from './exit-codes.ts';
import { run } from './main.ts';

/** Runs, and ends the process. */
export async function main(words: readonly string[]): Promise<void> {
  const { stdin, stdout, stderr, env } = process;
  for (const stream of [stdout, stderr]) stream.on('error', leaveOnBrokenPipe);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const reason = new Interrupted(signal);
      // a second one waits for nothing
      if (stop.signal.aborted) process.exit(exitCodeOf(reason));
      stop.abort(reason);
    });
  }
  const code = await run(words, { stdin, stdout, stderr, env }, { signal: stop.signal });
  // pipes are written in the background; a handle that somebody left open must not keep the process
  await Promise.all([flushed(stdout), flushed(stderr)]);
  process.exit(code);
}

/** Whoever read the output has seen enough (`| head`): that is no failure. */
function leaveOnBrokenPipe(error: NodeJS.ErrnoException): void {
  process.exit(error.code === 'EPIPE' ? exitCodes.ok.code : exitCodes.internal.code);
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve());
  });
}
