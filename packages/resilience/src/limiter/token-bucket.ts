import { checkNumber } from '../check-number.js';
import { InvalidOptionError, RateLimitExceededError } from '../errors.js';
import { type Clock, MAX_TIMER_MS, monotonicClock, nodeTimers, type Timers } from '../time.js';
import { type QueueOptions, type WaitOptions, WaitQueue } from './wait-queue.js';

export interface TokenBucketOptions extends QueueOptions {
  /** Most tokens that the bucket holds, and so the largest burst: a whole number from 1 to 10⁹. Default 100. */
  readonly capacity?: number | undefined;
  /** Tokens that come back per second, steadily; fractions are fine. With 0 none ever comes back. Default 50. */
  readonly refillRate?: number | undefined;
  /** Tokens at the start: 0 is an empty bucket, more than the capacity a full one. Default full. */
  readonly initialTokens?: number | undefined;
  /** Who would wait longer than this gets a `RateLimitExceededError` at once. Default: no limit. */
  readonly maxWaitMs?: number | undefined;
  /** Default {@link monotonicClock}. */
  readonly clock?: Clock | undefined;
  /** Default {@link nodeTimers}. */
  readonly timers?: Timers | undefined;
}

/** A bucket at one moment. */
export interface TokenBucketStats {
  readonly capacity: number;
  /** Tokens per second. */
  readonly refillRate: number;
  /** Tokens that are there, with the part of the next one that has come back already. */
  readonly tokens: number;
  /** Callers who wait for tokens. */
  readonly waiting: number;
}

/**
 * Tokens are counted in thousandths, because what comes back per second in tokens comes back per millisecond in
 * thousandths: at whole rates and whole milliseconds there are only whole numbers, which floats add without error.
 */
const TOKEN = 1000;

const MAX_CAPACITY = 1_000_000_000;

/**
 * Limits how often something is done: bursts of at most `capacity`, and `refillRate` a second in the long run. In any
 * time, however short or long, it lets at most `capacity + refillRate × seconds` through.
 *
 * `allow` asks and goes on, `wait` waits for its turn. Whoever waits is served in order, and while somebody does, `allow`
 * answers false. On a hot path, spare the promise: `if (!bucket.allow()) await bucket.wait({ signal })`.
 *
 * There is nothing to close: a bucket has a timer only while somebody waits, and that keeps the process running.
 * `allow` costs little more than reading the clock.
 */
export class TokenBucket {
  readonly capacity: number;
  /** Tokens per second. */
  readonly refillRate: number;
  readonly #full: number;
  /** What a thousandth of a token takes to come back, surely not too long: a full bucket must not pass for one that isn't. */
  readonly #msEach: number;
  readonly #maxWaitMs: number;
  readonly #clock: Clock;
  readonly #timers: Timers;
  // What was in the bucket at `#since`, when it was made or last full, less all that was taken from then on. What came
  // back is always one product of the whole time since, so rounding doesn't add up however often the bucket is asked.
  // Both begin as numbers: a field that begins undefined has a new object made for each fraction that it is given.
  #level = 0;
  #since = 0;
  #timer: unknown;
  readonly #queue: WaitQueue;
  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#serve();
  };

  constructor(options: TokenBucketOptions = {}) {
    const { capacity = 100, refillRate = 50, initialTokens = capacity, maxWaitMs = Infinity } = options;
    const isCapacity = Number.isInteger(capacity) && capacity >= 1 && capacity <= MAX_CAPACITY;
    checkNumber('capacity', capacity, isCapacity, `a whole number from 1 to ${MAX_CAPACITY}`);
    const isRate = Number.isFinite(refillRate) && refillRate >= 0;
    checkNumber('refillRate', refillRate, isRate, 'a number of tokens per second, 0 or more');
    checkNumber('initialTokens', initialTokens, initialTokens >= 0, 'a number of 0 or more');
    checkNumber('maxWaitMs', maxWaitMs, maxWaitMs >= 0, 'a number of 0 or more');
    this.capacity = capacity;
    this.refillRate = refillRate;
    this.#full = capacity * TOKEN;
    this.#msEach = (1 - 2 ** -50) / refillRate;
    this.#maxWaitMs = maxWaitMs;
    this.#clock = options.clock ?? monotonicClock;
    this.#timers = options.timers ?? nodeTimers;
    this.#level = Math.min(initialTokens, capacity) * TOKEN;
    this.#since = this.#clock();
    this.#queue = new WaitQueue('tokens', options, () => this.#serve());
  }

  /** Tokens that are there, with the part of the next one that has come back already. */
  get tokens(): number {
    return this.#available() / TOKEN;
  }

  /** Callers who wait for tokens. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Whether the bucket is full and nobody waits: then a new, full one would behave alike. */
  get idle(): boolean {
    return this.#queue.size === 0 && this.#available() === this.#full;
  }

  /** Takes a token; false when none is there, or when somebody waits for one. */
  allow(): boolean {
    return this.#queue.size === 0 && this.#take(TOKEN);
  }

  /**
   * Takes `n` tokens, or none and answers false. 0 tokens are always there; more than the capacity never are.
   *
   * @throws {@link InvalidOptionError} when `n` is no whole number, or below 0
   */
  allowN(n: number): boolean {
    checkCount(n);
    return n === 0 || (this.#queue.size === 0 && this.#take(n * TOKEN));
  }

  /** Takes a token as soon as one is there and all who waited before have theirs. Rejects as {@link waitN} does. */
  wait(options?: WaitOptions): Promise<void> {
    return this.waitN(1, options);
  }

  /**
   * Takes `n` tokens as soon as they are there and all who waited before have theirs. An abort gives the place in the
   * queue back, and those behind move up.
   *
   * @throws {@link RateLimitExceededError} at once, when `n` is more than the capacity, when no token ever comes back, or
   *   when the wait would be longer than `maxWaitMs`
   * @throws {@link QueueFullError} at once, when `maxQueue` callers wait already
   * @throws the reason of the signal, when that is aborted
   * @throws {@link InvalidOptionError} when `n` is no whole number, or below 0
   */
  waitN(n: number, options?: WaitOptions): Promise<void> {
    // Not an `async` function, which would keep a second promise and a frame for each who waits.
    try {
      options?.signal?.throwIfAborted();
      if (this.allowN(n)) return Promise.resolve();
      this.#checkWait(n);
      const turn = this.#queue.join(n * TOKEN, options?.signal);
      if (this.#queue.size === 1) this.#setTimer();
      return turn;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  stats(): TokenBucketStats {
    return { capacity: this.capacity, refillRate: this.refillRate, tokens: this.tokens, waiting: this.waiting };
  }

  #available(): number {
    return Math.min(this.#level + (this.#clock() - this.#since) * this.refillRate, this.#full);
  }

  #take(amount: number): boolean {
    const now = this.#clock();
    // What is there without what came back is enough, and the bucket not full again: the time is only compared, because
    // all that is calculated from it makes the next reading of the clock wait (benchmark `allow()`).
    if (amount <= this.#level && now < this.#since + (this.#full - this.#level) * this.#msEach) {
      this.#level -= amount;
      return true;
    }
    return this.#takeRefilled(amount, now);
  }

  #takeRefilled(amount: number, now: number): boolean {
    const level = this.#level + (now - this.#since) * this.refillRate;
    if (level >= this.#full) {
      this.#level = this.#full;
      this.#since = now;
      if (amount > this.#full) return false;
    } else if (amount > level) return false;
    this.#level -= amount;
    return true;
  }

  #checkWait(n: number): void {
    if (n > this.capacity) {
      throw new RateLimitExceededError(`${n} tokens can't be had from a bucket that holds ${this.capacity}`);
    }
    if (this.refillRate === 0) throw new RateLimitExceededError('the bucket has too few tokens and is never refilled');
    const waitMs = (this.#queue.amount + n * TOKEN - this.#available()) / this.refillRate;
    if (waitMs > this.#maxWaitMs) {
      throw new RateLimitExceededError(
        `the wait would be ${Math.ceil(waitMs)} ms, and ${this.#maxWaitMs} ms is the longest allowed`,
      );
    }
  }

  /** Serves all whose tokens are there, and sets the timer for who is first then. */
  #serve(): void {
    for (let first = this.#queue.firstAmount; first !== undefined; first = this.#queue.firstAmount) {
      if (!this.#take(first)) break;
      this.#queue.serve();
    }
    this.#setTimer();
  }

  #setTimer(): void {
    if (this.#timer !== undefined) this.#timers.clearTimeout(this.#timer);
    this.#timer = undefined;
    const first = this.#queue.firstAmount;
    if (first === undefined) return;
    const waitMs = (first - this.#available()) / this.refillRate;
    // Rounded up, because timers drop fractions. One that rings early all the same, or was set to its longest, finds the
    // tokens missing and is set again.
    this.#timer = this.#timers.setTimeout(this.#onTimer, Math.min(Math.max(Math.ceil(waitMs), 1), MAX_TIMER_MS));
  }
}

function checkCount(n: number): void {
  if (!Number.isInteger(n) || n < 0) throw new InvalidOptionError('n', 'a whole number of tokens, 0 or more', n);
}
