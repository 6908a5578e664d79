import { wholeNumber } from '../whole-number.js';
import type { FailureStrategy, FailureStrategyFactory } from './failure-strategy.js';

class ConsecutiveFailures implements FailureStrategy {
  failures = 0;
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  success(): void {
    this.failures = 0;
  }

  failure(): boolean {
    return ++this.failures >= this.#max;
  }

  reset(): void {
    this.failures = 0;
  }
}

/**
 * Opens after so many failures in a row; one success forgets them. Right where calls either all work or all fail, and
 * where there are few of them. Costs no clock and no memory.
 * @throws InvalidOptionError when `maxFailures` is not a whole number of at least 1.
 */
export function consecutiveFailures(maxFailures: number): FailureStrategyFactory {
  wholeNumber('maxFailures', maxFailures);
  return () => new ConsecutiveFailures(maxFailures);
}
