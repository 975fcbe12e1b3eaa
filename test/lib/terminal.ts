/** A program on a terminal of its own: a real pseudo-terminal, of a given size, whose keys can be pressed. */
import { execFileSync, spawn } from 'node:child_process';
import { until } from './until.ts';

export interface Size {
  rows: number;
  columns: number;
}

export interface Terminal {
  /** All that was written to it so far. */
  readonly output: () => string;
  /** What was written since the cursor went to the upper left corner for the last time, in lines without colours. */
  readonly picture: () => string[];
  /** Of the program. */
  readonly pid: number;
  press(keys: string): void;
  /** As a window that is resized: the program gets SIGWINCH. */
  resize(size: Size): void;
  /** The exit status, once the program has ended, and whether the terminal's settings are as before. */
  readonly ended: Promise<{ code: number; settingsRestored: boolean }>;
  kill(): void;
}

// The settings are compared as stty(1) tells them; the program is a child, which tells its process ID and becomes it.
const session = `
stty rows $ROWS cols $COLUMNS_
before=$(stty -g)
echo "terminal=$(tty)"
sh -c 'echo "pid=$$ "; exec "$@"' sh "$@"
code=$?
[ "$(stty -g)" = "$before" ] && echo "settings restored"
echo "code=$code "
`;

export async function startOnTerminal(
  command: readonly string[],
  { rows, columns }: Size,
  env: NodeJS.ProcessEnv,
): Promise<Terminal> {
  const quoted = ['sh', '-c', session, 'sh', ...command]
    .map((word) => `'${word.replaceAll("'", `'\\''`)}'`)
    .join(' ');
  const child = spawn('script', ['-qefc', quoted, '/dev/null'], {
    env: { ...env, ROWS: String(rows), COLUMNS_: String(columns), TERM: 'xterm-256color', SHELL: '/bin/sh' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const closed = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const fact = (pattern: RegExp) => until(String(pattern), () => pattern.exec(output)?.[1]);
  const tty = await fact(/terminal=(\S+)/);
  const pid = Number(await fact(/pid=(\d+) /));
  return {
    output: () => output,
    picture: () => pictureOf(output),
    pid,
    press: (keys) => child.stdin.write(keys),
    resize: (size) =>
      void execFileSync('stty', ['-F', tty, 'rows', String(size.rows), 'cols', String(size.columns)]),
    ended: closed.then(() => ({
      code: Number(/code=(\d+) /.exec(output)?.[1]),
      settingsRestored: output.includes('settings restored'),
    })),
    kill: () => child.kill('SIGKILL'),
  };
}

function pictureOf(output: string): string[] {
  const [, ...pictures] = output.split('\x1b[H');
  const complete = pictures.findLast((picture) => picture.includes('\x1b[J')) ?? '';
  return complete
    .slice(0, complete.indexOf('\x1b[J'))
    .replaceAll(/\x1b\[[0-9;?]*[A-Za-z]/g, '')
    .split(/\r*\n/);
}
