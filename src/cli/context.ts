/** What every command has: where to print, how to reach the bus, when to stop. */
import type { Client } from '../client/types.ts';
import { type Io, type Paint, paint, takesColour, widthOf } from './io.ts';
import { type Column, renderPairs, renderTable } from './table.ts';
import { printable, textWidth } from './text.ts';

export interface GlobalOptions {
  /** Exact JSON on stdout, one document per line. */
  readonly json: boolean;
  /** Nothing but results and errors. */
  readonly quiet: boolean;
  readonly color: boolean;
  /** How long to wait for an answer; undefined: the user said nothing. */
  readonly timeoutMs: number | undefined;
}

/** What the command is doing at the moment, for what is said when it fails or is interrupted. */
export interface Doing {
  hostId?: string;
  method?: string;
  /** A task that was sent, and has not ended as far as is known. */
  taskId?: string;
  /** An operation of Gluster that is being followed, and the command that shows it. */
  operation?: { id: string; watch: string };
}

/** Opens the connection; a test gives its own. */
export type Connector = (timeoutMs: number) => Promise<Client>;

/** How long an answer is waited for when nobody says, as in the client library. */
export const defaultTimeoutMs = 30_000;

/** How long silence is borne before it is explained. */
const patienceMs = 1500;

export class Context {
  readonly io: Io;
  readonly options: GlobalOptions;
  /** Aborted at Ctrl-C. */
  readonly signal: AbortSignal;
  readonly doing: Doing = {};
  readonly #connect: Connector;

  constructor(io: Io, options: GlobalOptions, connect: Connector, signal: AbortSignal) {
    this.io = io;
    this.options = options;
    this.signal = signal;
    this.#connect = connect;
  }

  /** Milliseconds to wait for an answer. */
  get timeoutMs(): number {
    return this.options.timeoutMs ?? defaultTimeoutMs;
  }

  /** Width of the terminal that results go to; undefined: not a terminal. */
  get width(): number | undefined {
    return widthOf(this.io.stdout);
  }

  /** Connects, does something, and lets go whatever happened. */
  async withClient<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.#connected();
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  async #connected(): Promise<Client> {
    const connecting = this.#connect(this.timeoutMs);
    const timer = setTimeout(() => this.note('The broker does not answer; trying again …'), patienceMs);
    try {
      return await this.untilStopped(connecting);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What the promise gives, or a failure at once when the user presses Ctrl-C. */
  async untilStopped<T>(promise: Promise<T>): Promise<T> {
    const stopped = Promise.withResolvers<never>();
    const stop = () => stopped.reject(this.signal.reason);
    this.signal.addEventListener('abort', stop, { once: true });
    if (this.signal.aborted) stop();
    try {
      return await Promise.race([promise, stopped.promise]);
    } finally {
      this.signal.removeEventListener('abort', stop);
      // whichever came second has nobody left to tell
      promise.catch(() => undefined);
      stopped.promise.catch(() => undefined);
    }
  }

  /** A line of the result. The caller has made it printable. */
  line(text: string): void {
    this.io.stdout.write(`${text}\n`);
  }

  /** One JSON document, on a line of its own. */
  json(value: unknown): void {
    this.io.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Something worth knowing that is not the result: on stderr, and only where somebody reads along. */
  note(text: string): void {
    if (!this.options.quiet && !this.options.json)
      this.io.stderr.write(`${this.paintError('dim', printable(text))}\n`);
  }

  paint(style: Paint, text: string): string {
    return takesColour(this.io.stdout, this.io.env, this.options.color) ? paint(style, text) : text;
  }

  paintError(style: Paint, text: string): string {
    return takesColour(this.io.stderr, this.io.env, this.options.color) ? paint(style, text) : text;
  }

  /** A table that fits the terminal. `empty` is said instead of a table without rows. */
  table(columns: readonly Column[], rows: readonly (readonly string[])[], empty: string): void {
    if (rows.length === 0) {
      this.note(empty);
      return;
    }
    const [titles = '', ...lines] = renderTable(columns, rows, this.width);
    this.line(this.paint('bold', titles));
    for (const line of lines) this.line(line);
  }

  /** Names and values, aligned. */
  pairs(pairs: readonly (readonly [name: string, value: string])[]): void {
    const width = Math.max(0, ...pairs.map(([name]) => textWidth(printable(name))));
    for (const line of renderPairs(pairs))
      this.line(this.paint('cyan', line.slice(0, width)) + line.slice(width));
  }
}
