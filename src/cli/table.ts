/** Tables and lists of names and values, as lines of text. */
import { pad, printable, textWidth, truncate } from './text.ts';

export interface Column {
  readonly title: string;
  /** @default 'left' */
  readonly align?: 'left' | 'right';
}

const gap = '  ';
const minimumWidth = 4;

/**
 * One line for the titles, one for each row.
 * @param width - of the terminal in columns; the widest columns are cut until the table fits. Undefined: nothing is ever cut
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width?: number,
): string[] {
  const cells = [columns.map(({ title }) => title), ...rows].map((row) =>
    columns.map((_, index) => printable(row[index] ?? '')),
  );
  const natural = columns.map((_, index) => Math.max(...cells.map((row) => textWidth(row[index] ?? ''))));
  const widths = width === undefined ? natural : fit(natural, width - gap.length * (columns.length - 1));
  return cells.map((row) => {
    const texts = row.map((cell, index) => {
      const columnWidth = widths[index] ?? 0;
      return pad(truncate(cell, columnWidth), columnWidth, columns[index]?.align);
    });
    return texts.join(gap).trimEnd();
  });
}

/** Widths that sum up to at most `available`, the widest columns giving way first; no column below {@link minimumWidth}. */
function fit(natural: readonly number[], available: number): number[] {
  const widths = [...natural];
  let excess = widths.reduce((sum, width) => sum + width, 0) - available;
  while (excess > 0) {
    const widest = Math.max(...widths);
    if (widest <= minimumWidth) break;
    const index = widths.indexOf(widest);
    widths[index] = widest - 1;
    excess -= 1;
  }
  return widths;
}

/** Names and their values, the values aligned under each other. */
export function renderPairs(pairs: readonly (readonly [name: string, value: string])[]): string[] {
  const safe = pairs.map(([name, value]) => [printable(name), printable(value)] as const);
  const width = Math.max(0, ...safe.map(([name]) => textWidth(name)));
  return safe.map(([name, value]) => `${pad(name, width)}${gap}${value}`.trimEnd());
}
