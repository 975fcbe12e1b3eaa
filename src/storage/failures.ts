/** What the caller is told when the operating system refuses something in a storage domain. */
import { HostbusError } from '../../schemas/errors.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { BadMetadata } from './key-value-text.ts';

/** What an operation was about, for the message and `data`. */
export interface Where {
  domainId: string;
  imageId?: string;
}

const reasons: Readonly<Record<string, string>> = {
  EROFS: 'it is read-only',
  EIO: 'reading or writing failed (EIO)',
  ESTALE: 'the file server no longer knows it (ESTALE); mount it again',
  ENOENT: 'a file or directory that it needs is gone (ENOENT); is it mounted?',
  ENOTDIR: 'something in it is not a directory (ENOTDIR)',
  ENOTCONN: 'its file server is not connected (ENOTCONN)',
  ETIMEDOUT: 'its file server does not answer (ETIMEDOUT)',
  EHOSTDOWN: 'its file server is down (EHOSTDOWN)',
  EACCES: 'the daemon may not read or write it (EACCES); check owner and mode',
  EPERM: 'the daemon may not read or write it (EPERM)',
  ELOOP: 'something in it is a symbolic link (ELOOP)',
};

/** Whether an error says that there is no space, or no more quota. */
export function isNoSpace(error: unknown): boolean {
  const code = errnoCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** What is wrong with a domain, in words; undefined when the error does not come from the file system or the metadata. */
export function defectOf(error: unknown): string | undefined {
  if (error instanceof BadMetadata) return `its metadata cannot be believed: ${error.message}`;
  const code = errnoCode(error);
  return code === undefined ? undefined : (reasons[code] ?? `the operating system said ${code}`);
}

export function domainUnavailable(domainId: string, why: string, cause?: unknown): HostbusError {
  return new HostbusError(
    'DomainUnavailable',
    `Storage domain ${domainId} cannot be used: ${why}`,
    { domainId },
    { cause },
  );
}

/** DomainUnavailable, for as long as its file system does not answer. */
export function domainHangs(domainId: string, since: Date): HostbusError {
  const why = `its file system has not answered since ${since.toISOString()}`;
  const wayOut =
    'As soon as it answers, the domain is used again; if it does not, see to its file server, or unmount it by force';
  const message = `Storage domain ${domainId} cannot be used: ${why}. ${wayOut}`;
  return new HostbusError('DomainUnavailable', message, { domainId, since: since.toISOString() });
}

/** NoSpace, from an error of the system or from a comparison made beforehand. */
export function noSpace(
  where: Where,
  details: { needed?: number; available?: number; errno?: string | undefined } = {},
  cause?: unknown,
): HostbusError {
  const { needed, available } = details;
  const figures =
    needed === undefined || available === undefined
      ? ''
      : `: ${needed} bytes are needed, ${available} are available`;
  const message = `Storage domain ${where.domainId} has too little space${figures}`;
  return new HostbusError('NoSpace', message, { ...where, ...details }, { cause });
}

/** Turns an error of the file system into one for the caller; leaves all others as they are. */
export function asStorageError(error: unknown, where: Where): unknown {
  if (error instanceof HostbusError) return error;
  if (isNoSpace(error)) return noSpace(where, {}, error);
  const defect = defectOf(error);
  return defect === undefined ? error : domainUnavailable(where.domainId, defect, error);
}

/** Runs work in a domain, so that its failures are the caller's kind. */
export async function inDomain<T>(where: Where, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asStorageError(error, where);
  }
}
