import { checkNumber } from '../check-number.js';
import { MAX_TIMER_MS } from '../time.js';

export interface BackoffOptions {
  /** Wait before the first retry, in milliseconds, without jitter. Default 1000. */
  readonly initialDelayMs?: number | undefined;
  /** No wait is longer than this, whoever asks for it. Default 30,000. */
  readonly maxDelayMs?: number | undefined;
  /** How many times longer each wait is than the one before. Default 2; at least 1. */
  readonly multiplier?: number | undefined;
  /** Share of the wait that is left to chance, both ways: 0.25, the default, is ±25 %. From 0, none, to 1. */
  readonly jitter?: number | undefined;
  /** A number from 0 up to 1. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
}

/**
 * Waits that grow from one attempt to the next, and differ from caller to caller so that those who failed together don't
 * come back together. Callers stay apart at the longest wait too: chance then only shortens it.
 *
 * @throws InvalidOptionError
 */
export class Backoff {
  readonly maxDelayMs: number;
  readonly #initialDelayMs: number;
  readonly #multiplier: number;
  readonly #jitter: number;
  readonly #random: () => number;

  constructor(options: BackoffOptions = {}) {
    this.#initialDelayMs = within('initialDelayMs', options.initialDelayMs ?? 1000, 0, MAX_TIMER_MS);
    this.maxDelayMs = within('maxDelayMs', options.maxDelayMs ?? 30_000, 0, MAX_TIMER_MS);
    this.#multiplier = within('multiplier', options.multiplier ?? 2, 1, Number.MAX_VALUE);
    this.#jitter = within('jitter', options.jitter ?? 0.25, 0, 1);
    this.#random = options.random ?? Math.random;
  }

  /** How long to wait when this attempt (from 1) has failed. */
  delayMs(attempt: number): number {
    // What has grown beyond all numbers must still be a number: no wait at all, so many times, is no wait.
    const growth = Math.min(this.#multiplier ** (attempt - 1), Number.MAX_VALUE);
    const delay = Math.min(this.#initialDelayMs * growth, this.maxDelayMs);
    const shortest = delay * (1 - this.#jitter);
    const longest = Math.min(delay * (1 + this.#jitter), this.maxDelayMs);
    return shortest + (longest - shortest) * this.#random();
  }
}

function within(option: string, value: number, least: number, most: number): number {
  checkNumber(option, value, value >= least && value <= most, `a number from ${least} to ${most}`);
  return value;
}
