/** Waiting longer and longer, never in step with others. */

/**
 * Milliseconds to wait before attempt `attempt` (1, 2, …): doubling from `firstMs` up to `maxMs`, each drawn from the upper half
 * of its range, so that many that lost the same thing at once do not come back at once.
 */
export function backoffMs(attempt: number, firstMs: number, maxMs: number): number {
  const rangeMs = Math.min(maxMs, firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(rangeMs * (0.5 + Math.random() / 2));
}
