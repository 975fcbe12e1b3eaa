/** What a command was given: its words and options, read with their types. */
import { randomUUID } from 'node:crypto';
import { parseSize } from '../lib/units.ts';
import { UsageError } from './errors.ts';
import { uuidPattern } from './ids.ts';

export interface ImageRef {
  readonly domainId: string;
  readonly imageId: string;
}

export class Invocation {
  readonly #words: ReadonlyMap<string, string | readonly string[]>;
  readonly #options: Readonly<Record<string, unknown>>;

  /**
   * @param words - by the argument's name
   * @param options - as commander names them: `--no-color` is `color`
   */
  constructor(
    words: ReadonlyMap<string, string | readonly string[]>,
    options: Readonly<Record<string, unknown>>,
  ) {
    this.#words = words;
    this.#options = options;
  }

  /** An argument that is always there. */
  word(name: string): string {
    const value = this.#words.get(name);
    if (typeof value !== 'string') throw new UsageError(`${name} is missing`);
    return value;
  }

  optionalWord(name: string): string | undefined {
    const value = this.#words.get(name);
    return typeof value === 'string' ? value : undefined;
  }

  /** The rest of the line. */
  words(name: string): readonly string[] {
    const value = this.#words.get(name);
    return Array.isArray(value) ? value : [];
  }

  flag(name: string): boolean {
    return this.#options[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#options[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** An option that may be given again, or with commas. */
  list(name: string): readonly string[] {
    const value = this.#options[name];
    const given = Array.isArray(value) ? value.map(String) : [];
    return given.flatMap((item) => item.split(',')).filter((item) => item !== '');
  }

  /** Seconds, decimals allowed, as milliseconds. */
  seconds(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
    // beyond this Node's timers would fire at once
    if (!(seconds > 0 && seconds <= 2_000_000))
      throw new UsageError(
        `--${name}: '${text}' is not a number of seconds between 0 and 2000000, such as 30 or 0.5`,
      );
    return Math.ceil(seconds * 1000);
  }

  /** A whole number from 1 on. */
  count(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (!/^[1-9]\d{0,8}$/.test(text))
      throw new UsageError(`--${name}: '${text}' is not a whole number from 1 on`);
    return Number(text);
  }

  /** A task's ID that the caller chose. */
  taskId(name = 'id'): string | undefined {
    const text = this.text(name);
    if (text !== undefined) checkTaskId(text, `--${name}`);
    return text;
  }

  domainId(name: string): string {
    return uuid(this.word(name), name);
  }

  /** A domain to be made: its UUID, or `new`. */
  newDomainId(name: string): string {
    return this.word(name) === 'new' ? randomUUID() : this.domainId(name);
  }

  /** `DOMAIN/IMAGE` of an image to be made; `DOMAIN/new` makes up a UUID. */
  newImage(name: string): ImageRef {
    const word = this.word(name);
    const [domainId = ''] = word.split('/');
    if (word !== `${domainId}/new`) return this.image(name);
    return { domainId: uuid(domainId, `${name}, domain`), imageId: randomUUID() };
  }

  /** `DOMAIN/IMAGE`. */
  image(name: string): ImageRef {
    return imageRef(this.word(name), name);
  }

  /** An option that takes `DOMAIN/IMAGE`; `flag` is how it is written. */
  optionalImage(name: string, flag: string): ImageRef | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : imageRef(text, flag);
  }

  /** Bytes, from a size such as `10G`. */
  sizeBytes(name: string): number {
    const word = this.word(name);
    const sizeBytes = parseSize(word);
    if (sizeBytes === undefined)
      throw new UsageError(
        `${name}: '${word}' is not a size: write bytes, or 10G, 512MiB (1024 each), 10GB (1000 each)`,
      );
    return sizeBytes;
  }
}

/** @throws UsageError when no task can have that ID */
export function checkTaskId(taskId: string, name: string): void {
  const length = [...taskId].length;
  if (length < 1 || length > 128)
    throw new UsageError(`${name}: a task ID has 1 to 128 characters, this has ${length}`);
}

function uuid(text: string, name: string): string {
  const lower = text.toLowerCase();
  if (!uuidPattern.test(lower))
    throw new UsageError(`${name}: '${text}' is not a UUID such as 6f3a1a5e-6f0a-4a7c-9a51-6d3c3b0f2b11`);
  return lower;
}

function imageRef(word: string, name: string): ImageRef {
  const [domainId, imageId, ...rest] = word.split('/');
  if (domainId === undefined || imageId === undefined || rest.length > 0)
    throw new UsageError(`${name}: '${word}' is not an image: write DOMAIN/IMAGE, two UUIDs`);
  return { domainId: uuid(domainId, `${name}, domain`), imageId: uuid(imageId, `${name}, image`) };
}
