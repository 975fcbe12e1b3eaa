/** `continueImageCopy`: goes on with an interrupted copy from what is on stable storage, on whichever host. */
import { HostbusError } from '../../schemas/errors.ts';
import type * as image from '../../schemas/image.ts';
import type { Implementation, TaskContext } from '../tasks/task-context.ts';
import type { StorageContext } from './context.ts';
import { continueCopyJob } from './copy-job.ts';
import { withSource } from './copy-source.ts';
import type { CopyAnswer, OpenSource } from './copy-state.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { inDomain } from './failures.ts';
import { imageKey } from './image-claims.ts';
import { occupiedBytes } from './image-layers.ts';
import { type ImageReading, readImage } from './image-reader.ts';
import { busyWith, requireSpace } from './image-verbs.ts';
import { type Held, type Interrupted, Overtaken, takeHold } from './take-over.ts';

export interface ContinueVerbs {
  continueImageCopy: Implementation<typeof image.continueImageCopy>;
}

export function continueVerbs(context: StorageContext): ContinueVerbs {
  return {
    continueImageCopy: (target, task) =>
      context.domains.use(target.domainId, task.taskId, (domain) =>
        continueCopy({ context, domain, target, task }),
      ),
  };
}

interface ContinueCall {
  context: StorageContext;
  domain: ConnectedDomain;
  target: image.ImageRef;
  task: TaskContext<CopyAnswer>;
}

/** How often an image is looked at again when others are quicker. */
const triesMax = 5;

async function continueCopy(call: ContinueCall): Promise<CopyAnswer> {
  const { context, domain, target, task } = call;
  // Before the claim, which would make a dead holder of this host with the same task ID look alive.
  const seen = await readImage(context, domain, target.imageId);
  const claim = context.claims.claim(imageKey(target), 'make', task.taskId);
  if ('blockedBy' in claim) throw busyWith(context, target, claim.blockedBy);
  try {
    for (let tries = 1, reading = seen; tries <= triesMax; tries++) {
      const volume = interruptedOnly(target, reading);
      const done = await withSource(context, volume.record, target, task.taskId, async (source) => {
        const held = await hold(call, volume, await sourceBytesOf(source));
        if (held === undefined) return undefined;
        const { record, metadata } = held;
        return continueCopyJob(
          context,
          {
            task,
            domain,
            target,
            source: { ...source, sizeBytes: record.sourceSize, named: record.source },
            targetSizeBytes: metadata.format === 'raw' ? metadata.capacityBytes : record.sourceSize,
            format: metadata.format,
            capacityBytes: metadata.capacityBytes,
          },
          held,
        );
      });
      if (done !== undefined) return done;
      reading = await readImage(context, domain, target.imageId);
    }
    throw busy(target, undefined);
  } finally {
    claim.release();
  }
}

function sourceBytesOf({ file, layers }: OpenSource): Promise<number> {
  return occupiedBytes(layers.length === 0 ? [file] : layers.map((layer) => layer.file));
}

/** @returns undefined when somebody else was quicker */
async function hold(
  { context, domain, target, task }: ContinueCall,
  volume: Interrupted,
  sourceBytes: number,
): Promise<Held | undefined> {
  const { total, done } = volume.record;
  await inDomain(target, () => requireSpace(domain, target, Math.min(sourceBytes, total) - done));
  task.signal.throwIfAborted();
  try {
    return await inDomain(target, () => takeHold(context, volume, task.taskId));
  } catch (error) {
    if (error instanceof Overtaken) return undefined;
    throw error;
  }
}

function interruptedOnly(target: image.ImageRef, { status, holder, volume }: ImageReading): Interrupted {
  if (status.status === 'copying') throw busy(target, holder);
  if (status.status === 'interrupted' && volume?.record !== undefined) {
    return { ...volume, record: volume.record };
  }
  const why = status.status === 'ok' ? 'complete already' : 'broken: delete it, and copy again';
  const message = `Image ${target.imageId} cannot be continued; it is ${why}`;
  throw new HostbusError('ImageNotReady', message, { ...target, status: status.status });
}

function busy(target: image.ImageRef, holder: image.Holder | undefined): HostbusError {
  const who = holder === undefined ? 'somebody' : `task ${holder.taskId} of host ${holder.hostId}`;
  const message = `Image ${target.imageId} is being written by ${who}; wait for it, or cancel it`;
  return new HostbusError('ImageBusy', message, holder === undefined ? { ...target } : { ...target, holder });
}
