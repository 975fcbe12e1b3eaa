/**
 * Which volume of an image counts. A take-over makes a second volume beside the one whose writer may still be alive (see
 * take-over.ts); at each moment, whatever a crash or a late writer leaves, exactly one of them is the image's.
 */
import { BadMetadata } from './key-value-text.ts';
import { isUuid, volumePaths } from './layout.ts';
import { readSmallFile } from './small-file.ts';
import { decodeVolumeMetadata } from './volume-metadata.ts';

/**
 * The volume that has `.next` is the one that is being written; when none has, it is the complete one. Others are somebody's
 * try to take over, which can be told by its holder.
 *
 * @param names - what is in the image's directory
 * @returns undefined when there is no volume with metadata
 * @throws {BadMetadata} when it cannot be told: a chain of volumes
 */
export async function currentVolume(
  directory: string,
  names: readonly string[],
): Promise<string | undefined> {
  const described = idsWith(names, '.meta');
  if (described.length <= 1) return described[0];
  const written = described.filter((id) => names.includes(`${id}.next`));
  const found = written.length > 0 ? written : await legalOnes(directory, described);
  const isOurs = (id: string) => found.includes(id) || names.includes(`${id}.holder`);
  if (found.length === 1 && described.every(isOurs)) return found[0];
  throw new BadMetadata(`it has ${described.length} volumes; chains of volumes are not supported`);
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
  try {
    const text = await readSmallFile(metaPath);
    return text !== undefined && decodeVolumeMetadata(text).legal;
  } catch (error) {
    if (error instanceof BadMetadata) return false;
    throw error;
  }
}

async function legalOnes(directory: string, ids: readonly string[]): Promise<string[]> {
  const legal = await Promise.all(ids.map((id) => isLegal(volumePaths(directory, id).meta)));
  return ids.filter((_id, i) => legal[i]);
}
