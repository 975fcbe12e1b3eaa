/** How a copy is recorded, and how it ends: complete, interrupted, or lost to somebody who took over. */
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { HostbusError } from '../../schemas/errors.ts';
import { flushDirectory, removeFile, replaceFile } from '../lib/atomic-file.ts';
import type { CopyPosition } from './copy-data.ts';
import { encodeCopyRecord } from './copy-record.ts';
import type { CopyAnswer, Job } from './copy-state.ts';
import type { HolderKeeper } from './holder.ts';
import { readImage } from './image-reader.ts';
import { emitImage } from './image-verbs.ts';
import { belowOwner } from './layout.ts';
import { takeNext } from './take-over.ts';
import { tidyComplete } from './tidying.ts';

/** Called with what has been flushed already: the record never claims more than what is on stable storage. */
export async function writeRecord(
  job: Omit<Job, 'run'>,
  position: CopyPosition,
  { moved = false } = {},
): Promise<void> {
  if (moved) delete job.record.earlier;
  job.record.offset = position.offset;
  job.record.done = position.doneBytes;
  job.record.updatedAt = new Date().toISOString();
  await replaceFile(job.made.paths.copy, encodeCopyRecord(job.record), job.context.options.hostId);
}

/**
 * `.next`, with LEGAL and the generation, takes the place of `.meta`: that is the completion, and it cannot happen when somebody
 * has taken over, not even a moment ago. What follows is tidying, which connecting the domain does as well.
 *
 * @throws {HostbusError} ImageBusy when somebody has taken over; errors of the file system
 */
export async function complete(job: Job): Promise<void> {
  const { made, keeper } = job;
  await keeper.stop();
  await keeper.checkStillHeld();
  if (!(await takeNext(made.paths.next, made.paths.meta))) throw await keeper.replaced();
  job.complete = true;
  await flushDirectory(made.directory);
  try {
    await tidyComplete(made.directory, made.volumeId);
  } catch (error) {
    job.log.warn({ err: error }, 'The image is complete, but not tidied');
  }
}

/** Tells of the complete image, which can be read back already. */
export async function tellCompletion(job: Job): Promise<CopyAnswer> {
  const { context, plan } = job;
  const { status } = await readImage(context, plan.domain, plan.target.imageId);
  emitImage(context, status, plan.task);
  return { image: status, taskId: plan.task.taskId };
}

/** Leaves the target `interrupted`, with all that was copied recorded, and gives it up. Returns the error to fail with. */
export async function interrupt(job: Job, error: unknown): Promise<unknown> {
  const { context, plan, made, keeper } = job;
  await keeper.stop();
  if (job.complete) return error;
  const lost = await lossOf(keeper);
  // Somebody else has the image: nothing in it is ours to change any more, but for what we wrote too late.
  if (lost !== undefined) {
    await removeLate(job).catch((failure: unknown) => job.log.warn({ err: failure }, 'Tidying failed'));
    return error instanceof HostbusError && error.name === 'Cancelled' ? error : lost;
  }
  const attempt = async (what: string, work: () => Promise<void>) => {
    await work().catch((failure: unknown) => job.log.warn({ err: failure }, `${what} failed`));
  };
  // Given up on purpose, or because of a failure: nobody is to go on with it by himself. Cut short by the daemon's end, it is
  // as after a crash.
  if (!context.stopping.aborted) delete job.record.heldBy;
  await attempt('Recording how far the copy is', async () => writeRecord(job, await job.run.flush()));
  await attempt('Giving up the image', async () => {
    await keeper.release();
    await flushDirectory(made.directory);
  });
  await attempt('Telling that the copy is interrupted', async () => {
    const { status } = await readImage(context, plan.domain, plan.target.imageId);
    emitImage(context, status, plan.task);
  });
  return error;
}

async function lossOf(keeper: HolderKeeper): Promise<unknown> {
  try {
    await keeper.checkStillHeld();
    return undefined;
  } catch (error) {
    return error instanceof HostbusError ? error : undefined;
  }
}

// A renewal or a record that was on its way when somebody took over, with a new volume: this one counts no more.
async function removeLate({ made }: Job): Promise<void> {
  const names = await readdir(made.directory);
  if (names.includes(basename(made.paths.next))) return;
  const { copy, holder } = made.paths;
  for (const name of names) {
    const path = `${made.directory}/${name}`;
    const late = path.startsWith(copy) || path.startsWith(holder) || belowOwner(name) === made.volumeId;
    if (late) await removeFile(path);
  }
}
