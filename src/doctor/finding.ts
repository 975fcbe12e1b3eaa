/** What a check found. */

/** `skipped`: it could not be looked at; `message` says why. */
export type Status = 'ok' | 'warning' | 'failed' | 'skipped';

export interface Finding {
  /** What was looked at: one word, such as `broker`. */
  readonly check: string;
  readonly status: Status;
  /** One line. */
  readonly message: string;
  /** What to do about it: lines, commands among them. */
  readonly remedy?: readonly string[];
}

type Words = readonly [message: string, ...remedy: string[]];

/** Findings of one check, by their status. */
export function findingsOf(check: string) {
  const finding = (status: Status, [message, ...remedy]: Words): Finding => ({
    check,
    status,
    message,
    ...(remedy.length > 0 && { remedy }),
  });
  return {
    ok: (message: string) => finding('ok', [message]),
    skipped: (message: string, ...remedy: string[]) => finding('skipped', [message, ...remedy]),
    warning: (message: string, ...remedy: string[]) => finding('warning', [message, ...remedy]),
    failed: (message: string, ...remedy: string[]) => finding('failed', [message, ...remedy]),
  };
}
