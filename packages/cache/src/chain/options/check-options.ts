import { checkNumber, InvalidOptionError } from '@granary/resilience';
import type { SetOptions } from '../../layer.js';

/** @throws InvalidOptionError unless the option is left out or a number of milliseconds above 0, or at least 0 */
export function checkMs(option: string, value: number | undefined, zero: 'zero' | 'no zero' = 'zero'): void {
  if (value === undefined) return;
  const isInRange = value > 0 || (value === 0 && zero === 'zero');
  checkNumber(option, value, isInRange, `a number of milliseconds ${zero === 'zero' ? 'of at least' : 'above'} 0`);
}

/** @throws InvalidOptionError unless the option is left out or 0 <= value < 1 */
export function checkFraction(option: string, value: number | undefined): void {
  if (value === undefined) return;
  checkNumber(option, value, value >= 0 && value < 1, 'a number of at least 0 and less than 1');
}

/**
 * Refuses a strategy by its name, which from JavaScript would do nothing, or fail at the first write.
 *
 * @throws InvalidOptionError unless the option is left out or a function
 */
export function checkStrategy(option: string, value: unknown, example: string): void {
  if (value !== undefined && typeof value !== 'function')
    throw new InvalidOptionError(option, `a function, such as ${example}`, value);
}

/**
 * Refuses what is no number, such as NaN from a setting that isn't set: the value would vanish, or stay for ever.
 *
 * @throws InvalidOptionError
 */
export function checkLifetime({ ttlMs, graceMs }: SetOptions): void {
  if (ttlMs !== undefined) checkNumber('ttlMs', ttlMs, !Number.isNaN(ttlMs), 'a number of milliseconds');
  if (graceMs !== undefined) checkNumber('graceMs', graceMs, !Number.isNaN(graceMs), 'a number of milliseconds');
}
