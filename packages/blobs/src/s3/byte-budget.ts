interface Waiting {
  readonly bytes: number;
  readonly serve: () => void;
}

/** Memory that many share: whoever wants some waits for it, in the order in which they came. */
export class ByteBudget {
  readonly #max: number;
  readonly #maxWaiting: number;
  readonly #full: () => Error;
  readonly #waiting = new Set<Waiting>();
  #taken = 0;

  /**
   * @param max bytes that may be taken
   * @param full the error of one who comes when `maxWaiting` wait
   */
  constructor(max: number, maxWaiting: number, full: () => Error) {
    this.#max = max;
    this.#maxWaiting = maxWaiting;
    this.#full = full;
  }

  /** Bytes that are taken. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * Takes bytes as soon as there are as many; all that there are counts as enough for more. The function that it gives
   * gives them back. Rejects with the signal's reason when that is aborted before.
   */
  async take(bytes: number, signal: AbortSignal | undefined): Promise<() => void> {
    signal?.throwIfAborted();
    const wanted = Math.min(bytes, this.#max);
    if (this.#waiting.size > 0 || this.#taken + wanted > this.#max) await this.#wait(wanted, signal);
    else this.#taken += wanted;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#taken -= wanted;
      this.#serve();
    };
  }

  #wait(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.#waiting.size >= this.#maxWaiting) throw this.#full();
    return new Promise((resolve, reject) => {
      const waiting = {
        bytes,
        serve: () => {
          signal?.removeEventListener('abort', leave);
          resolve();
        },
      };
      const leave = () => {
        this.#waiting.delete(waiting);
        reject(signal?.reason);
        this.#serve();
      };
      signal?.addEventListener('abort', leave, { once: true });
      this.#waiting.add(waiting);
    });
  }

  #serve(): void {
    for (const waiting of this.#waiting) {
      if (this.#taken + waiting.bytes > this.#max) return;
      this.#waiting.delete(waiting);
      this.#taken += waiting.bytes;
      waiting.serve();
    }
  }
}
