/** The metadata file of a storage domain: oVirt's file storage domain, version 5. Pure: no files here. */
import { createHash } from 'node:crypto';
import {
  BadMetadata,
  integerValue,
  type KeyValues,
  keyValueLines,
  parseKeyValueLines,
  requiredValue,
} from './key-value-text.ts';

/** What VDSM calls the kind of file system. */
export type DomainType = 'LOCALFS' | 'NFS' | 'POSIXFS' | 'GLUSTERFS';

export interface DomainMetadata {
  domainId: string;
  /** Its name for people; may be empty. */
  description: string;
  version: number;
  /** Whether the file has a checksum. Files that lack one are believed, with a warning. */
  sealed: boolean;
  /** All keys as they stand in the file, without the checksum. */
  values: KeyValues;
}

const checksumKey = '_SHA_CKSUM';
const supportedVersion = 5;

/** The keys of a new domain. */
export function newDomainValues(domain: {
  domainId: string;
  description: string;
  type: DomainType;
  remotePath: string;
}): KeyValues {
  return new Map([
    ['ALIGNMENT', '1048576'],
    ['BLOCK_SIZE', '512'],
    ['CLASS', 'Data'],
    ['DESCRIPTION', domain.description.trim()],
    ['IOOPTIMEOUTSEC', '10'],
    ['LEASERETRIES', '3'],
    ['LEASETIMESEC', '60'],
    ['LOCKPOLICY', ''],
    ['LOCKRENEWALINTERVALSEC', '5'],
    ['POOL_UUID', ''],
    ['REMOTE_PATH', domain.remotePath],
    ['ROLE', 'Regular'],
    ['SDUUID', domain.domainId],
    ['TYPE', domain.type],
    ['VERSION', String(supportedVersion)],
  ]);
}

/** The text of the file, checksum and all. */
export function encodeDomainMetadata(values: KeyValues): string {
  const lines = keyValueLines(values);
  return `${[...lines, `${checksumKey}=${checksumOf(lines)}`].join('\n')}\n`;
}

/**
 * Reads the file's text. A missing checksum is told by `sealed`; a wrong one is an error, because a torn or foreign file
 * must never be half-believed.
 *
 * @throws {BadMetadata} wrong checksum, newer version, missing or malformed keys
 */
export function decodeDomainMetadata(text: string): DomainMetadata {
  const values = parseKeyValueLines(text.split('\n'));
  const declared = values.get(checksumKey);
  values.delete(checksumKey);
  if (declared !== undefined && declared !== checksumOf(keyValueLines(values))) {
    throw new BadMetadata('its checksum is wrong: the file is torn, or was changed by hand');
  }
  const version = integerValue(values, 'VERSION');
  if (version !== supportedVersion) {
    throw new BadMetadata(
      `it is of version ${version}, and this host knows version ${supportedVersion} only`,
    );
  }
  return {
    domainId: requiredValue(values, 'SDUUID'),
    description: values.get('DESCRIPTION') ?? '',
    version,
    sealed: declared !== undefined,
    values,
  };
}

// The rule is VDSM's (storage/persistent.py): lines in the order of their keys, nothing between them.
function checksumOf(sortedLines: readonly string[]): string {
  const hash = createHash('sha1');
  for (const line of sortedLines) hash.update(withCharacterReferences(line), 'ascii');
  return hash.digest('hex');
}

function withCharacterReferences(text: string): string {
  return Array.from(text, (character) => {
    const codePoint = character.codePointAt(0) ?? 0;
    return codePoint < 0x80 ? character : `&#${codePoint};`;
  }).join('');
}
