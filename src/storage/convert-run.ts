/** Converts the data of an image into one file, of whichever format, by qemu-img. Knows nothing of images. */
import type { FileHandle } from 'node:fs/promises';
import type { Logger } from 'pino';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageFormat, ImageRef } from '../../schemas/image.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { startWriteBack } from '../lib/libc.ts';
import { convertFile, type OpenImage } from '../programs/qemu-img-work.ts';
import type { ProgramFailed } from '../programs/run.ts';
import type { CopyPosition } from './copy-data.ts';
import { dataAfter } from './copy-progress.ts';
import { programRefusal } from './empty-data.ts';
import { noSpace } from './failures.ts';

export interface Conversion {
  source: OpenImage;
  /** Of the right size when it is raw. What is in it, from a try that was cut short, is overwritten. */
  target: FileHandle;
  to: ImageFormat;
  /** What 100 % is in progress reports. */
  totalBytes: number;
  log: Logger;
  /** Aborted: throws the reason, once qemu-img is gone. */
  signal: AbortSignal;
  onProgress(doneBytes: number): void;
}

const writeBackEveryMs = 100;

/** Like a CopyRun, but one that can only begin at zero. */
export class ConvertRun {
  readonly method = 'qemu-img';
  readonly #conversion: Conversion;
  #complete = false;

  constructor(conversion: Conversion) {
    this.#conversion = conversion;
  }

  /**
   * Converts to the end. The last part is not flushed.
   *
   * @throws the reason of `signal`; {ProgramFailed}; errors of writing
   */
  async run(): Promise<void> {
    const { source, target, to, totalBytes, log, signal, onProgress } = this.#conversion;
    signal.throwIfAborted();
    const { size } = await target.stat();
    const empty = (await dataAfter(target.fd, 0, size)) === undefined;
    const writeBack = new SteadyWriteBack(target.fd);
    try {
      await convertFile(
        source,
        { fd: target.fd, format: to },
        {
          log,
          signal: AbortSignal.any([signal, writeBack.failed]),
          empty,
          onPercent: (percent) => onProgress(Math.floor((totalBytes * percent) / 100)),
        },
      );
    } catch (error) {
      signal.throwIfAborted();
      writeBack.failed.throwIfAborted();
      throw error;
    } finally {
      await writeBack.stop();
    }
    writeBack.failed.throwIfAborted();
    this.#complete = true;
  }

  /** Flushes the target when it is complete. Half of a conversion is worth nothing: it is always begun again. */
  async flush(): Promise<CopyPosition> {
    if (this.#complete) await this.#conversion.target.datasync();
    return { offset: 0, doneBytes: 0 };
  }
}

// sync_file_range is a hint only: where a file system does not have it, the flush at the end does all.
const unsupported = new Set(['EINVAL', 'ENOSYS', 'ESPIPE', 'ENOTSUP', 'EOPNOTSUPP']);

/** Keeps the disk writing while somebody else writes the file. */
class SteadyWriteBack {
  readonly #fd: number;
  readonly #failed = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #starting: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(fd: number) {
    this.#fd = fd;
    this.#schedule();
  }

  /** Aborted when writing failed; the reason is the error, which a flush might not tell again. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#starting;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#starting = this.#start();
    }, writeBackEveryMs);
  }

  async #start(): Promise<void> {
    try {
      // 0: to the end of the file.
      await startWriteBack(this.#fd, 0, 0);
      this.#schedule();
    } catch (error) {
      if (!unsupported.has(errnoCode(error) ?? '')) this.#failed.abort(error);
    }
  }
}

const stderrMaxLength = 2000;

/** What the caller is told when qemu-img could not convert. */
export function conversionError(error: ProgramFailed, target: ImageRef): HostbusError {
  if (error.kind === 'missing') return programRefusal(error);
  if (/no space left|quota exceeded/i.test(error.stderr)) return noSpace(target, {}, error);
  const errno = /input\/output error/i.test(error.stderr) ? { errno: 'EIO' } : {};
  const stderr = error.stderr.trim().slice(-stderrMaxLength);
  const message = `Converting to image ${target.imageId} failed: ${error.message}. The image is interrupted`;
  return new HostbusError('CopyFailed', message, { ...target, ...errno, stderr }, { cause: error });
}
