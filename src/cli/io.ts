/** The terminal, and what this program does to it. */
import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';

export interface OutputStream extends Writable {
  isTTY?: boolean;
  columns?: number;
  rows?: number;
}

export interface InputStream extends Readable {
  isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

/** The outside of one run; the real ones, or a test's. */
export interface Io {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type Paint = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';

/** Whether a stream takes colours: a terminal, and nobody said no (https://no-color.org). */
export function takesColour(stream: OutputStream, env: Io['env'], wanted: boolean): boolean {
  return wanted && stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

/** The text in a colour. */
export function paint(style: Paint, text: string): string {
  return styleText(style, text, { validateStream: false });
}

/** Width of a terminal in columns; undefined for a file or a pipe, where nothing is cut. */
export function widthOf(stream: OutputStream): number | undefined {
  if (stream.isTTY !== true) return undefined;
  return stream.columns !== undefined && stream.columns > 0 ? stream.columns : 80;
}
