/** `qemu-img` at work on open image files: converting, checking, comparing. All may last; all can be aborted. */
import type { Logger } from 'pino';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import type { ResourceLimits } from './confinement.ts';
import { ProgramFailed, run } from './run.ts';

/** An open image file: the descriptor is handed over, not the path, so that what is worked on is what was opened. */
export interface OpenFile {
  fd: number;
  format: 'raw' | 'qcow2';
}

/** An open image: its files, the base first; each builds on the one before, whatever its header says. Most have one. */
export type OpenImage = readonly OpenFile[];

export interface WorkOptions {
  log: Logger;
  signal: AbortSignal;
}

// What its tables may take of a file of many TiB; the caches are bounded by qemu-img itself.
const workMemoryBytes = 4 * 1024 ** 3;
// A hostile file can make each of a great many tables be looked at once for each of a great many snapshots.
const checkCpuS = 3600;
const measureLimits: ResourceLimits = { cpuS: 30, addressSpaceBytes: 1024 ** 3 };
const measureTimeoutMs = 60_000;
const lines = { max: 100, maxLength: 300 };
const firstDescriptor = 3;

/**
 * Converts into an image file that exists. The target is not flushed: whoever calls keeps the disk
 * writing beside it, and flushes at the end.
 *
 * @param target - raw: as large as the source's capacity, at least; qcow2: whatever is in it is lost
 * @param empty - the target has no data. Then what is zero in the source stays a hole on every file system; otherwise zeroes
 *   are punched or written
 * @param onPercent - 0 to 100, of what is data in the source
 * @throws {ProgramFailed} with qemu-img's own words
 */
export async function convertFile(
  source: OpenImage,
  target: OpenFile,
  options: WorkOptions & { empty: boolean; onPercent(percent: number): void },
): Promise<void> {
  // A raw file is never shorter than it must be, at no moment; of a qcow2 file only qemu-img knows what it must hold.
  const into = target.format === 'qcow2' ? [] : ['-n', ...(options.empty ? ['--target-is-zero'] : [])];
  const names = [nameOf(source), pathOf(firstDescriptor + source.length)];
  // Measured, with the file's write-back kept going beside it: this takes 0.45 of the time of `-t none -T none -W -m 8`, and of
  // plain use with a flush at the end 0.25 to 0.7; writing out of order (-W) makes it no quicker. The cache mode that is left
  // out is "no flushes".
  const args = ['convert', '-p', '--force-share', ...into, '-O', target.format, ...names];
  await run('qemu-img', args, {
    ...workOptions(options),
    descriptors: [...descriptorsOf(source), target.fd],
    onOutput: percentReader(options.onPercent),
  });
}

/**
 * How much space a conversion takes at most, in bytes of the target's file system.
 *
 * @throws {ProgramFailed}
 */
export async function measureConversion(
  source: OpenImage,
  to: 'raw' | 'qcow2',
  options: WorkOptions,
): Promise<number> {
  const args = ['measure', '--output=json', '--force-share', '-O', to, nameOf(source)];
  const { stdout } = await run('qemu-img', args, {
    log: options.log,
    signal: options.signal,
    timeoutMs: measureTimeoutMs,
    limits: measureLimits,
    descriptors: descriptorsOf(source),
  });
  return parsed(stdout, Measured).required;
}

const Measured = Compile(Type.Object({ required: Type.Integer({ minimum: 0 }) }));
const Checked = Compile(
  Type.Object({
    'check-errors': Type.Integer(),
    corruptions: Type.Optional(Type.Integer()),
    leaks: Type.Optional(Type.Integer()),
  }),
);

/**
 * Checks the structure of a qcow2 file, by itself.
 *
 * @returns what is wrong with it, in qemu-img's words; no more than a hundred entries
 * @throws {ProgramFailed} when there is no answer
 */
export async function checkQcow2(fd: number, options: WorkOptions): Promise<string[]> {
  const args = ['check', '--output=json', '--force-share', nameOf([{ fd, format: 'qcow2' }])];
  const work = { ...workOptions(options), descriptors: [fd], exitCodes: [0, 1, 2, 3] };
  const limits = { ...work.limits, cpuS: checkCpuS };
  try {
    const { exitCode, stdout, stderr } = await run('qemu-img', args, { ...work, limits });
    return exitCode === 0 ? [] : [...checkSummary(exitCode, stdout), ...complaints(stderr)];
  } catch (error) {
    // So much is wrong with it that telling it all is more than is allowed.
    if (!(error instanceof ProgramFailed) || error.kind !== 'output') throw error;
    return ['so much is wrong that not all of it is told', ...complaints(error.stderr)];
  }
}

function checkSummary(exitCode: number, stdout: string): string[] {
  // Not even opened: stderr says why.
  if (stdout.trim() === '') return [];
  const { corruptions = 0, leaks = 0, 'check-errors': failures } = parsed(stdout, Checked);
  return [
    corruptions > 0 ? `${corruptions} errors in its structure: data may be lost` : '',
    leaks > 0 ? `${leaks} clusters are leaked: they take space, the data is whole` : '',
    failures > 0 || exitCode === 1 ? 'the check could not be completed' : '',
  ].filter((text) => text !== '');
}

/**
 * Compares what a virtual machine would read of two images.
 *
 * @returns where they differ first, in qemu-img's words; undefined when they do not
 * @throws {ProgramFailed} when one cannot be read
 */
export async function compareFiles(
  a: OpenImage,
  b: OpenImage,
  options: WorkOptions & { onPercent(percent: number): void },
): Promise<string | undefined> {
  const names = [nameOf(a), nameOf(b, firstDescriptor + a.length)];
  const args = ['compare', '-p', '--force-share', ...names];
  const { exitCode, stdout } = await run('qemu-img', args, {
    ...workOptions(options),
    descriptors: [...descriptorsOf(a), ...descriptorsOf(b)],
    exitCodes: [0, 1],
    onOutput: percentReader(options.onPercent),
  });
  if (exitCode === 0) return undefined;
  const offset = /Content mismatch at offset (\d+)/.exec(stdout)?.[1];
  return offset === undefined ? 'they differ' : `the content differs at offset ${offset}`;
}

function pathOf(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

function descriptorsOf(image: OpenImage): number[] {
  return image.map(({ fd }) => fd);
}

/**
 * A name that says all: which file builds on which, and in what format each is. What headers say of other files is not
 * followed, and no format is guessed.
 */
function nameOf(image: OpenImage, descriptor = firstDescriptor): string {
  let node: object | null = null;
  for (const [i, { format }] of image.entries()) {
    const file = { driver: 'file', filename: pathOf(descriptor + i) };
    node = format === 'raw' ? { driver: 'raw', file } : { driver: 'qcow2', file, backing: node };
  }
  return `json:${JSON.stringify(node)}`;
}

function workOptions({ log, signal }: WorkOptions) {
  return { log, signal, timeoutMs: 'none', limits: { addressSpaceBytes: workMemoryBytes } } as const;
}

function complaints(stderr: string): string[] {
  const told = stderr.split('\n').filter((line) => line.trim() !== '' && !/ may be corrupted,/.test(line));
  const shown = told.slice(0, lines.max).map((line) => line.slice(0, lines.maxLength));
  return told.length > shown.length ? [...shown, `… and ${told.length - shown.length} more lines`] : shown;
}

/** Reads `(12.34/100%)` out of pieces of output, which may be cut anywhere. */
function percentReader(tell: (percent: number) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const all = rest + text;
    for (const [, percent] of all.matchAll(/\((\d+\.\d+)\/100%\)/g)) tell(Math.min(Number(percent), 100));
    rest = all.slice(all.lastIndexOf(')') + 1).slice(-32);
  };
}

function parsed<T>(stdout: string, shape: { Check(value: unknown): value is T }): T {
  const failure = { kind: 'exit' as const, text: 'answered in a way that is not understood', stderr: '' };
  try {
    const value: unknown = JSON.parse(stdout);
    if (shape.Check(value)) return value;
  } catch (error) {
    throw new ProgramFailed('qemu-img', failure, { cause: error });
  }
  throw new ProgramFailed('qemu-img', failure);
}
