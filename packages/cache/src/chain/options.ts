import { InvalidOptionError } from '@granary/resilience';

/** @throws InvalidOptionError unless the option is left out or a number of milliseconds above 0, or at least 0 */
export function checkMs(option: string, value: number | undefined, zero: 'zero' | 'no zero' = 'zero'): void {
  if (value === undefined || value > 0 || (value === 0 && zero === 'zero')) return;
  throw new InvalidOptionError(
    option,
    `a number of milliseconds ${zero === 'zero' ? 'of at least' : 'above'} 0`,
    value,
  );
}

/** @throws InvalidOptionError unless the option is left out or 0 <= value < 1 */
export function checkFraction(option: string, value: number | undefined): void {
  if (value === undefined || (value >= 0 && value < 1)) return;
  throw new InvalidOptionError(option, 'a number of at least 0 and less than 1', value);
}
