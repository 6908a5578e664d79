import { InvalidOptionError } from './errors.js';

/**
 * Refuses the value of an option that is out of its range, or no number at all: where types are not checked, one that
 * comes from the environment is a text, which compares like a number and adds like a text.
 *
 * @throws InvalidOptionError
 */
export function checkNumber(option: string, value: number, isInRange: boolean, expected: string): void {
  if (typeof value === 'number' && isInRange) return;
  // In quotes, because `but is 5` would not say what is wrong with '5'.
  throw new InvalidOptionError(option, expected, typeof value === 'string' ? `'${value}'` : value);
}
