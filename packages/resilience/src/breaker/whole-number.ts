import { InvalidOptionError } from '../errors.js';

/** The value of an option that counts something. @throws InvalidOptionError when it is not a whole number above 0. */
export function wholeNumber(option: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new InvalidOptionError(option, 'a whole number of at least 1', value);
  }
  return value;
}
