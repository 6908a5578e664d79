import type { Entry } from './layer.js';

/**
 * Entries as three lists of the same length, in any order: where there are thousands, that costs less than an object for
 * each, and a place in a map (`bench/cache.mjs`).
 */
export class EntryList<V> {
  readonly keys: string[] = [];
  readonly values: V[] = [];
  /** When each stops being fresh, in milliseconds since 1970; `Infinity` for never. */
  readonly expiresAt: number[] = [];

  static of<V>(entries: ReadonlyMap<string, Entry<V>>): EntryList<V> {
    const list = new EntryList<V>();
    entries.forEach((entry, key) => {
      list.addEntry(key, entry);
    });
    return list;
  }

  add(key: string, value: V, expiresAt: number): void {
    this.keys.push(key);
    this.values.push(value);
    this.expiresAt.push(expiresAt);
  }

  addAll({ keys, values, expiresAt }: EntryList<V>): this {
    for (let i = 0; i < keys.length; i++) this.add(keys[i] as string, values[i] as V, expiresAt[i] as number);
    return this;
  }

  addEntry(key: string, { value, expiresAt }: Entry<V>): void {
    this.add(key, value, expiresAt ?? Number.POSITIVE_INFINITY);
  }
}
