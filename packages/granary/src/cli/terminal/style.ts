/** Marks words on a terminal, and leaves them as they are everywhere else. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

const sgr = (on: number, off: number) => (text: string) => `\u001b[${on}m${text}\u001b[${off}m`;
const none = (text: string) => text;

const COLORED: Style = { bold: sgr(1, 22), faint: sgr(2, 22), good: sgr(32, 39), bad: sgr(31, 39) };
const PLAIN: Style = { bold: none, faint: none, good: none, bad: none };

/**
 * @param columns - Undefined where nothing is written to a terminal
 * @param environment - `NO_COLOR` with any value, and `TERM=dumb`, mean none
 */
export function styleFor(
  columns: number | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Style {
  return columns === undefined || environment['NO_COLOR'] || environment['TERM'] === 'dumb' ? PLAIN : COLORED;
}
