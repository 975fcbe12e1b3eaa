/** Copies the data of one file into another: holes kept, constant memory, durable bit by bit. Knows nothing of images. */
import type { FileHandle } from 'node:fs/promises';
import { clearData } from './clear-data.ts';
import { dataAfter, holeCount } from './copy-progress.ts';
import { DataMover, type MoveMethod } from './data-mover.ts';
import { WriteBack } from './write-back.ts';

/** How far a copy is. */
export interface CopyPosition {
  /** All before it is in the target. */
  offset: number;
  /** Progress there (see copy-progress.ts). */
  doneBytes: number;
}

export interface DataCopy {
  source: FileHandle;
  /** As long as it is to be. */
  target: FileHandle;
  /** Whether the target may have data behind `start`, of a copy that was cut short: where the source has holes, it is removed. */
  targetUsed?: boolean;
  /** Of the source's file. */
  sizeBytes: number;
  totalBytes: number;
  countedTo: number;
  start: CopyPosition;
  chunkBytes: number;
  checkpointMs: number;
  /** Aborted: stops after the chunk at hand, and throws the reason. */
  signal: AbortSignal;
  /** The best way to try. @default 'clone' */
  method?: MoveMethod;
  onProgress(doneBytes: number): void;
  /** Told at intervals, after everything up to the position has been flushed. */
  onDurable(position: CopyPosition): Promise<void>;
}

// Cloning shares blocks without moving them; pieces only so that it can be stopped. A multiple of any block size.
const cloneStepBytes = 1024 * 1024 * 1024;
/** Chunks that may be on their way to the disk. */
const chunksAhead = 8;

/** Runs a copy; `position` and `flush` are for whoever has to end it properly after a failure. */
export class CopyRun {
  readonly #copy: DataCopy;
  readonly #mover: DataMover;
  readonly #writeBack: WriteBack;
  #position: CopyPosition;
  #failed: unknown;
  #checkpointAtMs = performance.now();

  constructor(copy: DataCopy) {
    this.#copy = copy;
    this.#mover = new DataMover(copy.source, copy.target, copy.method);
    this.#writeBack = new WriteBack(copy.target.fd, copy.chunkBytes, chunksAhead * copy.chunkBytes);
    this.#position = copy.start;
  }

  /** In which way data was moved at last. */
  get method(): MoveMethod {
    return this.#mover.method;
  }

  /**
   * Copies to the end. The last part is not flushed.
   *
   * @throws the reason of `signal`; SourceTooShort; errors of the file systems
   */
  async run(): Promise<void> {
    const { sizeBytes, source, signal } = this.#copy;
    signal.throwIfAborted();
    if (await this.#clone()) return;
    for (;;) {
      const { offset } = this.#position;
      const stretch = await dataAfter(source.fd, offset, sizeBytes);
      await this.#skipTo(stretch?.begin ?? sizeBytes);
      if (stretch === undefined) return;
      await this.#copyStretch(stretch.end);
    }
  }

  /**
   * Flushes the target, and tells how far it is now durable.
   *
   * @throws errors of the file system; the same one again and again once writing to the disk has failed
   */
  async flush(): Promise<CopyPosition> {
    // The kernel tells a failed write once, and may have thrown the data away: a later flush that succeeds proves nothing.
    if (this.#failed !== undefined) throw this.#failed;
    const position = this.#position;
    await this.#noting(this.#copy.target.datasync());
    this.#writeBack.flushed();
    return position;
  }

  async #noting(writing: Promise<void>): Promise<void> {
    try {
      await writing;
    } catch (error) {
      this.#failed = error;
      throw error;
    }
  }

  async #clone(): Promise<boolean> {
    const { sizeBytes, totalBytes } = this.#copy;
    // Ranges must begin at a block; a copy that goes on begins at its last checkpoint, which need not be one.
    for (
      let offset = this.#position.offset - (this.#position.offset % cloneStepBytes);
      offset < sizeBytes;
    ) {
      const end = Math.min(offset + cloneStepBytes, sizeBytes);
      if (!(await this.#mover.clone(offset, end === sizeBytes ? 0 : cloneStepBytes))) return false;
      await this.#advance({ offset: end, doneBytes: Math.floor(totalBytes * (end / sizeBytes)) });
      offset = end;
    }
    return true;
  }

  async #skipTo(offset: number): Promise<void> {
    if (this.#copy.targetUsed === true) await clearData(this.#copy.target, this.#position.offset, offset);
    const done = this.#position.doneBytes + holeCount(this.#copy, this.#position.offset, offset);
    this.#position = { offset, doneBytes: Math.min(done, this.#copy.totalBytes) };
  }

  async #copyStretch(end: number): Promise<void> {
    while (this.#position.offset < end) {
      const { offset, doneBytes } = this.#position;
      const copied = await this.#mover.copy(offset, Math.min(this.#copy.chunkBytes, end - offset));
      await this.#noting(this.#writeBack.wrote(offset, copied));
      // A source with more data than was counted beforehand never shows more than the whole.
      const done = Math.min(doneBytes + copied, this.#copy.totalBytes);
      await this.#advance({ offset: offset + copied, doneBytes: done });
    }
  }

  async #advance(position: CopyPosition): Promise<void> {
    this.#position = position;
    this.#copy.onProgress(position.doneBytes);
    this.#copy.signal.throwIfAborted();
    if (performance.now() - this.#checkpointAtMs < this.#copy.checkpointMs) return;
    await this.#copy.onDurable(await this.flush());
    this.#checkpointAtMs = performance.now();
  }
}
