import { checkNumber } from './check-number.js';

/**
 * The value of an option that counts something.
 *
 * @throws InvalidOptionError when it is not a whole number, or less than `least`
 */
export function wholeNumber(option: string, value: number, least = 1): number {
  checkNumber(option, value, Number.isSafeInteger(value) && value >= least, `a whole number of at least ${least}`);
  return value;
}
