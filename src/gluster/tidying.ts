/** What a daemon leaves that dies while it writes a file: the file's next content, under another name. The next start takes it away. */
import type { Logger } from 'pino';
import { listHomes } from './accounts.ts';
import { tidyHome } from './authorized-keys.ts';
import { tidyFstab } from './fstab.ts';
import { tidyHooks } from './hooks.ts';
import { tidySchedule } from './snapshot-schedule.ts';

interface Places {
  /** glusterd's `hooks/1` */
  readonly hookDirectory: string;
  readonly hostId: string;
  readonly log: Logger;
}

/** Never rejects: what could not be removed does no harm, and is replaced by the next that is written there. */
export async function tidy({ hookDirectory, hostId, log }: Places): Promise<void> {
  const tidied = await Promise.allSettled([
    tidyHooks(hookDirectory),
    tidyFstab(),
    tidyHomes(log),
    tidySchedule(hostId),
  ]);
  for (const { reason } of tidied.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[]) {
    log.debug({ err: reason as unknown }, 'could not look for what an earlier daemon has left');
  }
}

async function tidyHomes(log: Logger): Promise<void> {
  for (const home of await listHomes(log)) {
    // Some are not there, or none of ours to enter.
    await tidyHome(home).catch(() => {});
  }
}
