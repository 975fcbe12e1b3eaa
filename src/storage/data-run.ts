/** What moves the data of a copy: of one file after the other, or from one into another format. */
import { ConvertRun } from './convert-run.ts';
import { type CopyPosition, CopyRun } from './copy-data.ts';
import { writeRecord } from './copy-end.ts';
import { type CopyRecord, currentBelow, doneBelow } from './copy-record.ts';
import type { DataRun, Job } from './copy-state.ts';
import { asOpenImage } from './image-layers.ts';

/** Nothing was moved yet: what is durable is what the record says. */
export function notBegun({ offset, done }: CopyRecord): DataRun {
  return { method: 'none', run: async () => {}, flush: async () => ({ offset, doneBytes: done }) };
}

/** For what is open in the job. */
export function dataRun(job: Job): DataRun {
  const { plan, record, keeper } = job;
  const signal = AbortSignal.any([plan.task.signal, keeper.signal]);
  // What is moved from an earlier volume was done before.
  const onProgress = (doneBytes: number) =>
    plan.task.progress(Math.max(doneBytes, record.earlier?.done ?? 0), record.total, 'bytes');
  if (record.convert !== undefined) {
    const source = asOpenImage(plan.source.layers);
    const { to } = record.convert;
    const totalBytes = record.total;
    return new ConvertRun({
      source,
      target: job.made.data,
      to,
      totalBytes,
      log: job.log,
      signal,
      onProgress,
    });
  }
  return copyRun(job, signal, onProgress);
}

function copyRun(job: Job, signal: AbortSignal, onProgress: (doneBytes: number) => void): DataRun {
  const { context, record } = job;
  // Each file is a copy of its own; the record counts all of them.
  const before = doneBelow(record);
  const inRecord = ({ offset, doneBytes }: CopyPosition) => ({ offset, doneBytes: before + doneBytes });
  const run = new CopyRun({
    ...extentOf(job, before),
    target: job.belowData ?? job.made.data,
    targetUsed: job.targetUsed,
    start: { offset: record.offset, doneBytes: record.done - before },
    chunkBytes: context.tuning.chunkBytes,
    checkpointMs: context.tuning.checkpointMs,
    method: context.tuning.bestMethod,
    signal,
    onProgress: (doneBytes) => onProgress(before + doneBytes),
    onDurable: (position) => writeRecord(job, inRecord(position)),
  });
  return {
    get method() {
      return run.method;
    },
    run: () => run.run(),
    flush: async () => inRecord(await run.flush()),
  };
}

// First what an earlier volume has, then what only the source has.
function extentOf({ earlier, plan, record }: Job, before: number) {
  const own = ownExtent(plan, record);
  if (earlier === undefined || record.earlier === undefined) return own;
  const { offset, done } = record.earlier;
  return { source: earlier, sizeBytes: offset, totalBytes: done - before, countedTo: own.countedTo };
}

function ownExtent({ source }: Job['plan'], record: CopyRecord) {
  const next = currentBelow(record);
  const file = source.layers[record.below?.complete ?? 0]?.file;
  if (next !== undefined && file !== undefined) {
    return { source: file, sizeBytes: next.sourceSize, totalBytes: next.total, countedTo: next.countedTo };
  }
  const totalBytes = record.total - doneBelow(record);
  return { source: source.file, sizeBytes: record.sourceSize, totalBytes, countedTo: record.countedTo };
}
