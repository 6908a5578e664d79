const nothing = () => {};

/**
 * Writes of one key in the order of their calls, since two requests may overtake each other on two connections and the
 * value that was written last is to stay. Writes of different keys don't wait for each other.
 */
export class OrderedWrites {
  /** By key, what the next write waits for. */
  readonly #last = new Map<string, Promise<void>>();
  readonly #max: number;
  readonly #full: () => Error;
  #pending = 0;

  /**
   * @param max most writes that wait or are under way
   * @param full the error of one more
   */
  constructor(max: number, full: () => Error) {
    this.#max = max;
    this.#full = full;
  }

  async run(key: string, write: () => Promise<void>): Promise<void> {
    if (this.#pending >= this.#max) throw this.#full();
    this.#pending++;
    const before = this.#last.get(key);
    const written = before ? before.then(write) : write();
    const settled = written.then(nothing, nothing);
    this.#last.set(key, settled);
    try {
      await written;
    } finally {
      this.#pending--;
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
