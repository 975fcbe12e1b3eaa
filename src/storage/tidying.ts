/** Removing what a complete image does not consist of: traces of its copy, and volumes that a take-over left behind. */
import { readdir } from 'node:fs/promises';
import { flushDirectory, removeFile } from '../lib/atomic-file.ts';
import { idsWith, isLegal } from './current-volume.ts';
import { type HolderRecord, parseHolder } from './holder.ts';
import { belowOwner, isUuid, volumePaths } from './layout.ts';
import { readSmallFile } from './small-file.ts';

/**
 * Whose leftovers are removed. Those of the complete volume anybody may remove: its one writer is done with it. Another volume may
 * be somebody's who is just making it, to take over what is complete by now: without its holder, the rest that he makes would
 * seem to belong to the image.
 */
export interface Tidying {
  /** @param holder - of another volume than the complete one; undefined when it has none */
  mayRemove(holder: HolderRecord | undefined): boolean;
  /** Whose temporary files, of other volumes. @default all */
  hostId?: string;
}

/**
 * Tidies the directory of an image that is complete. Only then: while one is being written, a volume that looks forgotten may
 * be somebody's who is just about to take over. Files of unknown kinds stay.
 */
export async function tidyComplete(
  directory: string,
  volumeId: string,
  tidying: Tidying = { mayRemove: () => true },
): Promise<void> {
  const names = await readdir(directory);
  const extra = await removable(directory, names, volumeId, tidying);
  for (const name of extra) await removeFile(`${directory}/${name}`);
  if (extra.length > 0) await flushDirectory(directory);
}

/** Removes all files of a volume. What it is does not matter any more. */
export async function removeVolume(directory: string, volumeId: string): Promise<void> {
  const { data, meta, lease, copy, holder, next } = volumePaths(directory, volumeId);
  const below = await belowPaths(directory, volumeId);
  for (const path of [next, meta, copy, lease, data, ...below, holder]) await removeFile(path);
}

/** What was being copied of volumes below, under this volume's name. */
export async function belowPaths(directory: string, volumeId: string): Promise<string[]> {
  const names = await readdir(directory);
  return names.filter((name) => belowOwner(name) === volumeId).map((name) => `${directory}/${name}`);
}

async function removable(
  directory: string,
  names: readonly string[],
  volumeId: string,
  { mayRemove, hostId }: Tidying,
): Promise<string[]> {
  const temporary = names.filter((name) => {
    return isTemporary(name, name.startsWith(`${volumeId}.`) ? undefined : hostId);
  });
  const removable: string[] = [];
  const ids = new Set([volumeId, ...names.filter(isUuid), ...idsOfParts(names)]);
  for (const id of ids) {
    const own = id === volumeId;
    const endings = own
      ? ['.next', '.copy', '.holder']
      : ['.next', '.meta', '.copy', '.lease', '', '.holder'];
    const present = endings.map((ending) => `${id}${ending}`).filter((name) => names.includes(name));
    const parts = [...names.filter((name) => belowOwner(name) === id), ...present];
    if (parts.length === 0) continue;
    const paths = volumePaths(directory, id);
    // Described, and without a holder, or even complete: of a chain that somebody else made.
    const foreign = names.includes(`${id}.meta`) && !names.includes(`${id}.holder`);
    if (!own && (foreign || (await isLegal(paths.meta)))) continue;
    const text = own ? undefined : await readSmallFile(paths.holder);
    if (own || mayRemove(text === undefined ? undefined : parseHolder(text))) removable.push(...parts);
  }
  return [...temporary, ...removable];
}

function idsOfParts(names: readonly string[]): string[] {
  const below = names.map(belowOwner).filter((id) => id !== undefined);
  return [
    ...below,
    ...['.meta', '.copy', '.holder', '.next', '.lease'].flatMap((ending) => idsWith(names, ending)),
  ];
}

/** `<volumeId>.<part>.new-<hostId>`: what replaces a file, before it does. */
function isTemporary(name: string, hostId?: string): boolean {
  const [id = '', ...rest] = name.split('.');
  const last = rest.at(-1) ?? '';
  if (!isUuid(id) || rest.length < 2 || !last.startsWith('new-')) return false;
  return hostId === undefined || last === `new-${hostId}`;
}
