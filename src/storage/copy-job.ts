/** One copy, from the target's creation to its completion, in the order of writes that holds at every crash. */
import type { FileHandle } from 'node:fs/promises';
import { errnoCode, flushDirectory } from '../lib/atomic-file.ts';
import type { StorageContext } from './context.ts';
import {
  belowMetadata,
  finishBelow,
  measureBelow,
  openBelow,
  passComplete,
  verifyChain,
} from './copy-below.ts';
import { complete, interrupt, tellCompletion, writeRecord } from './copy-end.ts';
import { asCopyError, copyFailed } from './copy-errors.ts';
import { type CopyMeasure, measureData } from './copy-progress.ts';
import { type CopyRecord, durableBytes } from './copy-record.ts';
import type { CopyAnswer, CopyPlan, Job } from './copy-state.ts';
import { SourceTooShort } from './data-mover.ts';
import { dataRun, notBegun } from './data-run.ts';
import { makeEmptyData } from './empty-data.ts';
import { inDomain } from './failures.ts';
import { HolderKeeper, type HolderRecord } from './holder.ts';
import { makeImage, newVolumeMetadata } from './image-creation.ts';
import { leafOf } from './image-layers.ts';
import { readImage } from './image-reader.ts';
import { emitImage } from './image-verbs.ts';
import type { VolumePaths } from './layout.ts';
import { openData } from './open-data.ts';
import { dataPath, type Held } from './take-over.ts';
import { removeVolume } from './tidying.ts';

/**
 * Makes the target, answers, copies, and completes it. The caller has claimed source and target, and made the checks.
 *
 * @throws {HostbusError} what the verb declares; the reason of the task's signal. Once the call is answered the target stays,
 *   `interrupted`
 */
export async function runCopyJob(context: StorageContext, plan: CopyPlan): Promise<CopyAnswer> {
  return drive(await inDomain(plan.target, () => begin(context, plan)));
}

/**
 * Goes on with a copy that the caller holds now: answers, copies what is missing, and completes it.
 *
 * @throws as {@link runCopyJob}
 */
export async function continueCopyJob(
  context: StorageContext,
  plan: CopyPlan,
  held: Held,
): Promise<CopyAnswer> {
  return drive({ ...jobOf(context, plan, held), targetUsed: true });
}

async function drive(job: Job): Promise<CopyAnswer> {
  const { plan } = job;
  try {
    await inDomain(plan.target, () => tellAndAnswer(job));
    await transfer(job);
    await inDomain(plan.target, () => complete(job));
  } catch (error) {
    throw await interrupt(job, error);
  } finally {
    await job.keeper.stop();
    await closeFiles(job);
  }
  return inDomain(plan.target, () => tellCompletion(job));
}

async function begin(context: StorageContext, plan: CopyPlan): Promise<Job> {
  const { task, target, source } = plan;
  const { hostId, bootId } = context.options;
  const measure = await measureSource(plan);
  const below = plan.keepChain === true ? await measureBelow(source.layers) : undefined;
  const belowBytes = below?.volumes.reduce((sum, { total }) => sum + total, 0) ?? 0;
  const record: CopyRecord = {
    version: 1,
    source: source.named,
    ...(plan.convert === undefined ? {} : { convert: plan.convert }),
    ...(below === undefined ? {} : { below }),
    mark: source.mark,
    heldBy: { hostId, bootId, taskId: task.taskId },
    sourceSize: source.sizeBytes,
    offset: 0,
    done: 0,
    total: measure.totalBytes + belowBytes,
    countedTo: measure.countedTo,
    generation: 1,
    updatedAt: new Date().toISOString(),
  };
  const holder = { hostId, bootId, taskId: task.taskId, generation: 1, counter: 0 };
  const { format, capacityBytes } = plan;
  const parentId = below === undefined ? undefined : leafOf(source.layers).metadata.parentId;
  const metadata = newVolumeMetadata(target, {
    format,
    capacityBytes,
    allocation: 'sparse',
    legal: false,
    ...(parentId === undefined ? {} : { parentId }),
  });
  task.signal.throwIfAborted();
  const made = await makeImage(context, plan.domain, {
    imageId: target.imageId,
    metadata,
    makeData: (path) =>
      // Whatever the format, the file is copied as it is, or made by qemu-img: in an empty file of the right size.
      makeEmptyData(
        path,
        target,
        { format: 'raw', capacityBytes: plan.targetSizeBytes, preallocated: false },
        task.log,
      ),
    ...(below === undefined ? {} : { below: belowMetadata(source.layers, target) }),
    copy: { record, holder },
    signal: task.signal,
  });
  return jobOf(context, plan, { made, metadata, record, holder });
}

// A conversion reads all layers; how far it is it tells in parts of the whole.
async function measureSource({ source, convert }: CopyPlan): Promise<CopyMeasure> {
  const measure = await measureData(source.file.fd, source.sizeBytes);
  if (convert === undefined) return measure;
  for (const { file } of source.layers.slice(0, -1)) {
    measure.totalBytes += (await measureData(file.fd, (await file.stat()).size)).totalBytes;
  }
  return measure;
}

function jobOf(context: StorageContext, plan: CopyPlan, held: Held): Job {
  const { made, record, holder } = held;
  const keeper = keeperOf(context, plan, made.paths, holder);
  const { log } = plan.task;
  const files = { earlier: undefined, belowData: undefined, run: notBegun(record) };
  return { context, plan, log, made, record, keeper, complete: false, targetUsed: false, ...files };
}

function keeperOf(
  context: StorageContext,
  { domain, target, task }: CopyPlan,
  paths: VolumePaths,
  holder: HolderRecord,
): HolderKeeper {
  const { holderRenewMs: renewMs, holderTermMs: termMs } = context.tuning;
  const current = async () => (await readImage(context, domain, target.imageId)).holder;
  return new HolderKeeper(paths, holder, { image: target, log: task.log, renewMs, termMs, current });
}

/** Opens what is copied next, and goes on from what the record says of it. */
async function openNext(job: Job): Promise<void> {
  const { made, record } = job;
  await passComplete(made.directory, record);
  job.belowData = await openBelow(made, record);
  if (record.earlier !== undefined) job.earlier = await openEarlier(job, record.earlier);
  if (job.earlier === undefined) delete record.earlier;
  job.run = dataRun(job);
}

async function openEarlier(
  { made, record, log }: Job,
  { volumeId }: NonNullable<CopyRecord['earlier']>,
): Promise<FileHandle | undefined> {
  try {
    return await openData(dataPath({ directory: made.directory, id: volumeId }, record));
  } catch (error) {
    log.warn({ err: error, volumeId }, 'What was copied before the take-over is gone; copying it again');
    return undefined;
  }
}

async function closeFiles(job: Job): Promise<void> {
  for (const file of [job.made.data, job.belowData, job.earlier]) {
    await file?.close().catch((error: unknown) => job.log.warn({ err: error }, 'Closing failed'));
  }
}

/**
 * Moves what an earlier volume of the image has. That is quicker than the source only where the file system shares blocks, but
 * nothing that was on stable storage is given up. What cannot be read there is taken from the source.
 */
async function moveEarlier(job: Job): Promise<void> {
  const { record, made, log } = job;
  const { earlier } = record;
  if (job.earlier === undefined || earlier === undefined) return;
  job.plan.task.phase('moving');
  try {
    await job.run.run();
    await job.run.flush();
    await job.keeper.checkStillHeld();
    await writeRecord(job, { offset: earlier.offset, doneBytes: earlier.done }, { moved: true });
    // Not before: a record that names it may be what a power cut leaves, and its blocks may be somebody else's by then.
    await flushDirectory(made.directory);
    await removeVolume(made.directory, earlier.volumeId);
  } catch (error) {
    if (!(error instanceof SourceTooShort) && !['EIO', 'ESTALE'].includes(errnoCode(error) ?? ''))
      throw error;
    log.warn({ err: error }, 'What was copied before the take-over cannot be read; copying it again');
    await writeRecord(job, await job.run.flush(), { moved: true });
  }
  await job.earlier.close();
  job.earlier = undefined;
  job.run = dataRun(job);
}

async function tellAndAnswer(job: Job): Promise<void> {
  const { plan, context } = job;
  const { status } = await readImage(context, plan.domain, plan.target.imageId);
  emitImage(context, status, plan.task);
  plan.task.progress(durableBytes(job.record), job.record.total, 'bytes');
  plan.task.answer({ image: status, taskId: plan.task.taskId });
}

async function transfer(job: Job): Promise<void> {
  const { task, target } = job.plan;
  const startedMs = performance.now();
  try {
    await openNext(job);
    await moveEarlier(job);
    task.phase('copying');
    while (job.belowData !== undefined) {
      await job.run.run();
      await job.run.flush();
      await finishBelow(job);
      await openNext(job);
    }
    await job.run.run();
    task.phase('flushing');
    await job.run.flush();
    await verifySizes(job);
    await verifyChain(job);
  } catch (error) {
    throw asCopyError(error, target);
  }
  task.progress(job.record.total, job.record.total, 'bytes');
  const durationMs = Math.round(performance.now() - startedMs);
  job.log.info({ durationMs, bytes: job.record.total, method: job.run.method }, 'Data copied');
}

async function verifySizes(job: Job): Promise<void> {
  const { source, targetSizeBytes } = job.plan;
  const [from, to] = await Promise.all([source.file.stat(), job.made.data.stat()]);
  if (from.size !== source.sizeBytes) {
    throw copyFailed(
      job.plan.target,
      `the source changed its size from ${source.sizeBytes} to ${from.size} bytes`,
    );
  }
  // How large a qcow2 file becomes is known to qemu-img alone.
  if (job.record.convert?.to !== 'qcow2' && to.size !== targetSizeBytes) {
    throw copyFailed(job.plan.target, `the target has ${to.size} bytes instead of ${targetSizeBytes}`);
  }
}
