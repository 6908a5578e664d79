/** Most keys that are remembered, of either kind. */
const MAX_KEYS = 10_000;

/**
 * Keys for which a layer isn't believed: it failed to write them, and may still have what was there before, so it isn't
 * asked for them until a write succeeds. Once it has failed to be cleared it is believed only what it wrote since.
 *
 * Bounded: of too many doubts the oldest is given up, and of what was written since, the oldest is doubted again.
 */
export class Doubts {
  #all = false;
  /** What is doubted, or with `all` what is not. */
  readonly #exceptions = new Set<string>();

  get isEmpty(): boolean {
    return !this.#all && this.#exceptions.size === 0;
  }

  has(key: string): boolean {
    return this.#exceptions.has(key) !== this.#all;
  }

  /** Whether the layer has done what it was told of this key. */
  note(key: string, written: boolean): void {
    if (written !== this.#all) this.#exceptions.delete(key);
    else this.#remember(key);
  }

  noteCleared(cleared: boolean): void {
    this.#all = !cleared;
    this.#exceptions.clear();
  }

  #remember(key: string): void {
    this.#exceptions.add(key);
    if (this.#exceptions.size <= MAX_KEYS) return;
    for (const oldest of this.#exceptions) {
      this.#exceptions.delete(oldest);
      return;
    }
  }
}
