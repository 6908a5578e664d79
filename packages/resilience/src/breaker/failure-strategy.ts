import type { Clock } from '../time.js';

/**
 * What a closed breaker counts, and when that is too much. It hears of calls only while the breaker is closed, and
 * starts anew when it closes again.
 */
export interface FailureStrategy {
  /** Failures that count at present. A breaker whose strategy has none is idle: it can be forgotten without harm. */
  readonly failures: number;
  success(): void;
  /** Counts a failure; true when the breaker must open. */
  failure(): boolean;
  reset(): void;
}

/** Makes the strategy of one breaker. The clock is that breaker's; a strategy that needs no time never reads it. */
export type FailureStrategyFactory = (clock: Clock) => FailureStrategy;
