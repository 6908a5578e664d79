interface Waiting {
  /** How many writes of the key wait. */
  writes: number;
  /** The turn of the newest write of the key that was made meanwhile. */
  made: number;
}

/**
 * Keeps the order of the writes of a key where some must wait before they are made, as for their tags: one that was
 * given later may have been made by then, and is not to be overwritten. Knows only keys whose writes wait.
 */
export class Turns {
  readonly #byKey = new Map<string, Waiting>();
  #last = 0;

  /** How many keys have writes that wait. */
  get size(): number {
    return this.#byKey.size;
  }

  /** A write of these keys waits from now on. Its turn, which must be given back. */
  wait(keys: readonly string[]): number {
    for (const key of keys) {
      const known = this.#byKey.get(key);
      if (known === undefined) this.#byKey.set(key, { writes: 1, made: 0 });
      else known.writes++;
    }
    return ++this.#last;
  }

  giveBack(keys: readonly string[]): void {
    for (const key of keys) {
      const known = this.#byKey.get(key);
      if (known !== undefined && --known.writes === 0) this.#byKey.delete(key);
    }
  }

  /** Takes the turn of a write that is made now; false when one that was given later has been made before. */
  take(key: string, turn: number): boolean {
    const known = this.#byKey.get(key);
    if (known === undefined) return true;
    if (known.made > turn) return false;
    known.made = turn;
    return true;
  }

  /** A write that waited for nothing is made now. */
  made(key: string): void {
    if (this.#byKey.size > 0) this.take(key, ++this.#last);
  }

  /** All keys are written now. */
  madeAll(): void {
    const turn = ++this.#last;
    for (const known of this.#byKey.values()) known.made = turn;
  }
}
