import { monotonicClock } from '@granary/resilience';

export interface FailureLimitOptions {
  /** Failures that one key may have in one window. */
  readonly maxFailures: number;
  /** Default one minute. */
  readonly windowMs?: number;
  /** Most keys that are remembered; the oldest goes first. Default 10 000. */
  readonly maxKeys?: number;
  /** Milliseconds. Default: a clock that nobody sets, or one that is set right would lock people out for hours. */
  readonly clock?: () => number;
}

/**
 * Bounds how often a key may fail. An attempt is counted before it is made and given back when it succeeds, so that a
 * burst of guesses can't get past the limit while the first of them is still being checked.
 */
export class FailureLimit {
  readonly #max: number;
  readonly #windowMs: number;
  readonly #maxKeys: number;
  readonly #clock: () => number;
  readonly #windows = new Map<string, { endsAt: number; count: number }>();

  constructor(options: FailureLimitOptions) {
    this.#max = options.maxFailures;
    this.#windowMs = options.windowMs ?? 60_000;
    this.#maxKeys = options.maxKeys ?? 10_000;
    this.#clock = options.clock ?? monotonicClock;
  }

  /** Counts an attempt; false when the key has used up its window. */
  tryAttempt(key: string): boolean {
    const now = this.#clock();
    let window = this.#windows.get(key);
    if (window === undefined || now >= window.endsAt) {
      this.#windows.delete(key);
      if (this.#windows.size >= this.#maxKeys) this.#windows.delete(this.#windows.keys().next().value as string);
      window = { endsAt: now + this.#windowMs, count: 0 };
      this.#windows.set(key, window);
    }
    if (window.count >= this.#max) return false;
    window.count++;
    return true;
  }

  /** The attempt was no failure. */
  giveBack(key: string): void {
    const window = this.#windows.get(key);
    if (window && window.count > 0) window.count--;
  }

  get size(): number {
    return this.#windows.size;
  }
}
