/** `closed`: calls go through. `open`: they are refused. `half-open`: a few go through, to see whether it works again. */
export type CircuitState = 'closed' | 'open' | 'half-open';

/** A change of state, for logs and metrics. */
export interface CircuitStateChange {
  /** The breaker's name, where it has one. */
  readonly name: string | undefined;
  readonly from: CircuitState;
  readonly to: CircuitState;
}

export interface CircuitBreakerStats {
  readonly state: CircuitState;
  /** Failures that count while closed: in a row, or in the window. While open, what they were when it opened. */
  readonly failures: number;
  /** When a failure was last counted, by the breaker's clock; undefined when none was. */
  readonly lastFailureTime: number | undefined;
  /** Successful probes of this or the last time that the breaker was half-open. */
  readonly halfOpenSuccesses: number;
  /** Failed probes of this or the last time that the breaker was half-open. */
  readonly halfOpenFailures: number;
  /** Probes under way. */
  readonly halfOpenActive: number;
  /** How often the breaker has opened since it was made. */
  readonly opens: number;
}
