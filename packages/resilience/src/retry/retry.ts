import type { CircuitBreaker } from '../breaker/circuit-breaker.js';
import { isCircuitOpen } from '../errors.js';
import { AttemptScope, type CallScope } from '../pipeline/call-scope.js';
import { enter } from '../pipeline/enter.js';
import { type Handler, invoke, type Policy, type Protected } from '../pipeline/policy.js';
import { quietly } from '../quietly.js';
import { nodeTimers, type Timers } from '../time.js';
import { wholeNumber } from '../whole-number.js';
import { Backoff, type BackoffOptions } from './backoff.js';

/** A retry that is about to be waited for. */
export interface RetryEvent {
  /** Number of the attempt that failed, from 1. */
  readonly attempt: number;
  /** The wait before the next one. */
  readonly delayMs: number;
  /** What the attempt failed with. */
  readonly error: unknown;
}

export interface RetryPolicyOptions extends BackoffOptions {
  /** Attempts after the first. Default 3; 0 for none. */
  readonly maxRetries?: number | undefined;
  /**
   * How long the other side asked to be left alone, in milliseconds: what `Retry-After` said. Waited instead of the
   * backoff and without jitter, but never longer than `maxDelayMs`: whoever asks for an hour gets the longest wait. What
   * is not a number of at least 0 counts as no answer.
   */
  readonly retryAfter?: ((error: unknown) => number | undefined) | undefined;
  /** Whether this error of this attempt (from 1) is worth another. Default: every one is. */
  readonly shouldRetry?: ((error: unknown, attempt: number) => boolean) | undefined;
  /** Hears of each retry before its wait. What it throws is ignored. */
  readonly onRetry?: ((event: RetryEvent) => void) | undefined;
  /** What waits are measured with. Default: Node's timers. */
  readonly timers?: Timers | undefined;
}

export interface RetryOptions extends RetryPolicyOptions {
  /** The caller's signal: when it is aborted, the call is rejected with its reason at once, also during a wait. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Calls a function until it succeeds, at most `maxRetries` + 1 times, with growing waits between. When there is nothing
 * more to try, the last error is thrown as it is. Never retried, whatever `shouldRetry` says: a breaker that is open
 * ({@link isCircuitOpen}), because waiting for it is what it was built to avoid, and a caller who went away.
 *
 * A call that succeeds at first costs about 0.1 µs.
 *
 * @throws InvalidOptionError when an option makes no sense.
 */
export async function retry<T>(fn: Protected<T>, options: RetryOptions = {}): Promise<T> {
  return enter(retryPolicy(options)(invoke), fn, options.signal);
}

/**
 * {@link retry} as a policy.
 *
 * @param breaker the breaker inside: once it is open there is no wait for an attempt that it would refuse
 */
export function retryPolicy(options: RetryPolicyOptions = {}, breaker?: CircuitBreaker): Policy {
  const plan = new RetryPlan(options, breaker);
  return (inner) => (fn, scope) => {
    const first = scope.attempt === 1 ? scope : new AttemptScope(scope, 1);
    return inner(fn, first).then(undefined, (error: unknown) => plan.goOn(inner, fn, scope, error));
  };
}

class RetryPlan {
  readonly #backoff: Backoff;
  readonly #maxRetries: number;
  readonly #options: RetryPolicyOptions;
  readonly #timers: Timers;
  readonly #breaker: CircuitBreaker | undefined;

  constructor(options: RetryPolicyOptions, breaker: CircuitBreaker | undefined) {
    const { maxRetries = 3, timers = nodeTimers } = options;
    this.#backoff = new Backoff(options);
    this.#maxRetries = wholeNumber('maxRetries', maxRetries, 0);
    this.#options = options;
    this.#timers = timers;
    this.#breaker = breaker;
  }

  /** Everything after the first attempt, which failed with this error. */
  async goOn<T>(inner: Handler, fn: Protected<T>, scope: CallScope, firstError: unknown): Promise<T> {
    let error = firstError;
    for (let attempt = 1; ; attempt++) {
      if (scope.ended) throw scope.reason;
      if (!this.#isWorthAnother(error, attempt)) throw error;
      if (this.#breaker?.state === 'open') throw this.#breaker.rejection();
      const delayMs = this.#delayMs(error, attempt);
      const { onRetry } = this.#options;
      if (onRetry !== undefined) quietly(() => onRetry({ attempt, delayMs, error }));
      await pause(delayMs, scope, this.#timers);
      try {
        return await inner(fn, new AttemptScope(scope, attempt + 1));
      } catch (thrown) {
        error = thrown;
      }
    }
  }

  #isWorthAnother(error: unknown, attempt: number): boolean {
    return (
      attempt <= this.#maxRetries && !isCircuitOpen(error) && (this.#options.shouldRetry?.(error, attempt) ?? true)
    );
  }

  #delayMs(error: unknown, attempt: number): number {
    const asked = this.#options.retryAfter?.(error);
    return typeof asked === 'number' && asked >= 0 // not null, which `Headers.get` gives, and which is at least 0
      ? Math.min(asked, this.#backoff.maxDelayMs)
      : this.#backoff.delayMs(attempt);
  }
}

/** Resolves after so long, or is rejected as soon as the scope ends. */
function pause(ms: number, scope: CallScope, timers: Timers): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = timers.setTimeout(() => {
      scope.unlisten(listener);
      resolve();
    }, ms);
    const listener = {
      end(reason: unknown) {
        timers.clearTimeout(timer);
        reject(reason);
      },
    };
    scope.listen(listener);
  });
}
