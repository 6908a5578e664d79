import { checkNumber } from '../check-number.js';
import { TimeoutError } from '../errors.js';
import type { CallScope } from '../pipeline/call-scope.js';
import { enter } from '../pipeline/enter.js';
import { invoke, type Policy, type Protected } from '../pipeline/policy.js';
import { invokeRaced, RacedScope } from '../pipeline/raced-scope.js';
import { MAX_TIMER_MS, type Timers } from '../time.js';
import { coarseTimers } from './coarse-timers.js';

export interface TimeoutPolicyOptions {
  /** What the time is measured with. Default: timers that all timeouts share, never early and at most 10 ms late. */
  readonly timers?: Timers | undefined;
}

export interface TimeoutOptions extends TimeoutPolicyOptions {
  /** The caller's signal: when it is aborted, the call is rejected with its reason and told to stop. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives a call so many milliseconds, counted from when it returned its promise. Then its signal is aborted and the
 * promise rejected with a {@link TimeoutError}, even if the function ignores its signal; what it answers later is
 * ignored. After the call the signal is connected to nothing any more.
 *
 * Costs about 0.2 µs; 2 to 5 µs more where the function reads its signal, 1 µs where the caller gives one.
 *
 * @throws InvalidOptionError when `ms` is not a number above 0 (at most 2^31 - 1).
 */
export async function withTimeout<T>(fn: Protected<T>, ms: number, options: TimeoutOptions = {}): Promise<T> {
  return enter(timeoutPolicy(ms, options)(invoke), fn, options.signal);
}

/** {@link withTimeout} as a policy. `option` is what the time is called where it was given. */
export function timeoutPolicy(ms: number, { timers = coarseTimers }: TimeoutPolicyOptions = {}, option = 'ms'): Policy {
  checkNumber(option, ms, ms > 0 && ms <= MAX_TIMER_MS, `a number above 0 and at most ${MAX_TIMER_MS}`);
  return (inner) => {
    // Around the bare call, the timeout's own race is enough.
    const raced = inner === invokeRaced ? invoke : inner;
    return (fn, scope) => new TimedScope(scope, ms, timers).run(raced, fn);
  };
}

class TimedScope extends RacedScope {
  readonly #outer: CallScope;
  readonly #ms: number;
  readonly #timers: Timers;
  #timer: unknown;

  constructor(outer: CallScope, ms: number, timers: Timers) {
    super(outer.attempt, outer.callerSignal);
    this.#outer = outer;
    this.#ms = ms;
    this.#timers = timers;
  }

  protected override attach(): void {
    this.#timer = this.#timers.setTimeout(() => this.end(new TimeoutError(this.#ms)), this.#ms);
    this.#outer.listen(this);
  }

  protected override detach(): void {
    this.#timers.clearTimeout(this.#timer);
    this.#outer.unlisten(this);
  }
}
