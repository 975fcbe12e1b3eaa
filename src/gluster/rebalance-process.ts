/**
 * The process by which a host does its part of a rebalance or brick removal. Gluster goes on saying "in progress" when it has died;
 * whether it is there is known only on the host itself.
 */
import { readdir, readFile } from 'node:fs/promises';
import { basename } from 'node:path';

/** `hidden`: glusterd itself is not seen (other namespace, /proc hidden), so that nothing follows from seeing no other. */
export type ProcessSight = 'runs' | 'gone' | 'hidden';

export async function seeRebalanceProcess(volume: string): Promise<ProcessSight> {
  let glusterdSeen = false;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const argv = await commandLine(pid);
    const volfile = argv.indexOf('--volfile-id');
    if (volfile !== -1 && argv[volfile + 1] === `rebalance/${volume}`) return 'runs';
    glusterdSeen ||= basename(argv[0] ?? '') === 'glusterd';
  }
  return glusterdSeen ? 'gone' : 'hidden';
}

async function commandLine(pid: string): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  } catch {
    // It has ended, or is not ours to see.
    return [];
  }
}
