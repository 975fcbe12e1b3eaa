/** A disk image to play with: real, partly sparse, its data random, so that nothing can be guessed or compressed away. */
import { randomFillSync } from 'node:crypto';
import { open } from 'node:fs/promises';

const mebibyte = 2 ** 20;

/**
 * Writes a raw image of `capacityBytes` in which pieces of data of `pieceBytes` alternate with holes, until `dataBytes` are data, and
 * flushes it.
 * @returns bytes that the file occupies
 */
export async function makeDiskImage(
  path: string,
  capacityBytes: number,
  dataBytes: number,
  pieceBytes = 4 * mebibyte,
): Promise<number> {
  const pieces = dataBytes / pieceBytes;
  const stride = Math.floor(capacityBytes / pieces / mebibyte) * mebibyte;
  const random = Buffer.alloc(pieceBytes);
  randomFillSync(random);
  const file = await open(path, 'wx');
  try {
    await file.truncate(capacityBytes);
    for (let piece = 0; piece < pieces; piece += 1) {
      // A number in each piece makes them all different without filling them anew.
      random.writeUInt32LE(piece, (piece * 4096) % pieceBytes);
      await file.write(random, 0, pieceBytes, piece * stride);
    }
    await file.sync();
    return (await file.stat()).blocks * 512;
  } finally {
    await file.close();
  }
}
