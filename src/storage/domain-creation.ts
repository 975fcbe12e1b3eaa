/** Making a storage domain. Until the last step it has a temporary name: it exists whole, or not at all. */
import { lstat, mkdir, readdir, realpath, rename } from 'node:fs/promises';
import { basename } from 'node:path';
import { HostbusError } from '../../schemas/errors.ts';
import { errnoCode, flushDirectory, removeTree, writeNewFile } from '../lib/atomic-file.ts';
import { domainTypeOf } from './domain-look.ts';
import { encodeDomainMetadata, newDomainValues } from './domain-metadata.ts';
import { domainPaths, parseUnfinishedName, unfinishedName, unusedDomainFiles } from './layout.ts';
import type { StorageOptions } from './options.ts';
import { inDirectory } from './paths.ts';

export interface NewDomain {
  domainId: string;
  name: string;
  /** As the caller named it. */
  path: string;
  /** With symbolic links resolved. */
  realPath: string;
}

/**
 * Makes the directory of a domain; durable when this resolves. Killed at any point, it leaves nothing under the domain's
 * name, and a directory that the next try removes.
 *
 * @throws {HostbusError} DomainExists; errors of the file system
 */
export async function makeDomain(options: StorageOptions, domain: NewDomain): Promise<void> {
  await inDirectory(domain.realPath, (realPath) => makeIn(options, { ...domain, realPath }));
}

async function makeIn(options: StorageOptions, domain: NewDomain): Promise<void> {
  const final = `${domain.realPath}/${domain.domainId}`;
  if (await exists(final)) throw domainExists(domain.domainId, domain.path);
  await removeLeftovers(options, domain);
  const { hostId, bootId } = options;
  const temporary = `${domain.realPath}/${unfinishedName({ id: domain.domainId, hostId, bootId })}`;
  try {
    await build(temporary, domain);
    await rename(temporary, final);
  } catch (error) {
    await removeTree(temporary).catch(() => {});
    // Another host was quicker.
    const code = errnoCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') throw domainExists(domain.domainId, domain.path);
    throw error;
  }
  await flushDirectory(domain.realPath);
}

export function domainExists(domainId: string, path: string): HostbusError {
  const message = `Storage domain ${domainId} exists already, in ${path}; connect it with connectStorageDomain`;
  return new HostbusError('DomainExists', message, { domainId, path });
}

async function build(temporary: string, domain: NewDomain): Promise<void> {
  const values = newDomainValues({
    domainId: domain.domainId,
    description: domain.name,
    type: await domainTypeOf(domain.realPath),
    remotePath: domain.path,
  });
  await mkdir(temporary);
  // Its name can be given to something else by whoever may write where it lies; what is in it, only by the daemon's user.
  const made = `${await realpath(domain.realPath)}/${basename(temporary)}`;
  await inDirectory(made, async (directory) => {
    const metadataDirectory = domainPaths.metadataDirectory(directory);
    await mkdir(metadataDirectory);
    await mkdir(domainPaths.images(directory));
    for (const name of unusedDomainFiles) await writeNewFile(`${metadataDirectory}/${name}`, '');
    await writeNewFile(domainPaths.metadata(directory), encodeDomainMetadata(values));
    await flushDirectory(metadataDirectory);
    await flushDirectory(domainPaths.images(directory));
    await flushDirectory(directory);
  });
}

// Of any boot of this host: no other task of this one is at it, because making a domain excludes others on it.
async function removeLeftovers(options: StorageOptions, domain: NewDomain): Promise<void> {
  for (const name of await readdir(domain.realPath)) {
    const of = parseUnfinishedName(name);
    const own = of?.hostId === options.hostId && of.id === domain.domainId;
    if (own) await removeTree(`${domain.realPath}/${name}`);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return false;
    throw error;
  }
}
