/** `qemu-img`: what is known of a disk image, and making empty ones. */

import type { Logger } from 'pino';
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { ProgramFailed, run } from './run.ts';

const infoTimeoutMs = 20_000;
// Whoever can put a file where it is imported from, or write to the storage, chooses what it makes qemu-img do.
const infoLimits = { cpuS: 30, addressSpaceBytes: 1024 ** 3 };
const createTimeoutMs = 30_000;
// `falloc` is emulated by writing where the file system cannot reserve.
const preallocateTimeoutMs = 3_600_000;

const QemuInfo = Compile(
  Type.Object({
    format: Type.String(),
    'virtual-size': Type.Integer({ minimum: 0 }),
    encrypted: Type.Optional(Type.Boolean()),
    'backing-filename': Type.Optional(Type.String()),
    'full-backing-filename': Type.Optional(Type.String()),
    'format-specific': Type.Optional(
      Type.Object({
        data: Type.Optional(
          Type.Object({
            'data-file': Type.Optional(Type.String()),
            encrypt: Type.Optional(Type.Unknown()),
            corrupt: Type.Optional(Type.Boolean()),
          }),
        ),
      }),
    ),
  }),
);

export interface ImageFileInfo {
  /** As qemu-img names it: `raw`, `qcow2`, `vmdk` … */
  format: string;
  virtualSizeBytes: number;
  encrypted: boolean;
  /** Marked corrupt by QEMU. */
  corrupt: boolean;
  /** Another file that it builds on, as its header names it. */
  backingName: string | undefined;
  /** Another file that has its data. */
  dataFile: string | undefined;
}

/**
 * Looks at an open image file. The descriptor is handed over, not the path, so that what is looked at is what was opened.
 *
 * @param fd - a descriptor of this process, open for reading
 * @param format - `undefined`: detected from the content
 * @throws {ProgramFailed} qemu-img missing, failing, too slow, or using more processor time or memory than looking at an image takes
 */
export async function inspectImage(
  fd: number,
  format: string | undefined,
  options: { log: Logger; signal?: AbortSignal },
): Promise<ImageFileInfo> {
  const formatArguments = format === undefined ? [] : ['-f', format];
  // --force-share: a lock that somebody else holds is no reason not to look.
  const args = ['info', '--output=json', '--force-share', ...formatArguments, '/proc/self/fd/3'];
  const { log, signal } = options;
  const { stdout } = await run('qemu-img', args, {
    log,
    ...(signal === undefined ? {} : { signal }),
    timeoutMs: infoTimeoutMs,
    limits: infoLimits,
    descriptors: [fd],
  });
  const info = parseInfo(stdout);
  const specific = info['format-specific']?.data;
  return {
    format: info.format,
    virtualSizeBytes: info['virtual-size'],
    encrypted: info.encrypted === true || specific?.encrypt !== undefined,
    corrupt: specific?.corrupt === true,
    backingName: info['backing-filename'] ?? info['full-backing-filename'],
    dataFile: specific?.['data-file'],
  };
}

/**
 * Makes an empty image file. It is not flushed.
 *
 * @throws {ProgramFailed} with qemu-img's own words
 */
export async function createQcow2(
  path: string,
  capacityBytes: number,
  options: { log: Logger; preallocated: boolean },
): Promise<void> {
  const allocation = options.preallocated ? ['-o', 'preallocation=falloc'] : [];
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', ...allocation, path, String(capacityBytes)], {
    log: options.log,
    limits: {},
    timeoutMs: options.preallocated ? preallocateTimeoutMs : createTimeoutMs,
  });
}

function parseInfo(stdout: string): ReturnType<typeof QemuInfo.Parse> {
  const failure = { kind: 'exit' as const, text: 'answered in a way that is not understood', stderr: '' };
  try {
    const info: unknown = JSON.parse(stdout);
    if (QemuInfo.Check(info)) return info;
  } catch (error) {
    throw new ProgramFailed('qemu-img', failure, { cause: error });
  }
  throw new ProgramFailed('qemu-img', failure);
}
