/** What tests of running programs share. */
import assert from 'node:assert/strict';
import { pino } from 'pino';
import { ProgramFailed } from '../../src/programs/run.ts';

export const log = pino({ level: 'silent' });
export const options = { log, timeoutMs: 10_000 };

/** Asserts that a program fails, and returns how. */
export async function failure(work: Promise<unknown>): Promise<ProgramFailed> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof ProgramFailed, `another error: ${String(error)}`);
    return error;
  }
  throw new assert.AssertionError({ message: 'it did not fail' });
}

/** Whether there is a process of that ID. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
