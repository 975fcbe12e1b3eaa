/** Moves pieces of data between two files, in the best way that these two allow. */
import type { FileHandle } from 'node:fs/promises';
import { errnoCode } from '../lib/atomic-file.ts';
import { cloneFileRange, copyFileRange } from '../lib/libc.ts';

/**
 * - `clone`: the file system shares the blocks
 * - `kernel`: `copy_file_range`
 * - `buffer`: read and written
 */
export type MoveMethod = 'clone' | 'kernel' | 'buffer';

// "Not here, not between these two": the next way will do. Everything else is an error of the copy.
const notHere = new Set(['EXDEV', 'EINVAL', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'ENOTTY', 'EPERM', 'EBADF']);
const bufferMaxBytes = 4 * 1024 * 1024;

/** A source became shorter while it was copied. */
export class SourceTooShort extends Error {
  override readonly name = 'SourceTooShort';
  constructor(offset: number) {
    super(`The source ends at ${offset} bytes, before its end at the beginning of the copy`);
  }
}

export class DataMover {
  readonly #source: FileHandle;
  readonly #target: FileHandle;
  #method: MoveMethod;
  #buffer: Buffer | undefined;

  /** @param method - the best way to try; worse ones follow by themselves */
  constructor(source: FileHandle, target: FileHandle, method: MoveMethod = 'clone') {
    this.#source = source;
    this.#target = target;
    this.#method = method;
  }

  get method(): MoveMethod {
    return this.#method;
  }

  /**
   * Shares a stretch, holes and all.
   *
   * @param lengthBytes - a multiple of the block size, or 0 for all to the source's end
   * @returns whether the file system could; when not, this way is not tried again
   */
  async clone(offset: number, lengthBytes: number): Promise<boolean> {
    if (this.#method !== 'clone') return false;
    try {
      await cloneFileRange(this.#source.fd, this.#target.fd, offset, lengthBytes);
      return true;
    } catch (error) {
      if (!notHere.has(errnoCode(error) ?? '')) throw error;
      this.#method = 'kernel';
      return false;
    }
  }

  /**
   * Copies a piece.
   *
   * @returns bytes copied, at least one
   * @throws {SourceTooShort}; errors of the file systems
   */
  async copy(offset: number, lengthBytes: number): Promise<number> {
    if (this.#method !== 'buffer') {
      const copied = await this.#copyInKernel(offset, lengthBytes);
      if (copied > 0) return copied;
    }
    return this.#copyThroughBuffer(offset, lengthBytes);
  }

  async #copyInKernel(offset: number, lengthBytes: number): Promise<number> {
    try {
      // 0 is the source's end, or a file system that says so of files that it cannot copy: reading tells.
      return await copyFileRange(this.#source.fd, this.#target.fd, offset, lengthBytes);
    } catch (error) {
      if (!notHere.has(errnoCode(error) ?? '')) throw error;
      this.#method = 'buffer';
      return 0;
    }
  }

  async #copyThroughBuffer(offset: number, lengthBytes: number): Promise<number> {
    this.#buffer ??= Buffer.allocUnsafeSlow(bufferMaxBytes);
    const wanted = Math.min(lengthBytes, this.#buffer.length);
    const { bytesRead } = await this.#source.read(this.#buffer, 0, wanted, offset);
    if (bytesRead === 0) throw new SourceTooShort(offset);
    let written = 0;
    while (written < bytesRead) {
      const { bytesWritten } = await this.#target.write(
        this.#buffer,
        written,
        bytesRead - written,
        offset + written,
      );
      written += bytesWritten;
    }
    return bytesRead;
  }
}
