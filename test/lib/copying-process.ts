/** Another process that is a host in the middle of a copy, to be killed or stopped. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ChildJob } from '../crash/storage-child.ts';

const childPath = fileURLToPath(new URL('../crash/storage-child.ts', import.meta.url));

/** Resolves once the copy has been answered. The process is gone after the test. */
export async function startCopy(t: TestContext, job: Omit<ChildJob, 'action'>): Promise<ChildProcess> {
  const whole: ChildJob = { ...job, action: 'copyImage' };
  const child = spawn(process.execPath, [childPath, JSON.stringify(whole)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => endProcess(child));
  for await (const line of createInterface({ input: child.stdout })) if (line === 'answered') return child;
  throw new assert.AssertionError({ message: 'the process ended before its copy was answered' });
}

/** SIGKILL; resolves when it is gone. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
