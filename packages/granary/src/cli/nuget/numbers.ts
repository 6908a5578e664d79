import { UsageError } from './run-command.js';

const DEFAULT_CONCURRENCY = 8;
const MAX_CONCURRENCY = 64;

/**
 * The number that is given for a flag; undefined where none is.
 *
 * @throws UsageError for anything but a whole number in this range
 */
export function wholeNumberOf(
  flag: string,
  text: string | undefined,
  least: number,
  most: number,
  what = 'a whole number',
): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new UsageError(`${flag}: found "${text}"; allowed: ${what} from ${least} to ${most}`);
}

/**
 * What `--concurrency` says.
 *
 * @throws UsageError for anything but a whole number from 1 to 64
 */
export function concurrencyOf(text: string | undefined): number {
  return wholeNumberOf('--concurrency', text, 1, MAX_CONCURRENCY) ?? DEFAULT_CONCURRENCY;
}
