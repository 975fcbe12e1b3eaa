/** Waiting for a condition, never for a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';

/**
 * Resolves with the first value of `look` that is neither undefined nor false.
 * @param look - hands what it looks at to `see`, which gives it back, so that a failure can tell the last of it
 * @throws Error that names `what`, and the last that was seen, when it has not come after `timeoutMs`
 */
export async function until<T>(
  what: string,
  look: (see: <S>(seen: S) => S) => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  let last = '';
  const see = <S>(seen: S): S => {
    last = `; last seen: ${typeof seen === 'string' ? seen : inspect(seen, { depth: 6, breakLength: 160 })}`;
    return seen;
  };
  for (;;) {
    const value = await look(see);
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadlineMs) throw new Error(`not seen within ${timeoutMs} ms: ${what}${last}`);
    await sleep(10);
  }
}
