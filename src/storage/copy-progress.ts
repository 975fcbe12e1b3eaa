/**
 * What the progress of a copy counts: bytes of data, not of holes, so that the bar moves at the disk's speed and does not
 * leap. Counting the data beforehand takes system calls, so it has a time limit: of a file with very many stretches only the first
 * part may be counted so, and in the rest holes count like data. The total never changes, even where the estimate was wrong.
 */
import { errnoCode } from '../lib/atomic-file.ts';
import { countData, nextData } from '../lib/libc.ts';

export interface CopyMeasure {
  /** Bytes of the whole work. */
  totalBytes: number;
  /** Before this offset holes do not count; behind it they do. */
  countedTo: number;
}

const countingLimitMs = 500;

/** Counts the data of a file. Constant memory, and about half a second at most. */
export async function measureData(fd: number, sizeBytes: number): Promise<CopyMeasure> {
  const endMs = performance.now() + countingLimitMs;
  let dataBytes = 0;
  let offset = 0;
  while (offset < sizeBytes && performance.now() < endMs) {
    const part = await countPart(fd, offset, sizeBytes);
    dataBytes += part.dataBytes;
    offset = part.countedTo;
  }
  return { totalBytes: dataBytes + sizeBytes - offset, countedTo: offset };
}

// Hundreds of extents in one system call where the file system tells them, else stretch by stretch.
async function countPart(fd: number, offset: number, sizeBytes: number) {
  try {
    return await countData(fd, offset, sizeBytes);
  } catch (error) {
    if (!['ENOTSUP', 'EOPNOTSUPP', 'ENOTTY', 'EINVAL'].includes(errnoCode(error) ?? '')) throw error;
    const stretch = await dataAfter(fd, offset, sizeBytes);
    if (stretch === undefined) return { dataBytes: 0, countedTo: sizeBytes };
    return { dataBytes: stretch.end - stretch.begin, countedTo: stretch.end };
  }
}

/** How much of a hole counts as work. */
export function holeCount(measure: { countedTo: number }, begin: number, end: number): number {
  return Math.max(0, end - Math.max(begin, measure.countedTo));
}

/**
 * The next stretch of data, cut off at `sizeBytes`; undefined when only holes follow. Where the file system cannot tell, all
 * is data.
 */
export async function dataAfter(
  fd: number,
  offset: number,
  sizeBytes: number,
): Promise<{ begin: number; end: number } | undefined> {
  if (offset >= sizeBytes) return undefined;
  try {
    const found = await nextData(fd, offset);
    if (found === undefined || found.begin >= sizeBytes) return undefined;
    return { begin: found.begin, end: Math.min(found.end, sizeBytes) };
  } catch (error) {
    const code = errnoCode(error);
    if (code !== 'EINVAL' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP') throw error;
    return { begin: offset, end: sizeBytes };
  }
}
