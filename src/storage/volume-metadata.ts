/** The metadata file of a volume (`<volumeId>.meta`). Pure: no files here. */
import {
  BadMetadata,
  choiceValue,
  integerValue,
  type KeyValues,
  keyValueLines,
  parseKeyValueLines,
  requiredValue,
} from './key-value-text.ts';

export interface VolumeMetadata {
  domainId: string;
  imageId: string;
  /** Bytes that a virtual machine sees. */
  capacityBytes: number;
  /** Unix seconds. */
  createdAtS: number;
  description: string;
  /** What is on the disk; `DATA` for those of virtual machines. */
  diskType: string;
  format: 'raw' | 'qcow2';
  /** 0 to 999; raised when a copy completes. */
  generation: number;
  sequence: number;
  /** A volume that is being written is not legal. */
  legal: boolean;
  allocation: 'sparse' | 'preallocated';
  parentId: string;
  volumeType: 'LEAF' | 'INTERNAL' | 'SHARED';
  /** Keys that this version does not know: written back as they were. */
  unknown: KeyValues;
}

/** No volume. */
export const zeroUuid = '00000000-0000-0000-0000-000000000000';
/** One block: the most that is written in one piece on every disk. */
export const volumeMetadataMaxBytes = 512;
const descriptionMaxLength = 210;
const generationMax = 999;
const endMark = 'EOF';
const knownKeys = [
  'CAP',
  'CTIME',
  'DESCRIPTION',
  'DISKTYPE',
  'DOMAIN',
  'FORMAT',
  'GEN',
  'IMAGE',
  'LEGALITY',
  'PUUID',
  'SEQ',
  'TYPE',
  'VOLTYPE',
];

/** The generation after this one: 999 is followed by 0. */
export function nextGeneration(generation: number): number {
  return generation >= generationMax ? 0 : generation + 1;
}

/** The metadata of a volume once all of its data is there. */
export function completed(volume: VolumeMetadata): VolumeMetadata {
  return { ...volume, legal: true, generation: nextGeneration(volume.generation) };
}

/**
 * The text of the file.
 *
 * @throws {TypeError} when it would be longer than 512 bytes: the volume could not be written atomically
 */
export function encodeVolumeMetadata(volume: VolumeMetadata): string {
  const values = new Map(volume.unknown);
  values.set('CAP', String(volume.capacityBytes));
  values.set('CTIME', String(volume.createdAtS));
  values.set('DESCRIPTION', Array.from(volume.description).slice(0, descriptionMaxLength).join('').trim());
  values.set('DISKTYPE', volume.diskType);
  values.set('DOMAIN', volume.domainId);
  values.set('FORMAT', volume.format === 'raw' ? 'RAW' : 'COW');
  values.set('GEN', String(volume.generation));
  values.set('IMAGE', volume.imageId);
  values.set('LEGALITY', volume.legal ? 'LEGAL' : 'ILLEGAL');
  values.set('PUUID', volume.parentId);
  values.set('SEQ', String(volume.sequence));
  values.set('TYPE', volume.allocation === 'sparse' ? 'SPARSE' : 'PREALLOCATED');
  values.set('VOLTYPE', volume.volumeType);
  const text = `${[...keyValueLines(values), endMark].join('\n')}\n`;
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > volumeMetadataMaxBytes) {
    throw new TypeError(`Volume metadata has ${sizeBytes} bytes; at most ${volumeMetadataMaxBytes} fit`);
  }
  return text;
}

/**
 * Reads the file's text. What follows `EOF` is padding.
 *
 * @throws {BadMetadata} no `EOF` (torn), too long, missing or malformed keys
 */
export function decodeVolumeMetadata(text: string): VolumeMetadata {
  const lines = text.split('\n');
  const end = lines.indexOf(endMark);
  if (end < 0) throw new BadMetadata('it does not end with EOF');
  if (Buffer.byteLength(lines.slice(0, end + 1).join('\n')) > volumeMetadataMaxBytes) {
    throw new BadMetadata(`it is longer than ${volumeMetadataMaxBytes} bytes`);
  }
  const values = parseKeyValueLines(lines.slice(0, end));
  const generation = integerValue(values, 'GEN', 0);
  if (generation > generationMax) throw new BadMetadata(`its GEN is over ${generationMax}`);
  return {
    domainId: requiredValue(values, 'DOMAIN'),
    imageId: requiredValue(values, 'IMAGE'),
    capacityBytes: integerValue(values, 'CAP'),
    createdAtS: integerValue(values, 'CTIME'),
    description: values.get('DESCRIPTION') ?? '',
    diskType: values.get('DISKTYPE') ?? 'DATA',
    format: choiceValue(values, 'FORMAT', ['RAW', 'COW']) === 'RAW' ? 'raw' : 'qcow2',
    generation,
    sequence: integerValue(values, 'SEQ', 0),
    legal: choiceValue(values, 'LEGALITY', ['LEGAL', 'ILLEGAL']) === 'LEGAL',
    allocation:
      choiceValue(values, 'TYPE', ['SPARSE', 'PREALLOCATED']) === 'SPARSE' ? 'sparse' : 'preallocated',
    parentId: values.get('PUUID') ?? zeroUuid,
    volumeType: choiceValue(values, 'VOLTYPE', ['LEAF', 'INTERNAL', 'SHARED']),
    unknown: unknownValues(values),
  };
}

function unknownValues(values: KeyValues): KeyValues {
  return new Map([...values].filter(([key]) => !knownKeys.includes(key)));
}
