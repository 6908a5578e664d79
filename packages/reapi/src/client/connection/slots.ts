import type { MaybePromise } from '@granary/blobs';

interface Waiter {
  readonly start: () => void;
  readonly fail: (reason: unknown) => void;
}

/** A bounded number of calls at a time, and a bounded number that waits for its turn, in order. */
export class Slots {
  readonly #maxWaiting: number;
  readonly #onFull: () => Error;
  readonly #waiting = new Set<Waiter>();
  #free: number;

  /** @param onFull the error for one who can't even wait */
  constructor(count: number, maxWaiting: number, onFull: () => Error) {
    this.#free = count;
    this.#maxWaiting = maxWaiting;
    this.#onFull = onFull;
  }

  /** Whoever got one gives it back with {@link release}. */
  acquire(signal: AbortSignal | undefined): MaybePromise<void> {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    if (this.#waiting.size >= this.#maxWaiting) return Promise.reject(this.#onFull());
    return new Promise<void>((resolve, reject) => {
      const leave = () => waiter.fail(signal?.reason);
      const settle = () => {
        this.#waiting.delete(waiter);
        signal?.removeEventListener('abort', leave);
      };
      const waiter: Waiter = {
        start: () => {
          settle();
          resolve();
        },
        fail: (reason) => {
          settle();
          reject(reason);
        },
      };
      this.#waiting.add(waiter);
      signal?.addEventListener('abort', leave);
    });
  }

  release(): void {
    const [next] = this.#waiting;
    if (next) next.start();
    else this.#free++;
  }

  /** Ends the wait of everyone. */
  rejectAll(reason: unknown): void {
    for (const waiter of [...this.#waiting]) waiter.fail(reason);
  }
}
