/**
 * Which volume of an image counts. A take-over makes a second volume beside the one whose writer may still be alive (see
 * take-over.ts); at each moment, whatever a crash or a late writer leaves, exactly one of them is the image's.
 */
import { BadMetadata } from './key-value-text.ts';
import { isUuid, volumePaths } from './layout.ts';
import { readSmallFile } from './small-file.ts';
import { decodeVolumeMetadata, type VolumeMetadata } from './volume-metadata.ts';

/**
 * The volume that has `.next` is the one that is being written; when none has, it is the complete one: of a chain the leaf, on
 * which no other builds.
 *
 * @param names - what is in the image's directory
 * @returns undefined when there is no volume with metadata
 * @throws {BadMetadata} when it cannot be told
 */
export async function currentVolume(
  directory: string,
  names: readonly string[],
): Promise<string | undefined> {
  const described = idsWith(names, '.meta');
  if (described.length <= 1) return described[0];
  const written = described.filter((id) => names.includes(`${id}.next`));
  const found = written.length > 0 ? written : await leavesOf(directory, described);
  if (found.length === 1) return found[0];
  throw new BadMetadata(
    found.length === 0
      ? `it has ${described.length} volumes, of which none is complete`
      : `it has ${described.length} volumes, of which ${found.length} are its last one: ${found.join(', ')}`,
  );
}

/**
 * Whether all volumes of an image are accounted for: its current one, those that it builds on, and others only as somebody's
 * try to take over, which can be told by its holder.
 *
 * @param known - the current volume, and those below it
 * @throws {BadMetadata} when there is one that belongs to nothing
 */
export function refuseStrays(names: readonly string[], known: readonly string[]): void {
  const described = idsWith(names, '.meta');
  const stray = described.find((id) => !known.includes(id) && !names.includes(`${id}.holder`));
  if (stray === undefined) return;
  throw new BadMetadata(
    `it has ${described.length} volumes, and volume ${stray} does not belong to the others`,
  );
}

/** The IDs of volumes that have a file with this ending. */
export function idsWith(names: readonly string[], ending: string): string[] {
  return names
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .filter(isUuid);
}

/** Whether a volume is complete; one whose metadata is missing or cannot be believed is not. */
export async function isLegal(metaPath: string): Promise<boolean> {
  return (await legalMetadata(metaPath)) !== undefined;
}

async function legalMetadata(metaPath: string): Promise<VolumeMetadata | undefined> {
  try {
    const text = await readSmallFile(metaPath);
    const metadata = text === undefined ? undefined : decodeVolumeMetadata(text);
    return metadata?.legal === true ? metadata : undefined;
  } catch (error) {
    if (error instanceof BadMetadata) return undefined;
    throw error;
  }
}

// Where a volume in the middle is missing or cannot be believed, the VOLTYPE tells the last one from the one below the gap.
async function leavesOf(directory: string, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map((id) => legalMetadata(volumePaths(directory, id).meta)));
  const parents = new Set(found.map((metadata) => metadata?.parentId));
  const last = ids.filter((id, i) => found[i] !== undefined && !parents.has(id));
  const told = ids.filter((id, i) => last.includes(id) && found[i]?.volumeType === 'LEAF');
  return told.length === 1 ? told : last;
}
