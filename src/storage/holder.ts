/** `.holder`: who is writing an image, and whether that one is alive. */
import { lstat } from 'node:fs/promises';
import type { Logger } from 'pino';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { HostbusError } from '../../schemas/errors.ts';
import type { Holder, ImageRef } from '../../schemas/image.ts';
import { errnoCode, linkNewFile, removeFile, replaceFile } from '../lib/atomic-file.ts';
import type { VolumePaths } from './layout.ts';
import { readSmallFile } from './small-file.ts';

const HolderFile = Compile(
  Type.Object({
    hostId: Type.String(),
    bootId: Type.String(),
    taskId: Type.String(),
    /** Raised by each take-over. */
    generation: Type.Integer({ minimum: 0 }),
    /** Raised by each renewal: a file that changes has a writer that lives. */
    counter: Type.Integer({ minimum: 0 }),
  }),
);

export interface HolderRecord extends Holder {
  generation: number;
  counter: number;
}

/** Reads the text of a `.holder` file; undefined when it is garbled (a renewal that a power cut tore). */
export function parseHolder(text: string): HolderRecord | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return HolderFile.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What callers are told of a holder. */
export function publicHolder(holder: Holder): Holder {
  return { hostId: holder.hostId, bootId: holder.bootId, taskId: holder.taskId };
}

/**
 * Makes the holder file, unless there is one.
 *
 * @returns whether it is ours; of several who try, on any host, one succeeds
 */
export async function makeHolder(path: string, holder: HolderRecord): Promise<boolean> {
  try {
    await linkNewFile(path, encode(holder), holder.hostId);
    return true;
  } catch (error) {
    if (errnoCode(error) !== 'EEXIST') throw error;
    // Over NFS, a link that was made but whose answer was lost is told as EEXIST.
    return (await readSmallFile(path)) === encode(holder);
  }
}

function encode(holder: HolderRecord): string {
  return `${JSON.stringify(holder)}\n`;
}

/**
 * Decides whether holders of other hosts are alive, by watching: one that has not changed for the whole term, on this
 * process's monotonic clock, is dead. No clocks of two machines are compared, so a holder seen for the first time is believed.
 */
export class HolderWatch {
  readonly #termMs: number;
  readonly #seen = new Map<string, { text: string; sinceMs: number }>();
  readonly #max: number;

  constructor(termMs: number, max = 10_000) {
    this.#termMs = termMs;
    this.#max = max;
  }

  /**
   * @param key - the image
   * @param text - the holder file as it is now
   */
  isAlive(key: string, text: string): boolean {
    const nowMs = performance.now();
    const seen = this.#seen.get(key);
    if (seen?.text === text) return nowMs - seen.sinceMs < this.#termMs;
    this.#forgetOldest();
    this.#seen.set(key, { text, sinceMs: nowMs });
    return true;
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }

  #forgetOldest(): void {
    const oldest = this.#seen.size < this.#max ? undefined : this.#seen.keys().next().value;
    if (oldest !== undefined) this.#seen.delete(oldest);
  }
}

/**
 * Keeps a holder file fresh while a copy runs. `signal` is aborted, with an ImageBusy as its reason, when somebody else has
 * taken over, or when renewing has failed for so long that somebody may.
 */
export class HolderKeeper {
  readonly #paths: VolumePaths;
  readonly #current: () => Promise<Holder | undefined>;
  readonly #image: ImageRef;
  readonly #log: Logger;
  readonly #renewMs: number;
  readonly #termMs: number;
  readonly #lost = new AbortController();
  #holder: HolderRecord;
  #renewedMs = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(
    paths: VolumePaths,
    holder: HolderRecord,
    options: {
      image: ImageRef;
      log: Logger;
      renewMs: number;
      termMs: number;
      /** Who holds the image now; asked when it is no longer this one. */
      current: () => Promise<Holder | undefined>;
    },
  ) {
    this.#paths = paths;
    this.#current = options.current;
    this.#image = options.image;
    this.#holder = holder;
    this.#log = options.log;
    this.#renewMs = options.renewMs;
    this.#termMs = options.termMs;
    this.#schedule();
  }

  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Ends the renewing; nothing is written after this resolves. The file stays. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#renewing;
  }

  /** @throws {HostbusError} ImageBusy when the file names somebody else, or is gone */
  async checkStillHeld(): Promise<void> {
    this.#lost.signal.throwIfAborted();
    const text = await readSmallFile(this.#paths.holder);
    const found = text === undefined ? undefined : parseHolder(text);
    const { hostId, bootId, taskId, generation } = this.#holder;
    const same =
      found?.hostId === hostId &&
      found.bootId === bootId &&
      found.taskId === taskId &&
      found.generation === generation;
    if (same && (await exists(this.#paths.next))) return;
    throw await this.replaced(same ? undefined : found);
  }

  /** The error for when the volume is no longer ours to complete. */
  async replaced(by?: Holder): Promise<HostbusError> {
    try {
      return takenOver(this.#image, by ?? (await this.#current()));
    } catch (error) {
      // Nobody took it over: the whole domain is gone, unmounted perhaps.
      const gone = error instanceof HostbusError && error.name === 'DomainUnavailable';
      return gone ? error : takenOver(this.#image, undefined);
    }
  }

  /** Gives the image up, if it is still ours. */
  async release(): Promise<void> {
    await this.stop();
    await this.checkStillHeld();
    await removeFile(this.#paths.holder);
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#renewing = this.#renew().finally(() => this.#schedule());
    }, this.#renewMs);
  }

  // Not flushed: other hosts see the change all the same, and whether the writer is alive must not depend on how busy the disk is.
  async #renew(): Promise<void> {
    try {
      await this.checkStillHeld();
      const next = { ...this.#holder, counter: this.#holder.counter + 1 };
      await replaceFile(this.#paths.holder, encode(next), next.hostId, { durable: false });
      this.#holder = next;
      this.#renewedMs = performance.now();
    } catch (error) {
      this.#renewalFailed(error);
    }
  }

  #renewalFailed(error: unknown): void {
    this.#log.warn({ err: error }, 'The holder of the image could not be renewed');
    if (error instanceof HostbusError) {
      this.#lost.abort(error);
    } else if (performance.now() - this.#renewedMs > (this.#termMs * 2) / 3) {
      this.#lost.abort(takenOver(this.#image, undefined));
    }
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}

function takenOver(image: ImageRef, by: Holder | undefined): HostbusError {
  const data = by === undefined ? { ...image } : { ...image, holder: publicHolder(by) };
  const who =
    by === undefined ? 'its holder file is gone or cannot be renewed' : `host ${by.hostId} took it over`;
  return new HostbusError('ImageBusy', `Image ${image.imageId} is no longer held by this task: ${who}`, data);
}
