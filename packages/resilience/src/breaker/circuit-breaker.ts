import { listenForAbort, unlistenForAbort } from '../abort-listeners.js';
import { checkNumber } from '../check-number.js';
import { CircuitOpenError } from '../errors.js';
import { toMaybePromise } from '../maybe-promise.js';
import { quietly } from '../quietly.js';
import { type Clock, steadyClock } from '../time.js';
import { wholeNumber } from '../whole-number.js';
import type { CircuitBreakerOptions, ExecuteOptions } from './circuit-breaker-options.js';
import type { CircuitBreakerStats, CircuitState, CircuitStateChange } from './circuit-state.js';
import { consecutiveFailures } from './consecutive-failures.js';
import type { FailureStrategy } from './failure-strategy.js';
import { type Outcome, OutcomeRules } from './outcome-rules.js';
import { ProbeSlots } from './probe-slots.js';

interface Reactions {
  readonly onResult: (result: unknown) => unknown;
  readonly onError: (error: unknown) => never;
}

/** After this time, or `timeoutMs` if that is longer, a probe that never ended gives its place to another. */
const LOST_PROBE_MS = 600_000;

/**
 * Refuses calls to what has failed too often, so that callers get an answer at once and what is called gets time to
 * recover. After `timeoutMs` a few probes go through; if enough of them succeed the breaker closes, if one fails it
 * opens for another `timeoutMs` (less, where failures are quick: `quickTimeoutMs`). It changes only when it is used: an open breaker stays `open` until somebody asks.
 *
 * Every call belongs to the period of one state. A result that comes when that period is over changes nothing, be it
 * the slow success of a call from before the breaker opened or a probe that outlived its half-open breaker.
 *
 * There are three ways to use it:
 * - {@link execute} runs a function. It settles in every case.
 * - {@link acquire} gives a permit, which {@link succeeded}, {@link failed} or {@link released} settles: for calls that
 *   aren't functions, such as a request whose answer arrives piece by piece. {@link resolved} and {@link rejected} settle
 *   it by the rules of {@link execute}.
 * - {@link canExecute}, {@link recordSuccess} and {@link recordFailure} don't say which call they speak of, so a late
 *   result can't always be told from a new one. A probe that nobody reports on loses its place after `timeoutMs`.
 *
 * Costs while closed: a few nanoseconds for a call, and one more promise for {@link execute} of an async function.
 */
export class CircuitBreaker {
  readonly name: string | undefined;
  readonly #strategy: FailureStrategy;
  readonly #timeoutMs: number;
  readonly #quickTimeoutMs: number;
  readonly #maxHalfOpenRequests: number;
  readonly #halfOpenSuccessesToClose: number;
  readonly #rules: OutcomeRules;
  readonly #clock: Clock;
  readonly #onStateChange: ((change: CircuitStateChange) => void) | undefined;

  #state: CircuitState = 'closed';
  /** The last permit given. Permits are never given again, so one of an earlier period is never mistaken for a new one. */
  #lastPermit = 1;
  /** While closed, the one permit of all calls of this period; otherwise 0. */
  #closedPermit = 1;
  /** Reactions for the calls of this closed period, shared so that a call needs no closures of its own. */
  #closedReactions: Reactions;
  #slots: ProbeSlots | undefined;
  #openedAt = 0;
  /** How long it stays open this time. */
  #restMs = 0;
  /** How often it opened since it was closed last. */
  #opensInARow = 0;
  #lastFailureTime: number | undefined;
  #halfOpenSuccesses = 0;
  #halfOpenFailures = 0;
  #opens = 0;

  /** @throws InvalidOptionError that names the option. */
  constructor(options: CircuitBreakerOptions = {}) {
    const { maxFailures = 5, timeoutMs = 60_000, maxHalfOpenRequests = 1, halfOpenSuccesses = 1 } = options;
    const { quickTimeoutMs = timeoutMs } = options;
    for (const [name, ms] of Object.entries({ timeoutMs, quickTimeoutMs })) {
      checkNumber(name, ms, ms >= 0 && ms < Number.POSITIVE_INFINITY, 'a number of milliseconds, 0 or more');
    }
    this.name = options.name;
    this.#timeoutMs = timeoutMs;
    this.#quickTimeoutMs = quickTimeoutMs;
    this.#maxHalfOpenRequests = wholeNumber('maxHalfOpenRequests', maxHalfOpenRequests);
    this.#halfOpenSuccessesToClose = wholeNumber('halfOpenSuccesses', halfOpenSuccesses);
    this.#rules = new OutcomeRules(options.isFailure, options.isFailureResult);
    this.#clock = options.clock ?? steadyClock;
    this.#onStateChange = options.onStateChange;
    this.#strategy = (options.strategy ?? consecutiveFailures(maxFailures))(this.#clock);
    this.#closedReactions = this.#reactions(this.#closedPermit);
  }

  get state(): CircuitState {
    return this.#state;
  }

  /** Whether the breaker is closed and counts no failure: one made anew would behave alike. */
  get idle(): boolean {
    return this.#state === 'closed' && this.#strategy.failures === 0;
  }

  /**
   * Runs a function unless the breaker refuses, and counts how it ended. The promise has the function's own result or
   * error; that of a sync function is counted at once.
   * @throws CircuitOpenError (as a rejection) when the breaker refuses; the function is not called then.
   */
  execute<T>(fn: () => T | PromiseLike<T>, options?: ExecuteOptions): Promise<T> {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason);
    const permit = this.acquire();
    if (permit === 0) return Promise.reject(this.rejection());
    let result: T | Promise<T>;
    try {
      result = toMaybePromise(fn());
    } catch (error) {
      this.rejected(permit, error, signal);
      return Promise.reject(error);
    }
    if (!(result instanceof Promise)) {
      if (signal?.aborted) this.released(permit);
      else this.resolved(permit, result);
      return Promise.resolve(result);
    }
    if (signal !== undefined) return this.#untilAborted(permit, result, signal);
    const { onResult, onError } = permit === this.#closedPermit ? this.#closedReactions : this.#reactions(permit);
    return result.then(onResult as (result: T) => T, onError);
  }

  /** A permit for one call, above 0, or 0 when the breaker refuses. Settle it once, whatever happens to the call. */
  acquire(): number {
    if (this.#closedPermit !== 0) return this.#closedPermit;
    const now = this.#clock();
    const slots = this.#freeSlots(now);
    // Closed again, where a listener of the change has reset it.
    if (slots === undefined) return this.#closedPermit;
    slots.hold(++this.#lastPermit, now + Math.max(LOST_PROBE_MS, this.#timeoutMs));
    return this.#lastPermit;
  }

  /** Settles a permit: the call was answered. */
  succeeded(permit: number): void {
    if (this.#closedPermit !== 0) {
      if (permit === this.#closedPermit) this.#strategy.success();
    } else if (this.#slots?.settle(permit)) this.#probeSucceeded();
  }

  /**
   * Settles a permit: the call failed.
   *
   * @param isDecisive opens the breaker, however few calls failed before. Default false.
   * @param isQuick the failure cost hardly any time: the next probe may come after `quickTimeoutMs`. Default false.
   */
  failed(permit: number, isDecisive = false, isQuick = false): void {
    if (this.#closedPermit !== 0) {
      if (permit === this.#closedPermit) this.#countFailure(isDecisive, isQuick);
    } else if (this.#slots?.settle(permit)) this.#probeFailed(isQuick);
  }

  /** Settles a permit without saying anything about what was called: the caller went away, or never made the call. */
  released(permit: number): void {
    this.#slots?.settle(permit);
  }

  /** Settles a permit by the breaker's rules: whether this result is a failure. */
  resolved(permit: number, result: unknown): void {
    this.#settle(permit, this.#rules.ofResult(result));
  }

  /**
   * Settles a permit by the breaker's rules: whether this error is a failure.
   *
   * @param signal the caller's; when it has been aborted, the error says nothing about what was called
   */
  rejected(permit: number, error: unknown, signal?: AbortSignal): void {
    this.#settle(permit, this.#rules.ofError(error, signal));
  }

  /** The error for a call that was refused. */
  rejection(): CircuitOpenError {
    const wait = this.#state === 'open' ? this.#openedAt + this.#restMs - this.#clock() : 0;
    return new CircuitOpenError(Math.ceil(Math.max(wait, 0)), this.name);
  }

  /** Whether a call may be made now. While half-open this takes a place, until its result is recorded or `timeoutMs`. */
  canExecute(): boolean {
    if (this.#closedPermit !== 0) return true;
    const now = this.#clock();
    const slots = this.#freeSlots(now);
    slots?.lease(now + Math.max(this.#timeoutMs, 1));
    return slots !== undefined || this.#closedPermit !== 0;
  }

  /** Counts a success. Ignored while open, and while half-open with no place taken by {@link canExecute}. */
  recordSuccess(): void {
    if (this.#closedPermit !== 0) this.#strategy.success();
    else if (this.#slots?.settleLease()) this.#probeSucceeded();
  }

  /** Counts a failure. Ignored while open, and while half-open with no place taken by {@link canExecute}. */
  recordFailure(): void {
    if (this.#closedPermit !== 0) this.#countFailure(false, false);
    else if (this.#slots?.settleLease()) this.#probeFailed(false);
  }

  /** Closes the breaker and forgets failures and probes; results of calls from before change nothing. */
  reset(): void {
    this.#halfOpenSuccesses = 0;
    this.#halfOpenFailures = 0;
    this.#close();
  }

  stats(): CircuitBreakerStats {
    return {
      state: this.#state,
      failures: this.#strategy.failures,
      lastFailureTime: this.#lastFailureTime,
      halfOpenSuccesses: this.#halfOpenSuccesses,
      halfOpenFailures: this.#halfOpenFailures,
      halfOpenActive: this.#slots?.active(this.#clock()) ?? 0,
      opens: this.#opens,
    };
  }

  /** The places for probes if one is free, having become half-open if it is time. */
  #freeSlots(now: number): ProbeSlots | undefined {
    if (this.#state === 'open' && now - this.#openedAt >= this.#restMs) this.#halfOpen();
    return this.#slots?.hasRoom(now) ? this.#slots : undefined;
  }

  #countFailure(isDecisive: boolean, isQuick: boolean): void {
    this.#lastFailureTime = this.#clock();
    if (this.#strategy.failure() || isDecisive) this.#open(this.#lastFailureTime, isQuick);
  }

  #probeSucceeded(): void {
    if (++this.#halfOpenSuccesses >= this.#halfOpenSuccessesToClose) this.#close();
  }

  #probeFailed(isQuick: boolean): void {
    this.#halfOpenFailures++;
    this.#lastFailureTime = this.#clock();
    this.#open(this.#lastFailureTime, isQuick);
  }

  #open(now: number, isQuick: boolean): void {
    this.#openedAt = now;
    // What has grown beyond all numbers must still be a number: no rest at all, so many times, is no rest.
    const quickMs = this.#quickTimeoutMs * Math.min(2 ** this.#opensInARow++, Number.MAX_VALUE);
    this.#restMs = isQuick ? Math.min(quickMs, this.#timeoutMs) : this.#timeoutMs;
    this.#opens++;
    this.#closedPermit = 0;
    this.#slots = undefined;
    this.#become('open');
  }

  #halfOpen(): void {
    this.#halfOpenSuccesses = 0;
    this.#halfOpenFailures = 0;
    this.#slots = new ProbeSlots(this.#maxHalfOpenRequests);
    this.#become('half-open');
  }

  #close(): void {
    this.#strategy.reset();
    this.#opensInARow = 0;
    this.#slots = undefined;
    this.#closedPermit = ++this.#lastPermit;
    this.#closedReactions = this.#reactions(this.#closedPermit);
    this.#become('closed');
  }

  /** The last thing that a change does, because the listener may use the breaker. */
  #become(to: CircuitState): void {
    const from = this.#state;
    this.#state = to;
    const onStateChange = this.#onStateChange;
    if (from === to || onStateChange === undefined) return;
    quietly(() => onStateChange({ name: this.name, from, to }));
  }

  #reactions(permit: number): Reactions {
    return {
      onResult: (result) => {
        this.resolved(permit, result);
        return result;
      },
      onError: (error) => {
        this.rejected(permit, error);
        throw error;
      },
    };
  }

  #untilAborted<T>(permit: number, promise: Promise<T>, signal: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      const caller = {
        end: (reason: unknown) => {
          this.released(permit);
          reject(reason);
        },
      };
      // The function itself may have aborted it; then this ends at once.
      listenForAbort(signal, caller);
      promise.then(
        (result) => {
          unlistenForAbort(signal, caller);
          if (!signal.aborted) this.resolved(permit, result);
          resolve(result);
        },
        (error) => {
          unlistenForAbort(signal, caller);
          this.rejected(permit, error, signal);
          reject(error);
        },
      );
    });
  }

  #settle(permit: number, outcome: Outcome): void {
    if (outcome === 'success') this.succeeded(permit);
    else if (outcome === 'failure') this.failed(permit);
    else this.released(permit);
  }
}
