import {
  type CircuitBreaker,
  type Clock,
  InvalidOptionError,
  isCircuitOpen,
  isQueueFull,
  isRateLimitExceeded,
  isTimeout,
  type Policy,
  type ProtectedCall,
  pipeline,
  type RateLimiter,
  type RetryPolicyOptions,
  rateLimitPolicy,
  retryPolicy,
  type SemaphoreThrottle,
  steadyClock,
  type Timers,
  timeoutPolicy,
} from '@granary/resilience';
import type { OperationOptions } from '../../blob-store.js';
import { TierUnavailableError } from '../../errors.js';
import { isRemoteStoreError, RemoteStoreError } from '../../remote/remote-store-error.js';
import { type Attempt, addRejection, withRetryEvents } from './call-events.js';
import { SourceFailedError } from './upload.js';

export interface StoreResilienceOptions {
  /** For a call with all its attempts and waits, in milliseconds; for a stream, until its first byte. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** For one attempt, without the wait for a token. Default 5000. */
  readonly attemptTimeoutMs?: number | undefined;
  /**
   * How long a stream may stand still, in either direction, and any upload of more than 64 KiB to a store that says when
   * it gets on. Default 15,000.
   */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * When and how often what failed is tried again: only what may succeed later, and only where all that it needs is in
   * memory. Default two retries after about 0.1 and 0.2 s; what the other side asks for is waited for instead, and who
   * asks for more than `maxDelayMs` (2000) isn't asked again.
   */
  readonly retry?: Omit<RetryPolicyOptions, 'shouldRetry' | 'retryAfter'> | undefined;
  /** Every attempt takes a token. Default: no limit. */
  readonly rateLimit?: RateLimiter | undefined;
  /**
   * Calls wait for their turn, for `timeoutMs` at most, before any other time begins; only looking for blobs, where one
   * call makes many requests, does not. Default: no limit.
   */
  readonly throttle?: SemaphoreThrottle | undefined;
  /** Counts every attempt and refuses while it is open; see `TierBreaker`. Default: none. */
  readonly breaker?: CircuitBreaker | undefined;
  /** Default {@link steadyClock}. */
  readonly clock?: Clock | undefined;
  /** Default: timers that all timeouts share, at most 10 ms late. */
  readonly timers?: Timers | undefined;
}

/** What outlives the call that made it, and settles the breaker's permit itself. */
export interface HoldsPermit {
  hold(breaker: CircuitBreaker, permit: number): void;
}

/** How long one error serves for all calls that are refused. */
const SHARED_MS = 10;

/** The policies around the calls to one store on another machine, and how their ends are told. */
export class StorePolicies {
  readonly tier: string;
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly timers: Timers | undefined;
  readonly clock: Clock;
  /** For what is answered in one piece, or begins to be. */
  readonly #whole: ProtectedCall;
  /** The same for what does not wait for its turn. */
  readonly #several: ProtectedCall;
  /** For uploads, which take as long as they get on. */
  readonly #upload: ProtectedCall;
  readonly #repeatedUpload: ProtectedCall;
  readonly #breaker: CircuitBreaker | undefined;
  #refusal: TierUnavailableError | undefined;
  #refusalUntil = 0;

  /** @throws InvalidOptionError that names the option */
  constructor(tier: string, options: StoreResilienceOptions) {
    const { timeoutMs = 10_000, attemptTimeoutMs = 5000, idleTimeoutMs = 15_000, rateLimit, breaker, timers } = options;
    this.tier = tier;
    this.timeoutMs = milliseconds('timeoutMs', timeoutMs);
    this.attemptTimeoutMs = milliseconds('attemptTimeoutMs', attemptTimeoutMs);
    this.idleTimeoutMs = milliseconds('idleTimeoutMs', idleTimeoutMs);
    this.timers = timers;
    this.#breaker = breaker;
    this.clock = options.clock ?? steadyClock;
    const total = timeoutPolicy(this.timeoutMs, { timers });
    const maxDelayMs = options.retry?.maxDelayMs ?? 2000;
    const retry = retryPolicy({
      maxRetries: 2,
      initialDelayMs: 100,
      ...(timers && { timers }),
      ...options.retry,
      maxDelayMs,
      shouldRetry: (error) => isWorthAnother(error) && (askedWait(error) ?? 0) <= maxDelayMs,
      retryAfter: askedWait,
    });
    const limit = rateLimit ? [rateLimitPolicy(rateLimit)] : [];
    const counted = breaker ? [countedBy(breaker)] : [];
    // An upload has no total time, but its wait for a token has.
    const admission = rateLimit ? [admissionPolicy(pipeline(total, ...limit))] : [];
    const turn = options.throttle ? [turnPolicy(options.throttle, pipeline(total))] : [];
    const attempt = timeoutPolicy(attemptTimeoutMs, { timers });
    this.#several = pipeline(total, retry, ...limit, ...counted, attempt);
    this.#whole = pipeline(...turn, total, retry, ...limit, ...counted, attempt);
    this.#upload = pipeline(...admission, ...counted);
    this.#repeatedUpload = pipeline(retry, ...admission, ...counted);
  }

  /** A call with one answer. Attempts that are repeated, and refusals of the breaker, are events on the caller's span. */
  whole<T>(what: string, caller: OperationOptions | undefined, fn: Attempt<T>): Promise<T> {
    return this.#run(this.#whole, what, caller, fn);
  }

  /** The same for a call that makes many requests. */
  several<T>(what: string, caller: OperationOptions | undefined, fn: Attempt<T>): Promise<T> {
    return this.#run(this.#several, what, caller, fn);
  }

  /** @param replayable whether `fn` can be called again after it has begun to read its source */
  upload(what: string, caller: OperationOptions | undefined, replayable: boolean, fn: Attempt<void>): Promise<void> {
    return this.#run(replayable ? this.#repeatedUpload : this.#upload, what, caller, fn);
  }

  /** What a caller is told of an error: timeouts and refusals of ours as failures of the tier, all else as it is. */
  explain(what: string, error: unknown): unknown {
    if (error instanceof SourceFailedError) return error.cause;
    if (isCircuitOpen(error)) return this.#refuse(error, error.retryAfterMs);
    if (isTimeout(error)) {
      return new RemoteStoreError(this.tier, 'timeout', `${what}: ${error.message}`, { cause: error });
    }
    if (isRateLimitExceeded(error) || isQueueFull(error)) {
      return new RemoteStoreError(this.tier, 'exhausted', `${what}: ${error.message}`, { cause: error });
    }
    return error;
  }

  async #run<T>(call: ProtectedCall, what: string, caller: OperationOptions | undefined, fn: Attempt<T>): Promise<T> {
    const span = caller?.span;
    // Errors with their stacks are dear, and while the breaker is open there would be one for each call.
    const refusal = this.#sharedRefusal();
    if (refusal) {
      addRejection(span, this.tier);
      throw refusal;
    }
    const signal = caller?.signal;
    try {
      return await call(span?.recording ? withRetryEvents(span, fn) : fn, { signal });
    } catch (error) {
      if (isCircuitOpen(error)) addRejection(span, this.tier);
      throw signal?.aborted ? error : this.explain(what, error);
    }
  }

  #sharedRefusal(): TierUnavailableError | undefined {
    if (this.#refusal === undefined || this.#breaker?.state !== 'open') return undefined;
    return this.clock() < this.#refusalUntil ? this.#refusal : undefined;
  }

  #refuse(cause: Error, retryAfterMs: number): TierUnavailableError {
    const shared = this.#sharedRefusal();
    if (shared) return shared;
    this.#refusal = new TierUnavailableError(this.tier, 'it failed too often and is given a rest', { cause });
    this.#refusalUntil = this.clock() + Math.min(retryAfterMs, SHARED_MS);
    return this.#refusal;
  }
}

/** Counts what outlives its call when that ends, and everything else when the call does. */
function countedBy(breaker: CircuitBreaker): Policy {
  return (inner) => (fn, scope) => {
    const permit = breaker.acquire();
    if (permit === 0) return Promise.reject(breaker.rejection());
    return inner(fn, scope).then(
      (result) => {
        if (holdsPermit(result)) result.hold(breaker, permit);
        else breaker.resolved(permit, result);
        return result;
      },
      (error: unknown) => {
        if (error instanceof SourceFailedError) breaker.released(permit);
        else breaker.rejected(permit, error, scope.callerSignal);
        throw error;
      },
    );
  };
}

function admissionPolicy(admit: ProtectedCall): Policy {
  return (inner) => (fn, scope) => admit(() => undefined, { signal: scope.callerSignal }).then(() => inner(fn, scope));
}

/** @param wait around the wait alone: a call that came too late has not been made, and is nobody's failure */
function turnPolicy(throttle: SemaphoreThrottle, wait: ProtectedCall): Policy {
  const take = async ({ signal }: { readonly signal: AbortSignal }) => {
    const release = await throttle.acquire({ signal });
    if (!signal.aborted) return release;
    release();
    throw signal.reason;
  };
  return (inner) => async (fn, scope) => {
    const release = await wait(take, { signal: scope.callerSignal });
    try {
      return await inner(fn, scope);
    } finally {
      release();
    }
  };
}

function holdsPermit(result: unknown): result is HoldsPermit {
  return typeof result === 'object' && result !== null && 'hold' in result;
}

function askedWait(error: unknown): number | undefined {
  return isRemoteStoreError(error) ? error.retryAfterMs : undefined;
}

function isWorthAnother(error: unknown): boolean {
  return isRemoteStoreError(error) ? error.retryable : isTimeout(error);
}

function milliseconds(option: string, value: number): number {
  if (value > 0 && value < 2 ** 31) return value;
  throw new InvalidOptionError(option, 'a number of milliseconds above 0 and below 2^31', value);
}
