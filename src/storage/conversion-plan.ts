/** What is looked at and decided before a conversion begins. */
import { HostbusError } from '../../schemas/errors.ts';
import type * as image from '../../schemas/image.ts';
import { measureConversion } from '../programs/qemu-img-work.ts';
import { ProgramFailed } from '../programs/run.ts';
import type { TaskContext } from '../tasks/task-context.ts';
import { imageFileDefects } from './check-image-file.ts';
import type { CopyPlan } from './copy-state.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { asOpenImage, type Layer } from './image-layers.ts';
import { requireSpace } from './image-verbs.ts';

interface Wanted {
  /** Of the source, base first. */
  layers: readonly Layer[];
  status: image.ImageStatus;
  to: ConnectedDomain;
  target: image.ImageRef;
  format: image.ImageFormat;
  task: TaskContext<unknown>;
}

/**
 * What makes a copy a conversion into one file. Looks at the source first.
 *
 * @throws {HostbusError} InvalidImage, NoSpace
 */
export async function conversionPlan(wanted: Wanted): Promise<Partial<CopyPlan>> {
  const { layers, status, format, task } = wanted;
  const [defect] = await imageFileDefects(layers, task);
  if (defect !== undefined) throw cannotConvert(status, defect);
  await requireMeasuredSpace(wanted);
  return {
    format,
    convert: { from: status.format, to: format },
    // qemu-img makes a qcow2 file as large as it must be.
    targetSizeBytes: format === 'raw' ? status.capacity : 0,
  };
}

async function requireMeasuredSpace({ layers, to, target, format, task }: Wanted): Promise<void> {
  try {
    await requireSpace(to, target, await measureConversion(asOpenImage(layers), format, task));
  } catch (error) {
    task.signal.throwIfAborted();
    if (!(error instanceof ProgramFailed)) throw error;
    // Only a forecast: when there is none, the conversion itself says what is in its way.
    task.log.warn({ err: error }, 'How much space the conversion takes is not known');
  }
}

function cannotConvert({ domainId, imageId }: image.ImageStatus, reason: string): HostbusError {
  const message = `Image ${imageId} cannot be converted: ${reason}`;
  return new HostbusError('InvalidImage', message, { domainId, imageId, reason });
}
