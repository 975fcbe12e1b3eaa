/** `checkImage`: whether an image is whole, and the same as another one. Changes nothing. */
import { HostbusError } from '../../schemas/errors.ts';
import type * as image from '../../schemas/image.ts';
import { checkQcow2, compareFiles } from '../programs/qemu-img-work.ts';
import { ProgramFailed } from '../programs/run.ts';
import type { Implementation, TaskContext } from '../tasks/task-context.ts';
import { imageFileDefects, inFewWords, isImagesFault } from './check-image-file.ts';
import type { StorageContext } from './context.ts';
import { programRefusal } from './empty-data.ts';
import { domainUnavailable, inDomain } from './failures.ts';
import { imageKey } from './image-claims.ts';
import { asOpenImage, type Layer, withLayers } from './image-layers.ts';
import { readImage } from './image-reader.ts';
import { busyWith } from './image-verbs.ts';

export interface CheckVerbs {
  checkImage: Implementation<typeof image.checkImage>;
}

interface CheckResult {
  ok: boolean;
  errors: string[];
}

type Task = TaskContext<CheckResult>;

export function checkVerbs(context: StorageContext): CheckVerbs {
  return {
    checkImage: async ({ domainId, imageId, compareWith }, task) => {
      const errors = await reading(context, { domainId, imageId }, task, async (a) => {
        if (compareWith === undefined) return checkFiles(a, task);
        return reading(context, compareWith, task, (b) => checkAndCompare(a, b, task));
      });
      return { ok: errors.length === 0, errors };
    },
  };
}

/** An image that is open for reading, and that nobody deletes meanwhile. */
interface OpenedImage {
  layers: readonly Layer[];
  status: image.ImageStatus;
}

/** @throws {HostbusError} ImageNotReady, ImageBusy, ImageNotFound, DomainNotFound, DomainUnavailable */
async function reading<T>(
  context: StorageContext,
  ref: image.ImageRef,
  task: Task,
  work: (image: OpenedImage) => Promise<T>,
): Promise<T> {
  return context.domains.use(ref.domainId, task.taskId, async (domain) => {
    const claim = context.claims.claim(imageKey(ref), 'read', task.taskId);
    if ('blockedBy' in claim) {
      const { status } = await readImage(context, domain, ref.imageId);
      throw status.status === 'ok' ? busyWith(context, ref, claim.blockedBy) : notReady(status);
    }
    try {
      const { status, volume } = await readImage(context, domain, ref.imageId);
      if (status.status !== 'ok' || volume === undefined) throw notReady(status);
      return await inDomain(ref, () => withLayers(volume, (layers) => work({ layers, status })));
    } finally {
      claim.release();
    }
  });
}

function notReady({ domainId, imageId, status }: image.ImageStatus): HostbusError {
  const message = `Image ${imageId} is ${status}, so it cannot be checked`;
  return new HostbusError('ImageNotReady', message, { domainId, imageId, status });
}

async function checkFiles({ layers, status }: OpenedImage, task: Task): Promise<string[]> {
  task.phase('checking');
  const defects = await imageFileDefects(layers, task);
  // A file that is not what it should be is not gone into.
  if (defects.length > 0) return defects;
  const errors: string[] = [];
  for (const { id, file, metadata } of layers) {
    if (metadata.format === 'raw') continue;
    const found = await answered(task, status, () => checkQcow2(file.fd, task));
    errors.push(...found.map((error) => (layers.length > 1 ? `volume ${id}: ${error}` : error)));
  }
  return errors;
}

async function checkAndCompare(a: OpenedImage, b: OpenedImage, task: Task): Promise<string[]> {
  const own = await checkFiles(a, task);
  const others = await checkFiles(b, task);
  const errors = [...own, ...others.map((error) => `image ${b.status.imageId}: ${error}`)];
  if (errors.length > 0) return errors;
  const difference = await differenceOf(a, b, task);
  return difference === undefined ? [] : [`compared with image ${b.status.imageId}: ${difference}`];
}

async function differenceOf(a: OpenedImage, b: OpenedImage, task: Task): Promise<string | undefined> {
  if (a.status.capacity !== b.status.capacity) {
    return `its capacity is ${a.status.capacity} bytes, that of the other ${b.status.capacity}`;
  }
  task.phase('comparing');
  const totalBytes = a.status.capacity;
  return answered(task, a.status, () =>
    compareFiles(asOpenImage(a.layers), asOpenImage(b.layers), {
      log: task.log,
      signal: task.signal,
      onPercent: (percent) => task.progress(Math.floor((totalBytes * percent) / 100), totalBytes, 'bytes'),
    }),
  );
}

/** Runs a program that ends with an answer, or not: then the storage, or the host, is to blame. */
async function answered<T>(task: Task, { domainId }: image.ImageStatus, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    task.signal.throwIfAborted();
    if (!(error instanceof ProgramFailed)) throw error;
    if (!isImagesFault(error)) throw programRefusal(error);
    throw domainUnavailable(domainId, inFewWords(error), error);
  }
}
