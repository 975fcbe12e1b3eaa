/** Whether the files of an image are what its metadata says, and build on nothing else. */
import { type ImageFileInfo, inspectImage } from '../programs/qemu-img.ts';
import type { WorkOptions } from '../programs/qemu-img-work.ts';
import { ProgramFailed } from '../programs/run.ts';
import { programRefusal } from './empty-data.ts';
import type { Layer } from './image-layers.ts';
import { readQcow2Links } from './qcow2-header.ts';
import { zeroUuid } from './volume-metadata.ts';

/**
 * What forbids working on an image: a file cannot be opened, builds on another one than the one below it, is encrypted, or has
 * another size than its metadata says.
 *
 * @param layers - all of the image, base first
 * @returns nothing when all is well
 * @throws the reason of `signal`; {HostbusError} InternalError when qemu-img cannot be used
 */
export async function imageFileDefects(layers: readonly Layer[], options: WorkOptions): Promise<string[]> {
  const found: string[] = [];
  for (const layer of layers) {
    const defects = await layerDefects(layer, options);
    found.push(...defects.map((defect) => (layers.length > 1 ? `volume ${layer.id}: ${defect}` : defect)));
  }
  return found;
}

async function layerDefects(layer: Layer, options: WorkOptions): Promise<string[]> {
  const { file, metadata } = layer;
  const { format, capacityBytes } = metadata;
  if (format === 'raw') {
    const { size } = await file.stat();
    return size === capacityBytes ? [] : [`its file has ${size} bytes instead of ${capacityBytes}`];
  }
  // Before any program opens it.
  if ((await readQcow2Links(file))?.hasDataFile === true) return ['its data is in another file'];
  try {
    return qcow2Defects(await inspectImage(file.fd, format, options), layer);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!(error instanceof ProgramFailed)) throw error;
    if (!isImagesFault(error)) throw programRefusal(error);
    return [`it cannot be opened: ${inFewWords(error)}`];
  }
}

function qcow2Defects(info: ImageFileInfo, { metadata }: Layer): string[] {
  const { backingName, dataFile, encrypted, virtualSizeBytes } = info;
  const { capacityBytes, parentId } = metadata;
  return [
    (backingName ?? zeroUuid) === parentId ? '' : `it builds on another file (${backingName ?? 'none'})`,
    dataFile === undefined ? '' : `its data is in another file (${dataFile})`,
    encrypted ? 'it is encrypted' : '',
    virtualSizeBytes === capacityBytes
      ? ''
      : `it has a capacity of ${virtualSizeBytes} bytes instead of ${capacityBytes}`,
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
