/** Where things lie in a storage domain. Names only: no files are touched here. */

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const removePrefix = '_remove_me_';
const newPrefix = '_new_';

export function isUuid(name: string): boolean {
  return uuid.test(name);
}

/** Paths of a domain's own files, from its directory `<path>/<domainId>`. */
export const domainPaths = {
  metadataDirectory: (directory: string) => `${directory}/dom_md`,
  metadata: (directory: string) => `${directory}/dom_md/metadata`,
  images: (directory: string) => `${directory}/images`,
  image: (directory: string, imageId: string) => `${directory}/images/${imageId}`,
  removed: (directory: string, imageId: string) => `${directory}/images/${removePrefix}${imageId}`,
};

/** Files that VDSM expects in `dom_md` and that are not used here. */
export const unusedDomainFiles = ['ids', 'leases', 'inbox', 'outbox'] as const;

/** Paths of a volume's files, from its image's directory. */
export interface VolumePaths {
  data: string;
  meta: string;
  lease: string;
  copy: string;
  holder: string;
  /**
   * The metadata of the complete volume, waiting to take the place of `.meta`. Whoever renames this file away decides what
   * becomes of the volume, and only one can: see take-over.ts.
   */
  next: string;
}

export function volumePaths(imageDirectory: string, volumeId: string): VolumePaths {
  const data = `${imageDirectory}/${volumeId}`;
  return {
    data,
    meta: `${data}.meta`,
    lease: `${data}.lease`,
    copy: `${data}.copy`,
    holder: `${data}.holder`,
    next: `${data}.next`,
  };
}

const belowMark = '.below-';

/** The data of a volume that `volumeId` builds on, while whoever writes `volumeId` copies it; see copy-below.ts. */
export function belowPath(imageDirectory: string, volumeId: string, belowId: string): string {
  return `${imageDirectory}/${volumeId}${belowMark}${belowId}`;
}

/** Whose file a name of {@link belowPath} is: the volume's that builds on it; undefined for any other name. */
export function belowOwner(name: string): string | undefined {
  const [id = '', belowId = ''] = name.split(belowMark);
  return isUuid(id) && isUuid(belowId) ? id : undefined;
}

export function isRemoved(name: string): boolean {
  return name.startsWith(removePrefix);
}

/** Whose unfinished creation a directory is. */
export interface UnfinishedName {
  /** ID of what is being made. */
  id: string;
  hostId: string;
  bootId: string;
}

/**
 * The name under which something is made, before it is complete and takes its own. It tells who is at it, so that what a
 * crash leaves can be removed by the host that left it, and by nobody else.
 */
export function unfinishedName(of: UnfinishedName): string {
  return `${newPrefix}${of.id}.${of.hostId}.${encodeURIComponent(of.bootId)}`;
}

/** Reads {@link unfinishedName} back; undefined for any other name. */
export function parseUnfinishedName(name: string): UnfinishedName | undefined {
  if (!name.startsWith(newPrefix)) return undefined;
  const [id, hostId, ...rest] = name.slice(newPrefix.length).split('.');
  if (id === undefined || hostId === undefined || rest.length === 0) return undefined;
  try {
    return { id, hostId, bootId: decodeURIComponent(rest.join('.')) };
  } catch {
    return undefined;
  }
}
