import { InvalidOptionError } from '@granary/resilience';

/** A number of milliseconds from `min` on; `Infinity` is none. */
export function checkMs(name: string, value: number, min = 0): number {
  if (!(value >= min)) throw new InvalidOptionError(name, `a number of milliseconds, at least ${min}`, value);
  return value;
}

/** A whole number from `min` on. */
export function checkCount(name: string, value: number, min = 0): number {
  if (!Number.isSafeInteger(value) || value < min) {
    throw new InvalidOptionError(name, `a whole number, at least ${min}`, value);
  }
  return value;
}

/** A number of bytes from 1 on; `Infinity` is no limit. */
export function checkBytes(name: string, value: number): number {
  if (!(value >= 1)) throw new InvalidOptionError(name, 'a number of bytes, at least 1', value);
  return value;
}
