/** The verbs of `schemas/image.ts` that copy. */
import type { FileHandle } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type * as image from '../../schemas/image.ts';
import { type ImageFileInfo, inspectImage } from '../programs/qemu-img.ts';
import { ProgramFailed } from '../programs/run.ts';
import type { Implementation, TaskContext } from '../tasks/task-context.ts';
import { inFewWords, isImagesFault } from './check-image-file.ts';
import type { StorageContext } from './context.ts';
import { conversionPlan } from './conversion-plan.ts';
import { runCopyJob } from './copy-job.ts';
import { fileMark } from './copy-source.ts';
import type { CopyAnswer, CopyPlan } from './copy-state.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { programRefusal } from './empty-data.ts';
import { inDomain } from './failures.ts';
import { imageKey } from './image-claims.ts';
import { imageExists, refuseExisting } from './image-creation.ts';
import { type Layer, leafOf, occupiedBytes, withLayers } from './image-layers.ts';
import { readImage } from './image-reader.ts';
import { busyWith, requireSpace } from './image-verbs.ts';
import { domainPaths } from './layout.ts';
import { openInRoots } from './paths.ts';

export interface CopyVerbs {
  copyImage: Implementation<typeof image.copyImage>;
  importImage: Implementation<typeof image.importImage>;
}

export function copyVerbs(context: StorageContext): CopyVerbs {
  return {
    copyImage: ({ source, target, chain = 'keep' }, task) =>
      context.domains.use(source.domainId, task.taskId, (from) =>
        context.domains.use(target.domainId, task.taskId, (to) =>
          copyImage(context, {
            from,
            source,
            to,
            target,
            task,
            shape: async (layers, status) => {
              if (layers.length === 1) return {};
              if (chain === 'keep') return keepPlan(layers, to, target);
              return conversionPlan({ layers, status, to, target, format: status.format, task });
            },
          }),
        ),
      ),
    importImage: (params, task) =>
      context.domains.use(params.domainId, task.taskId, (domain) =>
        importImage(context, domain, params, task),
      ),
  };
}

export interface CopyCall {
  from: ConnectedDomain;
  source: image.ImageRef;
  to: ConnectedDomain;
  target: image.ImageRef;
  task: TaskContext<CopyAnswer>;
  /** What the target is to be, other than a copy of the last layer as it is; looks at the source, and throws what refuses it. */
  shape(layers: readonly Layer[], status: image.ImageStatus): Promise<Partial<CopyPlan>>;
}

/** Copies an image that stays where it is meanwhile: see {@link runCopyJob}. */
export async function copyImage(context: StorageContext, call: CopyCall): Promise<CopyAnswer> {
  const { from, source, to, target, task } = call;
  // Claimed before it is looked at, so that nobody deletes it in between.
  const claim = context.claims.claim(imageKey(source), 'read', task.taskId);
  if ('blockedBy' in claim) {
    const { status } = await readImage(context, from, source.imageId);
    throw status.status === 'ok' ? busyWith(context, source, claim.blockedBy) : notReady(status);
  }
  try {
    const { status, volume } = await readImage(context, from, source.imageId);
    if (status.status !== 'ok' || volume === undefined) throw notReady(status);
    return await makingTarget(context, to, target, task.taskId, async () => {
      return inDomain(source, () =>
        withLayers(volume, async (layers) => {
          const { file } = leafOf(layers);
          const shape = await call.shape(layers, status);
          const { sizeBytes } = await sourceChecked(to, target, file);
          return runCopyJob(context, {
            task,
            domain: to,
            target,
            source: {
              file,
              layers,
              sizeBytes,
              named: { ...source },
              mark: { volumeId: volume.id, generation: status.generation },
            },
            targetSizeBytes: sizeBytes,
            format: status.format,
            capacityBytes: status.capacity,
            ...shape,
          });
        }),
      );
    });
  } finally {
    claim.release();
  }
}

async function keepPlan(
  layers: readonly Layer[],
  to: ConnectedDomain,
  target: image.ImageRef,
): Promise<Partial<CopyPlan>> {
  await requireSpace(to, target, await occupiedBytes(layers.map(({ file }) => file)));
  return { keepChain: true };
}

interface ImportParams extends image.ImageRef {
  path: string;
  format?: image.ImageFormat;
}

async function importImage(
  context: StorageContext,
  domain: ConnectedDomain,
  params: ImportParams,
  task: TaskContext<CopyAnswer>,
): Promise<CopyAnswer> {
  const { domainId, imageId, path } = params;
  const target = { domainId, imageId };
  return makingTarget(context, domain, target, task.taskId, async () => {
    const file = await openInRoots(path, context.options.roots);
    return closing(file, async () => {
      const found = await acceptable(file, params, task);
      const { sizeBytes } = await sourceChecked(domain, target, file);
      return runCopyJob(context, {
        task,
        domain,
        target,
        source: { file, layers: [], sizeBytes, named: { path }, mark: await fileMark(file) },
        targetSizeBytes: found.format === 'raw' ? found.capacityBytes : sizeBytes,
        ...found,
      });
    });
  });
}

/** Claims the target and refuses one that exists; what runs then may make it. */
async function makingTarget<T>(
  context: StorageContext,
  domain: ConnectedDomain,
  target: image.ImageRef,
  taskId: string,
  work: () => Promise<T>,
): Promise<T> {
  const claim = context.claims.claim(imageKey(target), 'make', taskId);
  if ('blockedBy' in claim) throw imageExists(target.domainId, target.imageId);
  try {
    const directory = domainPaths.image(domain.directory, target.imageId);
    await inDomain(target, () => refuseExisting(directory, target.domainId, target.imageId));
    return await work();
  } finally {
    claim.release();
  }
}

export async function closing<T>(file: FileHandle, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await file.close();
  }
}

async function sourceChecked(
  domain: ConnectedDomain,
  target: image.ImageRef,
  file: FileHandle,
): Promise<{ sizeBytes: number }> {
  return inDomain(target, async () => {
    const { size, blocks } = await file.stat();
    await requireSpace(domain, target, blocks * 512);
    return { sizeBytes: size };
  });
}

function notReady(status: image.ImageStatus): HostbusError {
  const { domainId, imageId } = status;
  const message = `Image ${imageId} is ${status.status}, so it cannot be copied`;
  return new HostbusError('ImageNotReady', message, { domainId, imageId, status: status.status });
}

const blockBytes = 512;

/** What an image file is, if it is one that can be taken in: raw or qcow2, and all in this one file. */
async function acceptable(
  file: FileHandle,
  params: ImportParams,
  task: TaskContext<CopyAnswer>,
): Promise<{ format: image.ImageFormat; capacityBytes: number }> {
  const info = await inspect(file, params, task);
  const reason = refusalOf(info);
  if (reason !== undefined) throw invalidImage(params, reason);
  const format = info.format === 'qcow2' ? 'qcow2' : 'raw';
  const sizeBytes = format === 'raw' ? (await file.stat()).size : info.virtualSizeBytes;
  return { format, capacityBytes: Math.ceil(sizeBytes / blockBytes) * blockBytes };
}

async function inspect(
  file: FileHandle,
  params: ImportParams,
  task: TaskContext<CopyAnswer>,
): Promise<ImageFileInfo> {
  try {
    return await inspectImage(file.fd, params.format, { log: task.log, signal: task.signal });
  } catch (error) {
    if (!(error instanceof ProgramFailed)) throw error;
    if (error.kind === 'aborted') task.signal.throwIfAborted();
    // Killed at its bounds: the file made it use more than looking at an image takes.
    if (isImagesFault(error)) throw invalidImage(params, inFewWords(error), error);
    throw programRefusal(error);
  }
}

function refusalOf(info: ImageFileInfo): string | undefined {
  if (info.format !== 'raw' && info.format !== 'qcow2') {
    return `its format is ${info.format}; raw and qcow2 can be taken in. Convert it with qemu-img convert`;
  }
  if (info.encrypted) return 'it is encrypted';
  if (info.backingName !== undefined)
    return `it builds on another file (${info.backingName}); flatten it first`;
  if (info.dataFile !== undefined) return `its data is in another file (${info.dataFile})`;
  if (info.corrupt) return 'it is marked as corrupt; repair it with qemu-img check -r';
  return info.virtualSizeBytes === 0 ? 'it is empty' : undefined;
}

function invalidImage(params: ImportParams, reason: string, cause?: unknown): HostbusError {
  const { domainId, imageId, path } = params;
  const message = `${path} cannot be taken in: ${reason}`;
  return new HostbusError('InvalidImage', message, { domainId, imageId, reason }, { cause });
}
