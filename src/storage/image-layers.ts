/** The open files of an image: one, or those of a chain. */
import type { FileHandle } from 'node:fs/promises';
import type { OpenImage } from '../programs/qemu-img-work.ts';
import type { ReadVolume } from './image-reader.ts';
import { openData } from './open-data.ts';
import type { VolumeMetadata } from './volume-metadata.ts';

export interface Layer {
  /** Of its volume. */
  id: string;
  file: FileHandle;
  metadata: VolumeMetadata;
}

/**
 * Opens the files of a complete image for reading while `work` runs.
 *
 * @param work - gets the layers, the base first; the last is what the image's own volume is
 * @throws errors of the file system; what `work` throws
 */
export async function withLayers<T>(
  volume: ReadVolume,
  work: (layers: readonly Layer[]) => Promise<T>,
): Promise<T> {
  const layers: Layer[] = [];
  try {
    for (const { id, metadata, paths } of [...volume.below, volume]) {
      layers.push({ id, metadata, file: await openData(paths.data) });
    }
    return await work(layers);
  } finally {
    for (const { file } of layers) await file.close();
  }
}

/** The layer that virtual machines write to. */
export function leafOf(layers: readonly Layer[]): Layer {
  const leaf = layers.at(-1);
  if (leaf === undefined) throw new TypeError('An image has at least one layer');
  return leaf;
}

/** As qemu-img is to see them. */
export function asOpenImage(layers: readonly Layer[]): OpenImage {
  return layers.map(({ file, metadata }) => ({ fd: file.fd, format: metadata.format }));
}

/** Bytes that all of the files occupy. */
export async function occupiedBytes(files: readonly FileHandle[]): Promise<number> {
  const stats = await Promise.all(files.map((file) => file.stat()));
  return stats.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}
