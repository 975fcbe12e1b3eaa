/**
 * The volumes that another one builds on. What the metadata says (PUUID) and what the qcow2 headers say (backing file) must be
 * the same, down to the base, and all of it in the directory of the image: then no name in a header can lead anywhere else.
 */
import { lstat } from 'node:fs/promises';
import { errnoCode } from '../lib/atomic-file.ts';
import { BadMetadata } from './key-value-text.ts';
import { isUuid, type VolumePaths, volumePaths } from './layout.ts';
import { openData } from './open-data.ts';
import { readQcow2Links } from './qcow2-header.ts';
import { readSmallFile } from './small-file.ts';
import { decodeVolumeMetadata, type VolumeMetadata, zeroUuid } from './volume-metadata.ts';

/** A volume that others of its image build on. */
export interface ChainVolume {
  id: string;
  paths: VolumePaths;
  metadata: VolumeMetadata;
  allocatedBytes: number;
}

interface Linked {
  id: string;
  metadata: VolumeMetadata;
}

/** Each is a descriptor of qemu-img, and its name is in a name of its own for each that builds on it. */
const volumesMax = 64;

/**
 * Reads the volumes below a complete one.
 *
 * @returns the base first; none when it stands alone
 * @throws {BadMetadata} when they are no consistent chain; errors of the file system
 */
export async function volumesBelow(directory: string, leaf: Linked): Promise<ChainVolume[]> {
  const below: ChainVolume[] = [];
  for (let child = leaf; ; ) {
    const { parentId } = child.metadata;
    if (!isUuid(parentId)) {
      throw new BadMetadata(`the PUUID of volume ${child.id} is no ID: ${JSON.stringify(parentId)}`);
    }
    await requireSameLink(directory, child);
    if (parentId === zeroUuid) break;
    if (parentId === leaf.id || below.some(({ id }) => id === parentId)) {
      throw new BadMetadata(`its volumes build on each other in a circle, at ${parentId}`);
    }
    if (below.length + 2 > volumesMax) throw new BadMetadata(`it has more than ${volumesMax} volumes`);
    const parent = await readParent(directory, child);
    below.unshift(parent);
    child = parent;
  }
  const { volumeType } = leaf.metadata;
  // SHARED: a template, on which volumes of other images build.
  if (volumeType === 'INTERNAL' || (below.length > 0 && volumeType === 'SHARED')) {
    throw new BadMetadata(`nothing builds on volume ${leaf.id}, but its VOLTYPE is ${volumeType}`);
  }
  return below;
}

async function readParent(directory: string, child: Linked): Promise<ChainVolume> {
  const { parentId } = child.metadata;
  const from = `volume ${child.id} builds on ${parentId}`;
  const paths = volumePaths(directory, parentId);
  const text = await readSmallFile(paths.meta);
  const data = await dataOf(paths.data, parentId);
  if (text === undefined || data === undefined) throw new BadMetadata(`${from}, which is not there`);
  const metadata = metadataOf(text, parentId);
  if (!metadata.legal) throw new BadMetadata(`${from}, which is ILLEGAL`);
  if (metadata.volumeType === 'LEAF') throw new BadMetadata(`${from}, whose VOLTYPE is LEAF`);
  if (metadata.format === 'raw' && data.sizeBytes < metadata.capacityBytes) {
    throw new BadMetadata(`${from}, which has ${data.sizeBytes} of ${metadata.capacityBytes} bytes`);
  }
  return { id: parentId, paths, metadata, allocatedBytes: data.allocatedBytes };
}

function metadataOf(text: string, volumeId: string): VolumeMetadata {
  try {
    return decodeVolumeMetadata(text);
  } catch (error) {
    if (!(error instanceof BadMetadata)) throw error;
    throw new BadMetadata(`the metadata of volume ${volumeId} cannot be believed: ${error.message}`);
  }
}

async function dataOf(path: string, volumeId: string) {
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return undefined;
  if (!found.isFile()) throw new BadMetadata(`the data of volume ${volumeId} is not a regular file`);
  return { sizeBytes: found.size, allocatedBytes: found.blocks * 512 };
}

async function requireSameLink(directory: string, volume: Linked): Promise<void> {
  if (volume.metadata.format === 'raw') return requireLink(volume, undefined);
  const file = await openData(volumePaths(directory, volume.id).data);
  try {
    // What is no qcow2 file builds on nothing; that it should be one is for checkImage to tell, unless it should build on another.
    requireLink(volume, (await readQcow2Links(file))?.backingFile);
  } finally {
    await file.close();
  }
}

function requireLink({ id, metadata }: Linked, backingFile: string | undefined): void {
  const parentId = metadata.parentId === zeroUuid ? undefined : metadata.parentId;
  if (backingFile === parentId) return;
  const says = parentId === undefined ? 'on no other' : `on ${parentId}`;
  const wayOut = parentId === undefined ? 'qemu-img rebase -b ""' : `qemu-img rebase -u -b ${parentId}`;
  const builds = backingFile === undefined ? 'on nothing' : `on ${JSON.stringify(backingFile)}`;
  throw new BadMetadata(
    `the file of volume ${id} builds ${builds}, its metadata says ${says}; only the plain ID of a volume of the same image is followed (${wayOut})`,
  );
}
