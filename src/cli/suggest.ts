/** "Did you mean …?" */

/** Edits between two words; a swap of neighbours counts as one (optimal string alignment). */
function distance(left: string, right: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const same = left[i - 1] === right[j - 1];
      const cost = Math.min(
        (previous[j] ?? 0) + 1,
        (current[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      const swapped = i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1];
      current[j] = swapped ? Math.min(cost, (before[j - 2] ?? 0) + 1) : cost;
    }
    [before, previous] = [previous, current];
  }
  return previous[right.length] ?? 0;
}

/** The candidate that is nearest to a mistyped word, if any is near enough to be meant. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const lower = word.toLowerCase().slice(0, 200);
  let best: { candidate: string; edits: number } | undefined;
  for (const candidate of candidates) {
    const edits = distance(lower, candidate.toLowerCase());
    if (!best || edits < best.edits) best = { candidate, edits };
  }
  if (!best || best.edits > Math.max(1, Math.floor(best.candidate.length / 3))) return undefined;
  return best.candidate;
}
