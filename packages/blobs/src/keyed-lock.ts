/**
 * One change at a time for each entry. A lock is held for the moments of a rename and a transaction, never while
 * bytes arrive, so the map stays as small as the number of changes under way.
 */
export class KeyedLock {
  readonly #held = new Map<string, Promise<void>>();

  get anyHeld(): boolean {
    return this.#held.size > 0;
  }

  /** Whether somebody is changing the entry. */
  isHeld(key: string): boolean {
    return this.#held.has(key);
  }

  /** Runs the work when nobody else holds the key; in the order of the calls. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#held.get(key);
    let release = () => {};
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#held.set(key, mine);
    try {
      if (before) await before;
      return await work();
    } finally {
      release();
      if (this.#held.get(key) === mine) this.#held.delete(key);
    }
  }

  /** Resolves when everything that is under way now has ended. */
  async idle(): Promise<void> {
    while (this.#held.size > 0) await Promise.all(this.#held.values());
  }
}
