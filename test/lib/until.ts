/** Waiting for a condition, never for a time. */
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Resolves with the first value of `look` that is neither undefined nor false.
 * @throws Error that names `what` when it has not come after `timeoutMs`
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > deadlineMs) throw new Error(`not seen within ${timeoutMs} ms: ${what}`);
    await sleep(10);
  }
}
