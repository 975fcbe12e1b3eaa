/** Whether the file of an image is what its metadata says, and stands alone. */
import type { FileHandle } from 'node:fs/promises';
import type { ImageStatus } from '../../schemas/image.ts';
import { type ImageFileInfo, inspectImage } from '../programs/qemu-img.ts';
import type { WorkOptions } from '../programs/qemu-img-work.ts';
import { ProgramFailed } from '../programs/run.ts';
import { programRefusal } from './empty-data.ts';

/**
 * What forbids working on the file: it cannot be opened, builds on other files, is encrypted, or has another size than its
 * metadata says.
 *
 * @returns nothing when all is well
 * @throws the reason of `signal`; {HostbusError} InternalError when qemu-img cannot be used
 */
export async function imageFileDefects(
  file: FileHandle,
  status: ImageStatus,
  options: WorkOptions,
): Promise<string[]> {
  if (status.format === 'raw') {
    const { size } = await file.stat();
    return size === status.capacity ? [] : [`its file has ${size} bytes instead of ${status.capacity}`];
  }
  try {
    return qcow2Defects(await inspectImage(file.fd, status.format, options), status);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!(error instanceof ProgramFailed)) throw error;
    if (!isImagesFault(error)) throw programRefusal(error);
    return [`it cannot be opened: ${inFewWords(error)}`];
  }
}

function qcow2Defects(info: ImageFileInfo, { capacity }: ImageStatus): string[] {
  const { backingFile, dataFile, encrypted, virtualSizeBytes } = info;
  return [
    backingFile === undefined ? '' : `it builds on another file (${backingFile})`,
    dataFile === undefined ? '' : `its data is in another file (${dataFile})`,
    encrypted ? 'it is encrypted' : '',
    virtualSizeBytes === capacity
      ? ''
      : `it has a capacity of ${virtualSizeBytes} bytes instead of ${capacity}`,
  ].filter((text) => text !== '');
}

/** Whether a program failed over the file it was given: refused it, or used up its bounds on it. */
export function isImagesFault(error: ProgramFailed): boolean {
  return error.kind === 'exit' || error.kind === 'signal' || error.kind === 'output';
}

/** A program's own words, or what became of it. */
export function inFewWords(error: ProgramFailed): string {
  const said = error.stderr.trim();
  return error.kind === 'exit' && said !== '' ? said : error.message;
}
