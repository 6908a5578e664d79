import type { Clock } from '../time.js';
import type { CircuitStateChange } from './circuit-state.js';
import type { FailureStrategyFactory } from './failure-strategy.js';

export interface CircuitBreakerOptions {
  /** What the breaker protects, for errors and listeners; of a breaker for each host it is the host. */
  readonly name?: string | undefined;
  /** Failures in a row that open the breaker. Default 5. Not looked at when there is a `strategy`. */
  readonly maxFailures?: number | undefined;
  /** What else opens the breaker, such as `rollingWindow()`. */
  readonly strategy?: FailureStrategyFactory | undefined;
  /** How long an open breaker refuses every call, in milliseconds. Default 60 000. */
  readonly timeoutMs?: number | undefined;
  /**
   * How long it refuses every call after a failure that cost hardly any time, such as a refused connection, in
   * milliseconds: so long when it opens, and twice as long after each probe that fails so, up to `timeoutMs`. Whoever settles
   * a permit says which failures are quick. Default `timeoutMs`.
   */
  readonly quickTimeoutMs?: number | undefined;
  /** Most probes under way at once while half-open. Default 1. */
  readonly maxHalfOpenRequests?: number | undefined;
  /** Successful probes that close the breaker. Default 1. */
  readonly halfOpenSuccesses?: number | undefined;
  /**
   * Which errors of a call are failures of what is called. Others are answers: they count as success. Default: all but
   * an `AbortError`, which is neither. Not asked when the caller's signal is aborted: that is neither, always.
   */
  readonly isFailure?: ((error: unknown) => boolean) | undefined;
  /** Which results are failures although nothing was thrown. Default none. */
  readonly isFailureResult?: ((result: unknown) => boolean) | undefined;
  /** Default a clock that never goes back. */
  readonly clock?: Clock | undefined;
  /** Told after each change of state. What it throws is ignored. */
  readonly onStateChange?: ((change: CircuitStateChange) => void) | undefined;
}

export interface ExecuteOptions {
  /** Aborted when the caller goes away: the promise rejects with its reason, and the call counts as neither. */
  readonly signal?: AbortSignal | undefined;
}
