import type { Entry } from './layer.js';

/**
 * What there is of many keys, in the order of the keys. With thousands of them, two lists that are as long from the start
 * cost much less than an object for each entry and a map (`bench/cache.mjs`).
 */
export class FoundEntries<V> {
  /** `undefined` where there is nothing. */
  readonly values: (V | undefined)[];
  /** When each stops being fresh, in milliseconds since 1970; `Infinity` for never, any number where there is nothing. */
  readonly expiresAt: Float64Array;

  /** @param count of the keys */
  constructor(count: number) {
    this.values = new Array<V | undefined>(count);
    this.expiresAt = new Float64Array(count);
  }

  static of<V>(keys: readonly string[], entries: ReadonlyMap<string, Entry<V>>): FoundEntries<V> {
    const found = new FoundEntries<V>(keys.length);
    for (let i = 0; i < keys.length; i++) found.putEntry(i, entries.get(keys[i] as string) ?? undefined);
    return found;
  }

  put(place: number, value: V, expiresAt: number): void {
    this.values[place] = value;
    this.expiresAt[place] = expiresAt;
  }

  putEntry(place: number, entry: Entry<V> | undefined): void {
    if (entry !== undefined) this.put(place, entry.value, entry.expiresAt ?? Number.POSITIVE_INFINITY);
  }

  /** What was found of some of the keys, which stand at these places among all. */
  putAll(places: readonly number[], { values, expiresAt }: FoundEntries<V>): this {
    for (let i = 0; i < places.length; i++) {
      const value = values[i];
      if (value !== undefined) this.put(places[i] as number, value, expiresAt[i] as number);
    }
    return this;
  }

  /** The value at this place, if it is fresh. */
  fresh(place: number, now: number): V | undefined {
    return (this.expiresAt[place] as number) > now ? this.values[place] : undefined;
  }
}
