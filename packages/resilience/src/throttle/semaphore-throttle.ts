import { type QueueOptions, type WaitOptions, WaitQueue } from '../limiter/wait-queue.js';
import { wholeNumber } from '../whole-number.js';
import type { Throttle } from './throttle.js';

/**
 * Lets at most `max` calls run at the same time. The others wait, and get the slots in the order in which they came; a
 * slot that becomes free goes straight to the first who waits, so that nobody who comes later can take it.
 *
 * A call that finds a slot costs about 0.1 µs more than the function alone.
 */
export class SemaphoreThrottle implements Throttle {
  /** How many calls may run at the same time. */
  readonly max: number;
  readonly #queue: WaitQueue;
  #active = 0;

  /**
   * @param max how many calls may run at the same time: a whole number, 1 or more
   * @throws {@link InvalidOptionError}
   */
  constructor(max: number, options: QueueOptions = {}) {
    this.max = wholeNumber('max', max);
    this.#queue = new WaitQueue('a slot', options);
  }

  /** How many slots are taken. */
  get active(): number {
    return this.#active;
  }

  /** How many callers wait for a slot. */
  get queued(): number {
    return this.#queue.size;
  }

  /**
   * Runs the function as soon as it has a slot, and frees the slot when what the function returned is settled, or when
   * it throws.
   *
   * @throws {@link QueueFullError} at once, when `maxQueue` callers wait already
   * @throws the reason of the signal, when that is aborted before the function is called
   */
  async run<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    options?.signal?.throwIfAborted();
    if (!this.#take()) await this.#waitForSlot(options?.signal);
    try {
      return await fn();
    } finally {
      this.#free();
    }
  }

  /**
   * Takes a slot as soon as there is one, and gives the function that frees it. To call that more than once does
   * nothing. Rejects as {@link run} does. Where a function can be given, `run` is the better choice: it can't forget.
   */
  async acquire(options?: WaitOptions): Promise<() => void> {
    options?.signal?.throwIfAborted();
    if (!this.#take()) await this.#waitForSlot(options?.signal);
    let held = true;
    return () => {
      if (held) this.#free();
      held = false;
    };
  }

  #take(): boolean {
    if (this.#active >= this.max) return false;
    this.#active++;
    return true;
  }

  async #waitForSlot(signal: AbortSignal | undefined): Promise<void> {
    await this.#queue.join(1, signal);
    if (!signal?.aborted) return;
    // The abort came after the slot was handed over, but before the caller heard of it.
    this.#free();
    throw signal.reason;
  }

  #free(): void {
    if (this.#queue.size > 0) this.#queue.serve();
    else this.#active--;
  }
}
