/** Where a domain really is: finds its directory, and hangs nobody when the file system does not answer. */
import { realpath, stat } from 'node:fs/promises';
import { HostbusError } from '../../schemas/errors.ts';
import { errnoCode } from '../lib/atomic-file.ts';
import { domainUnavailable, inDomain } from './failures.ts';
import { LimitedWork, NoAnswer } from './limited-work.ts';
import { resolveInRoots } from './paths.ts';

export class DomainFinder {
  readonly #roots: readonly string[];
  readonly #places: LimitedWork<string>;
  readonly #directories: LimitedWork<string>;

  constructor(roots: readonly string[], limitMs: number) {
    this.#roots = roots;
    this.#places = new LimitedWork(limitMs);
    this.#directories = new LimitedWork(limitMs);
  }

  /**
   * The directory in which domains are, with symbolic links resolved.
   *
   * @throws {HostbusError} InvalidPath; DomainUnavailable when it does not answer in time
   */
  async place(domainId: string, path: string): Promise<string> {
    return answering({ domainId, path }, () =>
      this.#places.run(path, async () => {
        const real = await resolveInRoots(path, this.#roots);
        if ((await inDomain({ domainId }, () => stat(real))).isDirectory()) return real;
        throw new HostbusError('InvalidPath', `${path} is not a directory`, { path });
      }),
    );
  }

  /**
   * The directory of a domain, with symbolic links resolved.
   *
   * @throws {HostbusError} DomainNotFound, InvalidPath; DomainUnavailable when it does not answer in time
   */
  async directory(domainId: string, path: string): Promise<string> {
    const place = await this.place(domainId, path);
    const named = `${place}/${domainId}`;
    return answering({ domainId, path }, () =>
      this.#directories.run(named, async () => {
        try {
          const real = await realpath(named);
          if (!(await stat(real)).isDirectory()) throw notFound(domainId, path);
          // The directory itself may be a symbolic link that leads out.
          return await resolveInRoots(real, this.#roots);
        } catch (error) {
          if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') throw notFound(domainId, path);
          return inDomain({ domainId }, () => Promise.reject(error));
        }
      }),
    );
  }
}

async function answering<T>(
  { domainId, path }: { domainId: string; path: string },
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    const since = error.since.toISOString();
    throw domainUnavailable(
      domainId,
      `${path} has not answered since ${since}; see to its file server, or unmount it by force`,
      error,
    );
  }
}

function notFound(domainId: string, path: string): HostbusError {
  const message = `${path} holds no storage domain ${domainId}; make one with createStorageDomain`;
  return new HostbusError('DomainNotFound', message, { domainId, path });
}
