/** `convertImage`: a copy whose data qemu-img makes. Everything else is as in copies. */
import type { FileHandle } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import type * as image from '../../schemas/image.ts';
import { measureConversion } from '../programs/qemu-img-work.ts';
import { ProgramFailed } from '../programs/run.ts';
import type { Implementation, TaskContext } from '../tasks/task-context.ts';
import { imageFileDefects } from './check-image-file.ts';
import type { StorageContext } from './context.ts';
import type { CopyPlan } from './copy-job.ts';
import { copyImage } from './copy-verbs.ts';
import type { ConnectedDomain } from './domain-table.ts';
import { requireSpace } from './image-verbs.ts';

export interface ConvertVerbs {
  convertImage: Implementation<typeof image.convertImage>;
}

export function convertVerbs(context: StorageContext): ConvertVerbs {
  return {
    convertImage: ({ source, target, format }, task) =>
      context.domains.use(source.domainId, task.taskId, (from) =>
        context.domains.use(target.domainId, task.taskId, (to) =>
          copyImage(context, {
            from,
            source,
            to,
            target,
            task,
            shape: (file, status) => conversionPlan({ file, status, to, target, format, task }),
          }),
        ),
      ),
  };
}

interface Wanted {
  file: FileHandle;
  status: image.ImageStatus;
  to: ConnectedDomain;
  target: image.ImageRef;
  format: image.ImageFormat;
  task: TaskContext<unknown>;
}

async function conversionPlan(wanted: Wanted): Promise<Partial<CopyPlan>> {
  const { file, status, format, task } = wanted;
  const [defect] = await imageFileDefects(file, status, task);
  if (defect !== undefined) throw cannotConvert(status, defect);
  await requireMeasuredSpace(wanted);
  return {
    format,
    convert: { from: status.format, to: format },
    // qemu-img makes a qcow2 file as large as it must be.
    targetSizeBytes: format === 'raw' ? status.capacity : 0,
  };
}

async function requireMeasuredSpace({ file, status, to, target, format, task }: Wanted): Promise<void> {
  try {
    const source = { fd: file.fd, format: status.format };
    await requireSpace(to, target, await measureConversion(source, format, task));
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
