import { checkNumber } from '../check-number.js';
import type { Clock } from '../time.js';
import { wholeNumber } from '../whole-number.js';
import type { FailureStrategy, FailureStrategyFactory } from './failure-strategy.js';

class LastingFailures implements FailureStrategy {
  failures = 0;
  readonly #clock: Clock;
  readonly #max: number;
  readonly #lastMs: number;
  /** When the first of the failures in a row was. */
  #since = 0;

  constructor(clock: Clock, max: number, lastMs: number) {
    this.#clock = clock;
    this.#max = max;
    this.#lastMs = lastMs;
  }

  success(): void {
    this.failures = 0;
  }

  failure(): boolean {
    const now = this.#clock();
    if (++this.failures === 1) this.#since = now;
    return this.failures >= this.#max && now - this.#since >= this.#lastMs;
  }

  reset(): void {
    this.failures = 0;
  }
}

/**
 * Opens after so many failures in a row that have gone on for so long; one success forgets them. Right where much is asked
 * for at once: when the other side stumbles for a moment, or a connection is reset, all of it fails together, and that is
 * no outage.
 * @throws InvalidOptionError when `maxFailures` is not a whole number of at least 1, or `lastMs` below 0.
 */
export function lastingFailures(maxFailures: number, lastMs: number): FailureStrategyFactory {
  wholeNumber('maxFailures', maxFailures);
  checkNumber('lastMs', lastMs, lastMs >= 0, 'at least 0');
  return (clock) => new LastingFailures(clock, maxFailures, lastMs);
}
