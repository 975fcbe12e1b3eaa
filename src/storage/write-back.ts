/**
 * Keeps the disk writing while a copy runs: write-back of each piece starts at once, and the copy never runs more than a
 * few pieces ahead of the disk. That bounds dirty memory, and leaves little for the flush at the end.
 */
import { errnoCode } from '../lib/atomic-file.ts';
import { finishWriteBack, startWriteBack } from '../lib/libc.ts';

interface Piece {
  begin: number;
  end: number;
  /** Data in it; between stretches of data there may be holes. */
  dataBytes: number;
}

// sync_file_range is a hint only: where a file system does not have it, the flushes do all.
const unsupported = new Set(['EINVAL', 'ENOSYS', 'ESPIPE', 'ENOTSUP', 'EOPNOTSUPP']);

export class WriteBack {
  readonly #fd: number;
  readonly #pieceBytes: number;
  readonly #aheadBytes: number;
  readonly #started: Piece[] = [];
  #gathering: Piece | undefined;
  #dirtyBytes = 0;
  #supported = true;

  /**
   * @param pieceBytes - smaller stretches are gathered up to this size, because each start is a system call
   * @param aheadBytes - how much may be on its way to the disk
   */
  constructor(fd: number, pieceBytes: number, aheadBytes: number) {
    this.#fd = fd;
    this.#pieceBytes = pieceBytes;
    this.#aheadBytes = aheadBytes;
  }

  /**
   * Tells of data that has been written, in the order of offsets.
   *
   * @throws errors of writing, such as EIO and ENOSPC: they may be told here, and then not again by a flush
   */
  async wrote(offset: number, lengthBytes: number): Promise<void> {
    if (!this.#supported) return;
    this.#gathering ??= { begin: offset, end: offset, dataBytes: 0 };
    const piece = this.#gathering;
    piece.end = offset + lengthBytes;
    piece.dataBytes += lengthBytes;
    if (piece.dataBytes < this.#pieceBytes) return;
    this.#gathering = undefined;
    try {
      await this.#start(piece);
    } catch (error) {
      if (!unsupported.has(errnoCode(error) ?? '')) throw error;
      this.#supported = false;
    }
  }

  /** After a flush nothing is dirty. */
  flushed(): void {
    this.#started.length = 0;
    this.#gathering = undefined;
    this.#dirtyBytes = 0;
  }

  async #start(piece: Piece): Promise<void> {
    await startWriteBack(this.#fd, piece.begin, piece.end - piece.begin);
    this.#started.push(piece);
    this.#dirtyBytes += piece.dataBytes;
    while (this.#dirtyBytes > this.#aheadBytes) await this.#finishOldest();
  }

  async #finishOldest(): Promise<void> {
    const oldest = this.#started.shift();
    if (oldest === undefined) return;
    this.#dirtyBytes -= oldest.dataBytes;
    await finishWriteBack(this.#fd, oldest.begin, oldest.end - oldest.begin);
  }
}
