import { checkNumber } from '../check-number.js';
import type { Clock } from '../time.js';
import { wholeNumber } from '../whole-number.js';
import type { FailureStrategy, FailureStrategyFactory } from './failure-strategy.js';

export interface RollingWindowOptions {
  /** The part of all calls in the window that must have failed, above 0 and at most 1. Default 0.5. */
  readonly failureRatio?: number | undefined;
  /** Milliseconds that are looked back, in steps of a tenth. Default 30 000. */
  readonly windowMs?: number | undefined;
  /** Calls in the window below which nothing is concluded: one failure of one call is 100 %. Default 10. */
  readonly minimumThroughput?: number | undefined;
}

/** Parts that the window moves by: results are forgotten a tenth of the window at a time. */
const SLICES = 10;

class RollingWindow implements FailureStrategy {
  readonly #clock: Clock;
  readonly #ratio: number;
  readonly #minimum: number;
  readonly #sliceMs: number;
  /** A ring of slices, each with its successes and failures; the running totals are what they add up to. */
  readonly #successes = new Float64Array(SLICES);
  readonly #failures = new Float64Array(SLICES);
  #totalSuccesses = 0;
  #totalFailures = 0;
  #slice = 0;
  #sliceEnd: number;

  constructor(clock: Clock, ratio: number, windowMs: number, minimum: number) {
    this.#clock = clock;
    this.#ratio = ratio;
    this.#minimum = minimum;
    this.#sliceMs = windowMs / SLICES;
    this.#sliceEnd = clock() + this.#sliceMs;
  }

  get failures(): number {
    this.#moveOn();
    return this.#totalFailures;
  }

  success(): void {
    this.#moveOn();
    (this.#successes[this.#slice] as number) += 1;
    this.#totalSuccesses += 1;
  }

  failure(): boolean {
    this.#moveOn();
    (this.#failures[this.#slice] as number) += 1;
    this.#totalFailures += 1;
    const total = this.#totalSuccesses + this.#totalFailures;
    // Divided, because 0.55 * 100 is more than 55.
    return total >= this.#minimum && this.#totalFailures / total >= this.#ratio;
  }

  reset(): void {
    this.#successes.fill(0);
    this.#failures.fill(0);
    this.#totalSuccesses = 0;
    this.#totalFailures = 0;
    this.#sliceEnd = this.#clock() + this.#sliceMs;
  }

  #moveOn(): void {
    const now = this.#clock();
    if (now < this.#sliceEnd) return;
    const steps = Math.floor((now - this.#sliceEnd) / this.#sliceMs) + 1;
    if (steps >= SLICES) {
      this.reset();
      return;
    }
    for (let i = 0; i < steps; i++) {
      this.#slice = (this.#slice + 1) % SLICES;
      this.#totalSuccesses -= this.#successes[this.#slice] as number;
      this.#totalFailures -= this.#failures[this.#slice] as number;
      this.#successes[this.#slice] = 0;
      this.#failures[this.#slice] = 0;
    }
    this.#sliceEnd += steps * this.#sliceMs;
  }
}

/**
 * Opens when too large a part of the calls of the last while failed, and there were enough of them to say so. Right
 * where many calls are under way and some fail even in good times: successes between the failures don't hide them.
 * Opens on a failure only, never on a success. Costs a reading of the clock for each call and 0.5 KB for each breaker.
 * @throws InvalidOptionError
 */
export function rollingWindow(options: RollingWindowOptions = {}): FailureStrategyFactory {
  const { failureRatio = 0.5, windowMs = 30_000, minimumThroughput = 10 } = options;
  checkNumber('failureRatio', failureRatio, failureRatio > 0 && failureRatio <= 1, 'a number above 0 and at most 1');
  const isTime = windowMs > 0 && windowMs < Number.POSITIVE_INFINITY;
  checkNumber('windowMs', windowMs, isTime, 'a number of milliseconds above 0');
  wholeNumber('minimumThroughput', minimumThroughput);
  return (clock) => new RollingWindow(clock, failureRatio, windowMs, minimumThroughput);
}
