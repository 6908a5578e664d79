import { checkNumber } from '@granary/resilience';

/** A number of milliseconds from `min` on; `Infinity` is none. */
export function checkMs(name: string, value: number, min = 0): number {
  checkNumber(name, value, value >= min, `a number of milliseconds, at least ${min}`);
  return value;
}

/** A whole number from `min` on. */
export function checkCount(name: string, value: number, min = 0): number {
  checkNumber(name, value, Number.isSafeInteger(value) && value >= min, `a whole number, at least ${min}`);
  return value;
}

/** A number of bytes from 1 on; `Infinity` is no limit. */
export function checkBytes(name: string, value: number): number {
  checkNumber(name, value, value >= 1, 'a number of bytes, at least 1');
  return value;
}
