const BRAND: unique symbol = Symbol.for('granary.error') as never;

/** Why a policy refused a call or ended it. */
export type ResilienceErrorCode =
  | 'CIRCUIT_OPEN' // the breaker lets nothing through at the moment
  | 'RATE_LIMIT_EXCEEDED' // there will be no token within what the caller or the limiter allows
  | 'TIMEOUT' // the call took longer than its limit
  | 'QUEUE_FULL' // as many callers wait already as may wait
  | 'INVALID_OPTION'; // a policy was made, or called, with a value that makes no sense

/** Base of every error that a policy throws on purpose. What the protected call throws passes through unchanged. */
export class ResilienceError extends Error {
  readonly code: ResilienceErrorCode;
  readonly [BRAND] = true;

  constructor(code: ResilienceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The breaker is open, or half-open with all its probes under way: the call was not made. */
export class CircuitOpenError extends ResilienceError {
  /** Host or name of what the breaker protects, where it was given one. */
  readonly target: string | undefined;
  /** Milliseconds until the breaker lets the next probe through; 0 when probes are under way already. */
  readonly retryAfterMs: number;

  constructor(retryAfterMs: number, target?: string) {
    const wait = retryAfterMs > 0 ? `next probe in ${Math.ceil(retryAfterMs)} ms` : 'a probe is under way';
    super('CIRCUIT_OPEN', `the circuit${target === undefined ? '' : ` of ${target}`} is open; ${wait}`);
    this.retryAfterMs = retryAfterMs;
    this.target = target;
  }
}

/** The tokens asked for can't be had: more than the capacity, or not within the longest wait allowed. */
export class RateLimitExceededError extends ResilienceError {
  constructor(message: string) {
    super('RATE_LIMIT_EXCEEDED', message);
  }
}

/** The call took longer than its limit; it was told to stop and its result is ignored. */
export class TimeoutError extends ResilienceError {
  readonly timeoutMs: number;

  constructor(timeoutMs: number) {
    super('TIMEOUT', `no answer within ${timeoutMs} ms`);
    this.timeoutMs = timeoutMs;
  }
}

/** So many callers wait already that this one was turned away at once. */
export class QueueFullError extends ResilienceError {
  constructor(what: string, limit: number) {
    super('QUEUE_FULL', `${limit} callers wait for ${what} already`);
  }
}

/** A policy was made or called with a value that makes no sense; the message names the option. */
export class InvalidOptionError extends ResilienceError {
  constructor(option: string, expected: string, found: unknown) {
    super('INVALID_OPTION', `${option} must be ${expected}, but is ${String(found)}`);
  }
}

function hasCode(error: unknown, code: ResilienceErrorCode): boolean {
  return typeof error === 'object' && error !== null && BRAND in error && 'code' in error && error.code === code;
}

/** Whether this is a {@link CircuitOpenError}, even one of another copy of this package. */
export const isCircuitOpen = (error: unknown): error is CircuitOpenError => hasCode(error, 'CIRCUIT_OPEN');

/** Whether this is a {@link RateLimitExceededError}, even one of another copy of this package. */
export const isRateLimitExceeded = (error: unknown): error is RateLimitExceededError =>
  hasCode(error, 'RATE_LIMIT_EXCEEDED');

/** Whether this is a {@link TimeoutError}, even one of another copy of this package. */
export const isTimeout = (error: unknown): error is TimeoutError => hasCode(error, 'TIMEOUT');

/** Whether this is a {@link QueueFullError}, even one of another copy of this package. */
export const isQueueFull = (error: unknown): error is QueueFullError => hasCode(error, 'QUEUE_FULL');
