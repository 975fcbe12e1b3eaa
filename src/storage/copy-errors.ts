/** What the caller of a copy is told when it fails. */
import { HostbusError } from '../../schemas/errors.ts';
import type { ImageRef } from '../../schemas/image.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { ProgramFailed } from '../programs/run.ts';
import { conversionError } from './convert-run.ts';
import { SourceTooShort } from './data-mover.ts';
import { defectOf, isNoSpace, noSpace } from './failures.ts';

/** What the caller is told when moving the data failed. */
export function asCopyError(error: unknown, target: ImageRef): unknown {
  if (error instanceof HostbusError) return error;
  if (error instanceof ProgramFailed) return conversionError(error, target);
  if (error instanceof SourceTooShort) return copyFailed(target, error.message, undefined, error);
  if (isNoSpace(error)) return noSpace(target, { errno: errnoCode(error) }, error);
  const code = errnoCode(error);
  if (code === undefined) return error;
  return copyFailed(target, `the storage failed with ${code}: ${defectOf(error)}`, code, error);
}

/** CopyFailed, with the reason as part of a sentence. */
export function copyFailed(target: ImageRef, why: string, errno?: string, cause?: unknown): HostbusError {
  const data = errno === undefined ? { ...target } : { ...target, errno };
  const end = why.endsWith('?') ? '' : '.';
  const message = `Copying to image ${target.imageId} failed: ${why}${end} The image is interrupted`;
  return new HostbusError('CopyFailed', message, data, { cause });
}
