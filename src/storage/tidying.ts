/** Removing what a complete image does not consist of: traces of its copy, and volumes that a take-over left behind. */
import { readdir } from 'node:fs/promises';
import { flushDirectory, removeFile } from '../lib/atomic-file.ts';
import { idsWith, isLegal } from './current-volume.ts';
import { type HolderRecord, parseHolder } from './holder.ts';
import { isUuid, volumePaths } from './layout.ts';
import { readSmallFile } from './small-file.ts';

/** Whose leftovers are removed: the whole may be looked after by anyone, a part only by who is known to be at work no more. */
export interface Tidying {
  /** @param holder - of the volume; undefined when it has none */
  mayRemove(holder: HolderRecord | undefined): boolean;
  /** Whose temporary files. @default all */
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
  for (const path of [next, meta, copy, lease, data, holder]) await removeFile(path);
}

async function removable(
  directory: string,
  names: readonly string[],
  volumeId: string,
  { mayRemove, hostId }: Tidying,
): Promise<string[]> {
  const temporary = names.filter((name) => isTemporary(name, hostId));
  const removable: string[] = [];
  const ids = new Set([volumeId, ...names.filter(isUuid), ...idsOfParts(names)]);
  for (const id of ids) {
    const own = id === volumeId;
    const parts = (own ? ['.next', '.copy', '.holder'] : ['.next', '.meta', '.copy', '.lease', '', '.holder'])
      .map((ending) => `${id}${ending}`)
      .filter((name) => names.includes(name));
    if (parts.length === 0) continue;
    const paths = volumePaths(directory, id);
    // Described, and without a holder, or even complete: of a chain that somebody else made.
    const foreign = names.includes(`${id}.meta`) && !names.includes(`${id}.holder`);
    if (!own && (foreign || (await isLegal(paths.meta)))) continue;
    const text = await readSmallFile(paths.holder);
    if (mayRemove(text === undefined ? undefined : parseHolder(text))) removable.push(...parts);
  }
  return [...temporary, ...removable];
}

function idsOfParts(names: readonly string[]): string[] {
  return ['.meta', '.copy', '.holder', '.next', '.lease'].flatMap((ending) => idsWith(names, ending));
}

/** `<volumeId>.<part>.new-<hostId>`: what replaces a file, before it does. */
function isTemporary(name: string, hostId?: string): boolean {
  const [id = '', ...rest] = name.split('.');
  const last = rest.at(-1) ?? '';
  if (!isUuid(id) || rest.length < 2 || !last.startsWith('new-')) return false;
  return hostId === undefined || last === `new-${hostId}`;
}
