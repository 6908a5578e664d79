import { wholeNumber } from './whole-number.js';

export interface PerKeyOptions<T> {
  /** Most keys that are remembered. Default 1000. */
  readonly maxKeys?: number | undefined;
  /**
   * Whether a value can be forgotten without harm, because one made anew would behave alike. Asked only when a place is
   * needed. Default: every value, which makes the least recently used key go first.
   */
  readonly isIdle?: ((value: T) => boolean) | undefined;
  /** Told of each value that had to make room, after its key is forgotten. Not told of {@link PerKey.delete}. */
  readonly onEvict?: ((value: T, key: string) => void) | undefined;
}

interface Entry<T> {
  readonly key: string;
  readonly value: T;
  older: Entry<T> | undefined;
  newer: Entry<T> | undefined;
}

/** How many values that were busy are looked at again whenever a place is needed. */
const SECOND_LOOKS = 8;

/**
 * A value for each key, made when the key is first asked for: breakers by host, buckets by source. Keys come from
 * outside, so their number is bounded. Idle values make room first, among them the least recently used; only when none
 * is known to be idle, the least recently used of all.
 *
 * A hit costs a look-up and a move in a linked list (about 20 ns). To make room costs the same at any number of keys,
 * on average: a value that was found busy is not looked at again before it was used, except for a few each time, in
 * turn, because time alone can make them idle.
 */
export class PerKey<T> {
  readonly #make: (key: string) => T;
  readonly #maxKeys: number;
  readonly #isIdle: (value: T) => boolean;
  readonly #onEvict: ((value: T, key: string) => void) | undefined;
  readonly #entries = new Map<string, Entry<T>>();
  // All entries by last use. Those before #unseen were busy when they were looked at; nobody used them since.
  #oldest: Entry<T> | undefined;
  #newest: Entry<T> | undefined;
  #unseen: Entry<T> | undefined;
  #secondLook: Entry<T> | undefined;

  /** @throws InvalidOptionError when `maxKeys` is not a whole number of at least 1. */
  constructor(make: (key: string) => T, options: PerKeyOptions<T> = {}) {
    const { maxKeys = 1000, isIdle = () => true, onEvict } = options;
    this.#make = make;
    this.#maxKeys = wholeNumber('maxKeys', maxKeys);
    this.#isIdle = isIdle;
    this.#onEvict = onEvict;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value of this key, made now if it is new. What the maker throws passes through, and nothing is kept. */
  get(key: string): T {
    const entry = this.#entries.get(key);
    if (entry === undefined) return this.#add(key);
    if (entry !== this.#newest) {
      this.#unlink(entry);
      this.#append(entry);
    }
    return entry.value;
  }

  /** The value of this key if there is one; does not count as a use. */
  peek(key: string): T | undefined {
    return this.#entries.get(key)?.value;
  }

  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#forget(entry);
    return true;
  }

  /** All keys with their values, in the order in which they were made. */
  *[Symbol.iterator](): Generator<[key: string, value: T]> {
    for (const { key, value } of this.#entries.values()) yield [key, value];
  }

  #add(key: string): T {
    const entry: Entry<T> = { key, value: this.#make(key), older: undefined, newer: undefined };
    const victim = this.#entries.size >= this.#maxKeys ? this.#victim() : undefined;
    if (victim !== undefined) this.#forget(victim);
    this.#entries.set(key, entry);
    this.#append(entry);
    if (victim !== undefined) this.#onEvict?.(victim.value, victim.key);
    return entry.value;
  }

  #victim(): Entry<T> | undefined {
    for (let looks = 0; looks < SECOND_LOOKS; looks++) {
      const entry = this.#secondLook === this.#unseen ? this.#oldest : (this.#secondLook ?? this.#oldest);
      if (entry === undefined || entry === this.#unseen) break;
      if (this.#isIdle(entry.value)) return entry;
      this.#secondLook = entry.newer;
    }
    for (; this.#unseen !== undefined; this.#unseen = this.#unseen.newer) {
      if (this.#isIdle(this.#unseen.value)) return this.#unseen;
    }
    return this.#oldest;
  }

  #forget(entry: Entry<T>): void {
    this.#entries.delete(entry.key);
    this.#unlink(entry);
  }

  #unlink(entry: Entry<T>): void {
    const { older, newer } = entry;
    if (entry === this.#unseen) this.#unseen = newer;
    if (entry === this.#secondLook) this.#secondLook = newer;
    if (older === undefined) this.#oldest = newer;
    else older.newer = newer;
    if (newer === undefined) this.#newest = older;
    else newer.older = older;
  }

  #append(entry: Entry<T>): void {
    entry.older = this.#newest;
    entry.newer = undefined;
    if (this.#newest === undefined) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
    this.#unseen ??= entry;
  }
}
