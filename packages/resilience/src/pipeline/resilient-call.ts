import { CircuitBreaker } from '../breaker/circuit-breaker.js';
import type { CircuitBreakerOptions } from '../breaker/circuit-breaker-options.js';
import { TokenBucket, type TokenBucketOptions } from '../limiter/token-bucket.js';
import { type RetryPolicyOptions, retryPolicy } from '../retry/retry.js';
import type { Clock, Timers } from '../time.js';
import { timeoutPolicy } from '../timeout/timeout.js';
import { type ProtectedCall, pipeline } from './pipeline.js';
import { breakerPolicy, type RateLimiter, rateLimitPolicy } from './policies.js';
import type { Policy } from './policy.js';

/** The parts of a {@link resilientCall}. A part that isn't named isn't there; `{}` is a part with its defaults. */
export interface ResilientCallOptions {
  /** For everything together, in milliseconds: all attempts, the waits between them and those for tokens. */
  readonly timeoutMs?: number | undefined;
  readonly retry?: RetryPolicyOptions | undefined;
  /** Every attempt takes a token, and waits for one if need be. Give a limiter to share it or to see its state. */
  readonly rateLimit?: RateLimiter | TokenBucketOptions | undefined;
  /** Every attempt is counted. Give a breaker to share it or to see its state. */
  readonly breaker?: CircuitBreaker | CircuitBreakerOptions | undefined;
  /** For each attempt alone, in milliseconds, without the wait for a token. */
  readonly attemptTimeoutMs?: number | undefined;
  /** For the bucket and the breaker, where they are made here. */
  readonly clock?: Clock | undefined;
  /** For timeouts, retries and the bucket, where they don't have timers of their own. */
  readonly timers?: Timers | undefined;
}

/**
 * The policies that a call to anything that can fail needs, in the order in which they work together:
 *
 * `total timeout ( retry ( rate limit ( breaker ( attempt timeout ( the call )))))`
 *
 * So each attempt takes a token and is counted by the breaker; a breaker that is open, or opens, ends the retries at
 * once; what the other side asks for with `Retry-After` is honoured through `retry.retryAfter`, at most `maxDelayMs`; a
 * caller who aborts counts as neither success nor failure. An attempt that the total time cuts off counts as a failure.
 *
 * A call that neither fails nor waits costs about 0.6 µs with everything on (`bench/resilience.mjs`). For another order,
 * or other parts: {@link pipeline}.
 *
 * @throws InvalidOptionError when an option makes no sense.
 */
export function resilientCall(options: ResilientCallOptions): ProtectedCall {
  const { timeoutMs, attemptTimeoutMs, retry, rateLimit, breaker } = options;
  const clock = options.clock && { clock: options.clock };
  const timers = options.timers && { timers: options.timers };
  const counted = breaker && ('acquire' in breaker ? breaker : new CircuitBreaker({ ...clock, ...breaker }));
  const policies: Policy[] = [];
  if (timeoutMs !== undefined) policies.push(timeoutPolicy(timeoutMs, timers, 'timeoutMs'));
  if (retry !== undefined) policies.push(retryPolicy({ ...timers, ...retry }, counted));
  if (rateLimit !== undefined) {
    policies.push(
      rateLimitPolicy('allow' in rateLimit ? rateLimit : new TokenBucket({ ...clock, ...timers, ...rateLimit })),
    );
  }
  if (counted !== undefined) policies.push(breakerPolicy(counted));
  if (attemptTimeoutMs !== undefined) policies.push(timeoutPolicy(attemptTimeoutMs, timers, 'attemptTimeoutMs'));
  return pipeline(...policies);
}
