/** The source of a copy that is to go on: opened again, and only if it is still the same. */
import type { FileHandle } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageRef } from '../../schemas/image.ts';
import type { StorageContext } from './context.ts';
import { sameBelow } from './copy-below.ts';
import { copyFailed } from './copy-errors.ts';
import type { CopyRecord, SourceMark } from './copy-record.ts';
import type { OpenSource } from './copy-state.ts';
import { inDomain } from './failures.ts';
import { imageKey } from './image-claims.ts';
import { leafOf, withLayers } from './image-layers.ts';
import { readImage } from './image-reader.ts';
import { busyWith } from './image-verbs.ts';
import { openInRoots } from './paths.ts';

/** What tells a file of the host from another one in its place, and from itself after a change. */
export async function fileMark(file: FileHandle): Promise<SourceMark> {
  const { ino, mtimeNs } = await file.stat({ bigint: true });
  return { inode: String(ino), modifiedNs: String(mtimeNs) };
}

/**
 * Opens the source that a record names, checks that it is the one that was being copied, and keeps it from being deleted by
 * this host while `work` runs.
 *
 * @throws {HostbusError} CopyFailed when the source is gone or another one; DomainNotFound, DomainUnavailable and InvalidPath
 *   when this host cannot reach it; ImageBusy while it is being deleted; what `work` throws
 */
export async function withSource<T>(
  context: StorageContext,
  record: CopyRecord,
  target: ImageRef,
  taskId: string,
  work: (source: OpenSource) => Promise<T>,
): Promise<T> {
  const { source } = record;
  if ('imageId' in source) return withImage(context, source, { record, target, taskId }, work);
  const file = await openInRoots(source.path, context.options.roots);
  try {
    return await checked({ file, layers: [], mark: await fileMark(file) }, record, target, work);
  } finally {
    await file.close();
  }
}

async function withImage<T>(
  context: StorageContext,
  source: ImageRef,
  { record, target, taskId }: { record: CopyRecord; target: ImageRef; taskId: string },
  work: (source: OpenSource) => Promise<T>,
): Promise<T> {
  return context.domains.use(source.domainId, taskId, async (domain) => {
    const claim = context.claims.claim(imageKey(source), 'read', taskId);
    if ('blockedBy' in claim) throw busyWith(context, source, claim.blockedBy);
    try {
      const { status, volume } = await readImage(context, domain, source.imageId).catch((error: unknown) => {
        const gone = error instanceof HostbusError && error.name === 'ImageNotFound';
        throw gone ? copyFailed(target, `its source, image ${source.imageId}, is gone`) : error;
      });
      if (status.status !== 'ok' || volume === undefined) {
        throw copyFailed(target, `its source, image ${source.imageId}, is ${status.status}`);
      }
      const mark = { volumeId: volume.id, generation: status.generation };
      return await inDomain(source, () =>
        withLayers(volume, async (layers) => {
          const leaf = leafOf(layers);
          return checked({ file: leaf.file, layers, mark }, record, target, work);
        }),
      );
    } finally {
      claim.release();
    }
  });
}

async function checked<T>(
  source: OpenSource,
  record: CopyRecord,
  target: ImageRef,
  work: (source: OpenSource) => Promise<T>,
): Promise<T> {
  const { size } = await inDomain(target, () => source.file.stat());
  if (size !== record.sourceSize) {
    throw copyFailed(target, `its source has ${size} bytes instead of ${record.sourceSize}`);
  }
  const sameChain = record.convert !== undefined || (await sameBelow(source.layers, record));
  if (!sameChain || !sameMark(source.mark, record.mark)) {
    throw copyFailed(
      target,
      'its source is not what it was when the copy began; delete the image and copy again',
    );
  }
  return work(source);
}

function sameMark(a: SourceMark, b: SourceMark | undefined): boolean {
  if (b === undefined) return false;
  if ('inode' in a) return 'inode' in b && a.inode === b.inode && a.modifiedNs === b.modifiedNs;
  return 'volumeId' in b && a.volumeId === b.volumeId && a.generation === b.generation;
}
