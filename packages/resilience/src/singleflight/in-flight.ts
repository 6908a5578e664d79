interface Place<V> {
  value: V | undefined;
}

/**
 * What is under way, by key: a `Map` for values that come and go fast and hold much.
 *
 * A `Map` is built anew every some insertions, and V8 leaves in what was its memory all that it had then, with a link to
 * the new one. Once one such remainder is old, the small collections of garbage take it and all that come after it for
 * alive, with what they had, until the next full one. So here they have nothing but empty places: what is over is let
 * go of where it was (benchmark `64 loads at once`).
 *
 * What was overtaken is still under way, but nobody finds it by its key any more.
 */
export class InFlight<K, V> {
  readonly #places = new Map<K, Place<V>>();
  readonly #overtaken = new Set<V>();

  /** How many there are under a key. */
  get size(): number {
    return this.#places.size;
  }

  /** How many there are in all. */
  get total(): number {
    return this.#places.size + this.#overtaken.size;
  }

  get(key: K): V | undefined {
    return this.#places.get(key)?.value;
  }

  has(key: K): boolean {
    return this.#places.has(key);
  }

  /** Whatever was there under the key is over. */
  set(key: K, value: V): void {
    const place = this.#places.get(key);
    if (place === undefined) this.#places.set(key, { value });
    else place.value = value;
  }

  /** Whether something was there. */
  delete(key: K): boolean {
    const place = this.#places.get(key);
    if (place === undefined) return false;
    place.value = undefined;
    return this.#places.delete(key);
  }

  /** Takes what is there from under its key, until its {@link end}. */
  overtake(key: K): void {
    // Mostly there is nothing, and a look takes longer than this.
    const place = this.#places.size > 0 ? this.#places.get(key) : undefined;
    if (place?.value === undefined) return;
    this.#overtaken.add(place.value);
    this.delete(key);
  }

  overtakeAll(): void {
    for (const key of this.#places.keys()) this.overtake(key);
  }

  /** What was under way under the key is over, and may have been overtaken. Another that is there now stays. */
  end(key: K, value: V): void {
    if (this.get(key) === value) this.delete(key);
    else this.#overtaken.delete(value);
  }

  /** Those under a key. Those that are deleted meanwhile are left out, and those that come meanwhile are not. */
  *values(): Generator<V> {
    for (const { value } of this.#places.values()) if (value !== undefined) yield value;
  }

  /** All that are under way now. */
  all(): V[] {
    return [...this.values(), ...this.#overtaken];
  }
}
