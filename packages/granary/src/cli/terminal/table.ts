import type { Style } from './style.js';
import { fit, plain, widthOf } from './text.js';

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
  /** May be cut to fit a terminal. */
  readonly flexible?: boolean;
}

const GAP = '  ';
const MIN_FLEXIBLE = 12;

/**
 * Rows under their titles. On a terminal the flexible columns share what the others leave; elsewhere nothing is cut.
 *
 * @param columns - Of the terminal; undefined where it is none
 */
export function table(
  head: readonly Column[],
  rows: readonly (readonly string[])[],
  columns: number | undefined,
  style: Style,
): string {
  const cells = rows.map((row) => head.map((_, i) => plain(row[i] ?? '')));
  const widths = head.map(({ title }, i) =>
    cells.reduce((widest, row) => Math.max(widest, widthOf(row[i] as string)), widthOf(title)),
  );
  if (columns !== undefined) shrink(widths, head, columns);
  const line = (row: readonly string[], mark: (text: string) => string) =>
    row
      .map((cell, i) => {
        const text = fit(cell, widths[i] as number);
        const space = ' '.repeat((widths[i] as number) - widthOf(text));
        if (head[i]?.right) return space + mark(text);
        return i === row.length - 1 ? mark(text) : mark(text) + space;
      })
      .join(GAP)
      .trimEnd();
  const titles = line(
    head.map(({ title }) => title),
    style.bold,
  );
  return [titles, ...cells.map((row) => line(row, (text) => text))].map((text) => `${text}\n`).join('');
}

/** Names and values, one pair a line; values that are empty are left out. */
export function list(pairs: readonly (readonly [name: string, value: string])[], style: Style): string {
  const shown = pairs.filter(([, value]) => value !== '');
  const width = Math.max(0, ...shown.map(([name]) => widthOf(name)));
  return shown
    .map(([name, value]) => `${style.bold(name)}${' '.repeat(width - widthOf(name))}${GAP}${plain(value)}\n`)
    .join('');
}

function shrink(widths: number[], head: readonly Column[], columns: number): void {
  let excess = widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1)) - columns;
  while (excess > 0) {
    let widest = -1;
    for (const [i, { flexible }] of head.entries()) {
      const width = widths[i] as number;
      if (flexible && width > MIN_FLEXIBLE && (widest < 0 || width > (widths[widest] as number))) widest = i;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] as number) - 1;
    excess--;
  }
}
