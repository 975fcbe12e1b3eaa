/**
 * System calls that Node.js does not offer, on Linux, by way of the C library. All run on the thread pool (one thread
 * each, while they last) and never block the event loop; each costs about 30 µs, so use them on large pieces.
 */
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

const library = koffi.load('libc.so.6');
koffi.struct('file_clone_range', {
  src_fd: 'int64_t',
  src_offset: 'uint64_t',
  src_length: 'uint64_t',
  dest_offset: 'uint64_t',
});

const functions = {
  lseek: library.func('int64_t lseek(int fd, int64_t offset, int whence)'),
  copyFileRange: library.func(
    'int64_t copy_file_range(int in, _In_ int64_t *inOffset, int out, _In_ int64_t *outOffset, size_t length, unsigned int flags)',
  ),
  syncFileRange: library.func(
    'int sync_file_range(int fd, int64_t offset, int64_t length, unsigned int flags)',
  ),
  fallocate: library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
  // Variadic in C; koffi cannot call those asynchronously, and Linux passes these arguments alike on x86-64 and arm64.
  ioctlClone: library.func('int ioctl(int fd, unsigned long request, _In_ file_clone_range *range)'),
  ioctlFiemap: library.func('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *map)'),
  adjtimex: library.func('int adjtimex(_Inout_ uint8_t *timex)'),
  exit: library.func('void _exit(int status)'),
} as const;

const seekData = 3;
const seekHole = 4;
// _IOW(0x94, 13, struct file_clone_range)
const ficloneRange = 0x4020940d;
// _IOWR(0x66, 11, struct fiemap), as linux/fiemap.h has it: 32 bytes, then 56 for each extent.
const fsIocFiemap = 0xc020660b;
const fiemapHeaderBytes = 32;
const fiemapExtentBytes = 56;
const fiemapExtentsAtOnce = 512;
const extentUnwritten = 0x800;
const punchHoleKeepingSize = 3;
const syncWaitBefore = 1;
const syncWrite = 2;
const syncWaitAfter = 4;

/** A system call that failed; shaped like the errors of Node's own file functions. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  /** Such as `ENOSPC`. */
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;

  constructor(syscall: string, errno: number) {
    const code = getSystemErrorName(-errno);
    super(`${code}: ${syscall} failed`);
    this.code = code;
    this.errno = errno;
    this.syscall = syscall;
  }
}

/**
 * The next stretch of data at or after an offset.
 *
 * @returns its begin and end (exclusive), bytes; undefined when only holes follow
 * @throws {SystemCallError} EINVAL where the file system cannot tell data from holes
 */
export async function nextData(
  fd: number,
  offset: number,
): Promise<{ begin: number; end: number } | undefined> {
  try {
    const begin = await call('lseek', functions.lseek, fd, offset, seekData);
    const end = await call('lseek', functions.lseek, fd, begin, seekHole);
    return { begin, end };
  } catch (error) {
    // "Nothing but a hole until the end", or the end itself.
    if (error instanceof SystemCallError && error.code === 'ENXIO') return undefined;
    throw error;
  }
}

/**
 * How much data a file has in the next few hundred extents from an offset: an estimate, since what has just been written may be
 * missing.
 *
 * @returns its bytes, and up to where it was counted: `end`, or less where there are more extents
 * @throws {SystemCallError} ENOTSUP (as Node names EOPNOTSUPP), ENOTTY where the file system does not tell
 */
export async function countData(
  fd: number,
  begin: number,
  end: number,
): Promise<{ dataBytes: number; countedTo: number }> {
  const map = Buffer.alloc(fiemapHeaderBytes + fiemapExtentsAtOnce * fiemapExtentBytes);
  map.writeBigUInt64LE(BigInt(begin), 0);
  map.writeBigUInt64LE(BigInt(end - begin), 8);
  map.writeUInt32LE(fiemapExtentsAtOnce, 24);
  await call('ioctl', functions.ioctlFiemap, fd, fsIocFiemap, map);
  const mapped = map.readUInt32LE(20);
  let dataBytes = 0;
  let countedTo = begin;
  for (let i = 0; i < mapped; i += 1) {
    const at = fiemapHeaderBytes + i * fiemapExtentBytes;
    const extentBegin = Number(map.readBigUInt64LE(at));
    const extentEnd = Math.min(end, extentBegin + Number(map.readBigUInt64LE(at + 16)));
    // An unwritten extent is reserved space: it reads as zeroes.
    const written = (map.readUInt32LE(at + 40) & extentUnwritten) === 0;
    if (written) dataBytes += extentEnd - Math.max(begin, extentBegin);
    countedTo = extentEnd;
  }
  return { dataBytes, countedTo: mapped < fiemapExtentsAtOnce ? end : countedTo };
}

/**
 * Lets the kernel copy a piece from one file to another, at the same offset in both.
 *
 * @returns bytes copied, which may be fewer than asked for; 0 at the source's end
 * @throws {SystemCallError} EXDEV, EINVAL, ENOSYS, ENOTSUP where the kernel cannot, between these two files
 */
export async function copyFileRange(
  sourceFd: number,
  targetFd: number,
  offset: number,
  lengthBytes: number,
): Promise<number> {
  return call(
    'copy_file_range',
    functions.copyFileRange,
    sourceFd,
    [offset],
    targetFd,
    [offset],
    lengthBytes,
    0,
  );
}

/**
 * Lets the target share the source's blocks, at the same offset in both.
 *
 * @param lengthBytes - 0: to the source's end
 * @throws {SystemCallError} ENOTSUP (as Node names EOPNOTSUPP), ENOTTY, EXDEV, EINVAL where the file system cannot
 */
export async function cloneFileRange(
  sourceFd: number,
  targetFd: number,
  offset: number,
  lengthBytes: number,
): Promise<void> {
  const range = { src_fd: sourceFd, src_offset: offset, src_length: lengthBytes, dest_offset: offset };
  await call('ioctl', functions.ioctlClone, targetFd, ficloneRange, range);
}

/** Starts writing dirty pages of a piece to the disk; does not wait for them. No durability by itself. */
export async function startWriteBack(fd: number, offset: number, lengthBytes: number): Promise<void> {
  await call('sync_file_range', functions.syncFileRange, fd, offset, lengthBytes, syncWrite);
}

/** Waits until a piece's pages are written, so that there is a bound on dirty memory. No durability by itself. */
export async function finishWriteBack(fd: number, offset: number, lengthBytes: number): Promise<void> {
  const flags = syncWaitBefore | syncWrite | syncWaitAfter;
  await call('sync_file_range', functions.syncFileRange, fd, offset, lengthBytes, flags);
}

/**
 * Reserves blocks for a file and makes it at least this long.
 *
 * @throws {SystemCallError} ENOSPC; ENOTSUP where the file system cannot
 */
export async function allocate(fd: number, lengthBytes: number): Promise<void> {
  await call('fallocate', functions.fallocate, fd, 0, 0, lengthBytes);
}

/**
 * Makes a hole: the stretch reads as zeroes and occupies nothing. The file keeps its length.
 *
 * @throws {SystemCallError} ENOTSUP (as Node names EOPNOTSUPP) where the file system has no holes
 */
export async function punchHole(fd: number, offset: number, lengthBytes: number): Promise<void> {
  await call('fallocate', functions.fallocate, fd, punchHoleKeepingSize, offset, lengthBytes);
}

/** Whether somebody keeps the clock in step with others, and by how much it may be wrong, as the kernel was told. Changes nothing. */
export async function kernelClock(): Promise<{ synchronized: boolean; maxErrorMs: number }> {
  // struct timex: `modes` 0 asks only; `maxerror`, microseconds, is its third 8-byte word after it.
  const timex = Buffer.alloc(256);
  await call('adjtimex', functions.adjtimex, timex);
  const maxErrorUs = Number(timex.readBigInt64LE(24));
  // The kernel adds up its own drift: at 16 s it calls itself unsynchronized.
  return { synchronized: maxErrorUs < 16_000_000, maxErrorMs: maxErrorUs / 1000 };
}

/**
 * Ends the process, whatever its threads do. `process.exit` first waits for the thread pool: for ever, when a thread waits for
 * a file system that hangs. No `exit` listener is called.
 */
export function exitAtOnce(code: number): never {
  functions.exit(code);
  throw new Error('_exit returned');
}

type Argument = number | readonly number[] | Readonly<Record<string, number>> | Buffer;
interface AsyncFunction {
  async(...args: unknown[]): void;
}

// A call that a signal interrupted has done nothing, and is made again.
async function call(name: string, fn: AsyncFunction, ...args: Argument[]): Promise<number> {
  for (;;) {
    const { result, errno } = await callOnce(fn, args);
    if (result >= 0) return result;
    if (errno !== koffi.os.errno.EINTR) throw new SystemCallError(name, errno);
  }
}

function callOnce(fn: AsyncFunction, args: readonly Argument[]): Promise<{ result: number; errno: number }> {
  return new Promise((resolve, reject) => {
    fn.async(...args, (error: unknown, result: number | bigint) => {
      // errno belongs to the call only inside this callback.
      const errno = koffi.errno();
      if (error) reject(error);
      else resolve({ result: Number(result), errno });
    });
  });
}
