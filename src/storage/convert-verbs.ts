/** `convertImage`: a copy whose data qemu-img makes. Everything else is as in copies. */
import type * as image from '../../schemas/image.ts';
import type { Implementation } from '../tasks/task-context.ts';
import type { StorageContext } from './context.ts';
import { conversionPlan } from './conversion-plan.ts';
import { copyImage } from './copy-verbs.ts';

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
            shape: (layers, status) => conversionPlan({ layers, status, to, target, format, task }),
          }),
        ),
      ),
  };
}
