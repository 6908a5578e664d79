/** Keys for which a layer isn't believed. */
const MAX_DOUBTS = 10_000;

/**
 * Keys that a layer failed to write: it may still have what was there before, so it isn't asked for them until a write
 * succeeds. Bounded; the oldest doubt is given up first.
 */
export class Doubts {
  readonly #keys = new Set<string>();

  get size(): number {
    return this.#keys.size;
  }

  has(key: string): boolean {
    return this.#keys.size > 0 && this.#keys.has(key);
  }

  add(key: string): void {
    this.#keys.add(key);
    if (this.#keys.size <= MAX_DOUBTS) return;
    for (const oldest of this.#keys) {
      this.#keys.delete(oldest);
      return;
    }
  }

  delete(key: string): void {
    if (this.#keys.size > 0) this.#keys.delete(key);
  }

  clear(): void {
    this.#keys.clear();
  }
}
