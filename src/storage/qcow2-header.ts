/**
 * What the header of a qcow2 file says of other files. It is read here, so that no program opens a file by a name that
 * somebody wrote into an image. Layout: docs/interop/qcow2.txt of QEMU.
 */
import type { FileHandle } from 'node:fs/promises';
import { BadMetadata } from './key-value-text.ts';

export interface Qcow2Links {
  /** The name of the file that it builds on, as it is written there. */
  backingFile: string | undefined;
  /** Its data is in another file. */
  hasDataFile: boolean;
}

const magic = 0x51_46_49_fb;
const headerBytes = 80;
const nameMaxBytes = 1023;
const externalDataBit = 4n;

/**
 * Reads the links of an open file.
 *
 * @returns undefined when it is no qcow2 file
 * @throws {BadMetadata} when the name cannot be where the header says; errors of the file system
 */
export async function readQcow2Links(file: FileHandle): Promise<Qcow2Links | undefined> {
  const header = Buffer.alloc(headerBytes);
  await file.read(header, 0, headerBytes, 0);
  if (header.readUInt32BE(0) !== magic) return undefined;
  const hasDataFile = header.readUInt32BE(4) >= 3 && (header.readBigUInt64BE(72) & externalDataBit) !== 0n;
  const offset = header.readBigUInt64BE(8);
  const lengthBytes = header.readUInt32BE(16);
  if (offset === 0n || lengthBytes === 0) return { backingFile: undefined, hasDataFile };
  if (lengthBytes > nameMaxBytes || offset > BigInt(Number.MAX_SAFE_INTEGER)) throw misplaced();
  const name = Buffer.alloc(lengthBytes);
  const { bytesRead } = await file.read(name, 0, lengthBytes, Number(offset));
  if (bytesRead < lengthBytes) throw misplaced();
  return { backingFile: name.toString('utf8'), hasDataFile };
}

function misplaced(): BadMetadata {
  return new BadMetadata('the name of the file that it builds on is not where its qcow2 header says');
}
