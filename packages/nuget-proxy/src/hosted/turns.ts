/** One change at a time for each key, in the order of the calls. */
export class Turns {
  /** The last one of each key; as many as changes are under way. */
  readonly #last = new Map<string, Promise<void>>();

  /** @throws what the work throws, or the signal's reason when it has aborted before its turn came */
  run<T>(key: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const turn = before.then(() => {
      signal?.throwIfAborted();
      return work();
    });
    const over: Promise<void> = turn.then(
      () => this.#over(key, over),
      () => this.#over(key, over),
    );
    this.#last.set(key, over);
    return turn;
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }

  #over(key: string, mine: Promise<void>): void {
    if (this.#last.get(key) === mine) this.#last.delete(key);
  }
}
