/** `snap_scheduler.py`: Gluster's own scheduler of snapshots. Not every distribution ships it: Debian does not. */
import type { Logger } from 'pino';
import { isInstalled } from './find-program.ts';
import { run } from './run.ts';

const program = 'snap_scheduler.py';
const timeoutMs = 60_000;
const alreadyOff = 7;

export function schedulerInstalled(): boolean {
  return isInstalled(program);
}

/**
 * Turns the scheduler off in the whole pool, whoever turned it on. It is no error when it is off.
 * @throws {ProgramFailed}
 */
export async function turnSchedulerOff(log: Logger): Promise<void> {
  await run(program, ['disable_force'], { log, timeoutMs, exitCodes: [0, alreadyOff], limits: {} });
}
