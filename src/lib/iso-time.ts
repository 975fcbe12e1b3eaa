/** Times as text. */

let lastMs = Number.NaN;
let lastText = '';

/** RFC 3339, UTC, with milliseconds. What is written of one moment is written once: making the text is slow. */
export function isoTime(ms: number): string {
  if (ms !== lastMs) {
    lastText = new Date(ms).toISOString();
    lastMs = ms;
  }
  return lastText;
}
