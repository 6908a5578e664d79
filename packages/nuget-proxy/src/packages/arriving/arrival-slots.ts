import { FeedUnavailableError } from '../../errors.js';

/** When to try again where too many wait. */
const RETRY_AFTER_MS = 2000;

/** How many packages arrive from one source at once, and how many more may wait for their turn, first come first served. */
export class ArrivalSlots {
  readonly #source: string;
  readonly #maxWaiting: number;
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(source: string, slots: number, maxWaiting: number) {
    this.#source = source;
    this.#free = slots;
    this.#maxWaiting = maxWaiting;
  }

  /**
   * Waits for a slot, to be given back with {@link release}.
   *
   * @throws FeedUnavailableError when too many wait, or the signal's reason
   */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    if (this.#waiting.size >= this.#maxWaiting)
      throw new FeedUnavailableError(this.#source, 'too many packages are being fetched', {
        retryAfterMs: RETRY_AFTER_MS,
      });
    await new Promise<void>((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.delete(begin);
        reject(signal.reason);
      };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.add(begin);
    });
  }

  release(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
