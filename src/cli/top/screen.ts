/** The whole terminal for a while: the alternate screen and its keys. Whatever ends the program, the terminal is as before. */
import type { Context } from '../context.ts';
import type { Line, Size } from './frame.ts';

const enter = '\x1b[?1049h\x1b[?25l';
const leave = '\x1b[?25h\x1b[?1049l';

const keys: Readonly<Record<string, Key>> = {
  q: 'quit',
  '\x03': 'interrupt',
  s: 'sort',
  k: 'up',
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  j: 'down',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
};
export type Key = 'quit' | 'interrupt' | 'sort' | 'up' | 'down';

export interface ScreenHandlers {
  pressed(key: Key): void;
  resized(): void;
}

export class Screen {
  readonly #context: Context;
  readonly #handlers: ScreenHandlers;
  readonly #close = () => this.close();
  readonly #read = (data: Buffer | string) => this.#typed(data.toString());
  #open = false;

  constructor(context: Context, handlers: ScreenHandlers) {
    this.#context = context;
    this.#handlers = handlers;
  }

  open(): void {
    const { stdin, stdout } = this.#context.io;
    this.#open = true;
    process.once('exit', this.#close);
    stdout.write(enter);
    stdout.on('resize', this.#handlers.resized);
    if (stdin.isTTY !== true) return;
    stdin.setRawMode?.(true);
    stdin.on('data', this.#read);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.removeListener('exit', this.#close);
    const { stdin, stdout } = this.#context.io;
    stdout.removeListener('resize', this.#handlers.resized);
    stdin.removeListener('data', this.#read);
    if (stdin.isTTY === true) {
      stdin.setRawMode?.(false);
      stdin.pause();
    }
    stdout.write(leave);
  }

  get size(): Size {
    const { columns = 80, rows = 24 } = this.#context.io.stdout;
    // One column stays free: a full line makes some terminals wrap. A terminal that does not know its size says 0.
    return { columns: (columns || 80) - 1, rows: rows || 24 };
  }

  draw(lines: readonly Line[]): void {
    if (!this.#open) return;
    const texts = lines.map(({ text, style }) => (style ? this.#context.paint(style, text) : text));
    this.#context.io.stdout.write(`\x1b[H${texts.map((text) => `${text}\x1b[K`).join('\n')}\x1b[J`);
  }

  /** Several keys may come at once. */
  #typed(text: string): void {
    for (const word of text.match(/\x1b[[O].|[^\x1b]/g) ?? []) {
      const key = Object.hasOwn(keys, word) ? keys[word] : undefined;
      if (key !== undefined) this.#handlers.pressed(key);
    }
  }
}
