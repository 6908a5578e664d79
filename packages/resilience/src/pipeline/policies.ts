import type { CircuitBreaker } from '../breaker/circuit-breaker.js';
import type { Throttle } from '../throttle/throttle.js';
import type { Policy } from './policy.js';

/** What a rate limit asks for tokens: a `TokenBucket`, or one source of a `PerSourceLimiter`. */
export interface RateLimiter {
  /** Takes a token if one is there and nobody waits. */
  allow(): boolean;
  /** Takes a token when it is there. */
  wait(options: { readonly signal: AbortSignal }): Promise<void>;
}

/** Takes a token for each call, and waits for it when none is there. Costs little more than the limiter's `allow`. */
export function rateLimitPolicy(limiter: RateLimiter): Policy {
  return (inner) => (fn, scope) => {
    if (limiter.allow()) return inner(fn, scope);
    return limiter.wait({ signal: scope.signal }).then(() => {
      // The token may come in the same moment as the end of the call, which is then not made any more.
      if (scope.ended) throw scope.reason;
      return inner(fn, scope);
    });
  };
}

/**
 * Calls only when the throttle has room. Costs 1 to 2 µs where the call can end early, because throttles are given a real
 * signal then.
 */
export function throttlePolicy(throttle: Throttle): Policy {
  return (inner) => (fn, scope) => {
    const call = () => inner(fn, scope);
    return scope.canEnd ? throttle.run(call, { signal: scope.signal }) : throttle.run(call);
  };
}

/**
 * Counts each call in a breaker, which refuses it with a `CircuitOpenError` while it is open. A caller's abort is neither
 * success nor failure. When a timeout around the breaker ends the call, that is a failure like an error of the call:
 * what doesn't answer must open the breaker even where nobody set a timeout for the attempt.
 */
export function breakerPolicy(breaker: CircuitBreaker): Policy {
  return (inner) => (fn, scope) => {
    const { callerSignal } = scope;
    if (callerSignal === undefined) return breaker.execute(() => inner(fn, scope));
    // Not with `execute`, which would listen to the signal too: what is within settles as soon as the caller aborts.
    const permit = breaker.acquire();
    if (permit === 0) return Promise.reject(breaker.rejection());
    return inner(fn, scope).then(
      (result) => {
        breaker.resolved(permit, result);
        return result;
      },
      (error: unknown) => {
        breaker.rejected(permit, error, callerSignal);
        throw error;
      },
    );
  };
}
