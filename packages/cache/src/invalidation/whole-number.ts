import { InvalidOptionError } from '@granary/resilience';

/** @throws InvalidOptionError when the option's value is not a whole number, or less than `least` */
export function wholeNumber(option: string, value: number, least = 1): number {
  if (!Number.isSafeInteger(value) || value < least) {
    throw new InvalidOptionError(option, `a whole number of at least ${least}`, value);
  }
  return value;
}
