import { UsageError } from './run-command.js';

const DEFAULT = 8;
const MAX = 64;

/**
 * What `--concurrency` says.
 *
 * @throws UsageError for anything but a whole number from 1 to 64
 */
export function concurrencyOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT;
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= MAX) return number;
  throw new UsageError(`--concurrency: found "${text}"; allowed: a whole number from 1 to ${MAX}`);
}
