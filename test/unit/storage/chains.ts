/** Images of several volumes, made as VDSM makes them when it takes snapshots. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import type { ImageStatus } from '../../../schemas/image.ts';
import {
  decodeVolumeMetadata,
  encodeVolumeMetadata,
  type VolumeMetadata,
} from '../../../src/storage/volume-metadata.ts';

/** Changes the metadata of a volume. */
export async function editMetadata(path: string, change: Partial<VolumeMetadata>): Promise<void> {
  const metadata = decodeVolumeMetadata(await readFile(`${path}.meta`, 'utf8'));
  await writeFile(`${path}.meta`, encodeVolumeMetadata({ ...metadata, ...change }));
}

/**
 * Takes a snapshot: a new volume on top of the image's last one.
 *
 * @param directory - the image's
 * @returns the ID of the new volume
 */
export async function addLayer(directory: string, parentId: string): Promise<string> {
  const volumeId = randomUUID();
  const parent = decodeVolumeMetadata(await readFile(`${directory}/${parentId}.meta`, 'utf8'));
  const args = ['create', '-q', '-f', 'qcow2', '-b', parentId, '-F', parent.format, volumeId];
  execFileSync('qemu-img', args, { cwd: directory });
  await editMetadata(`${directory}/${parentId}`, { volumeType: 'INTERNAL' });
  const metadata: VolumeMetadata = { ...parent, format: 'qcow2', parentId, volumeType: 'LEAF', legal: true };
  await writeFile(`${directory}/${volumeId}.meta`, encodeVolumeMetadata(metadata));
  await writeFile(`${directory}/${volumeId}.lease`, '');
  return volumeId;
}

/** Writes as a virtual machine does: a pattern, through the last volume. */
export function writeThrough(path: string, pattern: number, offsetKib: number, lengthKib: number): void {
  const command = `write -q -P ${pattern} ${offsetKib}k ${lengthKib}k`;
  execFileSync('qemu-io', ['-f', 'qcow2', '-c', command, path]);
}

/** What a virtual machine reads of an image, as a raw file. */
export function flattened(path: string, format: string, into: string): string {
  execFileSync('qemu-img', ['convert', '-U', '-f', format, '-O', 'raw', path, into]);
  return into;
}

/** Makes two snapshots of an image, and writes into each. Returns the IDs, base first. */
export async function makeChain(directory: string, image: ImageStatus): Promise<string[]> {
  const middle = await addLayer(directory, image.volumeId);
  writeThrough(`${directory}/${middle}`, 17, 512, 1024);
  const leaf = await addLayer(directory, middle);
  writeThrough(`${directory}/${leaf}`, 34, 1024, 1024);
  return [image.volumeId, middle, leaf];
}
