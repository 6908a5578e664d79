import { wholeNumber } from '@granary/resilience';
import type { TaggedKeys, TagIndex, TagOptions } from './tags.js';

export interface LocalTagIndexOptions {
  /**
   * Most pairs of a key and a tag, about 200 bytes each. Beyond it the oldest pair is forgotten and its key is to be
   * deleted. Default 100,000.
   */
  readonly maxPairs?: number | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/** That a key has a tag. A new one is made at each write, so that it says which write it speaks of. */
interface Pair {
  readonly key: string;
  readonly tag: string;
  readonly expiresAt: number | undefined;
}

const BATCH = 500;

/**
 * Tags in the memory of this process. It knows what this process wrote, since its start: for chains whose layers are all
 * in memory, or whose slow layers nobody else writes to and are cleared at the start.
 */
export class LocalTagIndex implements TagIndex {
  readonly shared = false;
  readonly #maxPairs: number;
  readonly #clock: () => number;
  readonly #byTag = new Map<string, Map<string, Pair>>();
  /** All pairs, the oldest first. */
  readonly #pairs = new Set<Pair>();
  /** Goes on at each call: a new iterator would walk over the holes that the evicted left behind. */
  readonly #oldest = this.#pairs.values();

  /** @throws InvalidOptionError that names the option */
  constructor({ maxPairs = 100_000, clock = Date.now }: LocalTagIndexOptions = {}) {
    this.#maxPairs = wholeNumber('maxPairs', maxPairs);
    this.#clock = clock;
  }

  /** How many pairs of a key and a tag are known. */
  get size(): number {
    return this.#pairs.size;
  }

  add(keys: readonly string[], tags: readonly string[], options?: TagOptions): readonly string[] {
    for (const tag of tags) {
      for (const key of keys) this.#insert({ key, tag, expiresAt: options?.expiresAt });
    }
    return this.#makeRoom();
  }

  async *keysOf(tag: string): AsyncGenerator<TaggedKeys, void, undefined> {
    const now = this.#clock();
    const pairs = [...(this.#byTag.get(tag)?.values() ?? [])];
    for (let i = 0; i < pairs.length; i += BATCH) {
      const batch = pairs.slice(i, i + BATCH);
      const isLive = (pair: Pair) => pair.expiresAt === undefined || pair.expiresAt > now;
      yield {
        keys: batch.filter(isLive).map((pair) => pair.key),
        forget: () => {
          for (const pair of batch) this.#remove(pair);
        },
      };
    }
  }

  clear(): void {
    this.#byTag.clear();
    this.#pairs.clear();
  }

  close(): void {
    this.clear();
  }

  #insert(pair: Pair): void {
    let keys = this.#byTag.get(pair.tag);
    if (keys === undefined) {
      keys = new Map();
      this.#byTag.set(pair.tag, keys);
    }
    const before = keys.get(pair.key);
    if (before !== undefined) this.#pairs.delete(before);
    keys.set(pair.key, pair);
    this.#pairs.add(pair);
  }

  #remove(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    const keys = this.#byTag.get(pair.tag);
    keys?.delete(pair.key);
    if (keys?.size === 0) this.#byTag.delete(pair.tag);
  }

  /** @returns the keys that may still have values and are not found by a tag any more */
  #makeRoom(): string[] {
    const forgotten: string[] = [];
    if (this.#pairs.size <= this.#maxPairs) return forgotten;
    const now = this.#clock();
    while (this.#pairs.size > this.#maxPairs) {
      const { value: pair, done } = this.#oldest.next();
      // It never comes to its end here, because what it gives is removed and more than that is there.
      if (done) break;
      this.#remove(pair);
      if (pair.expiresAt === undefined || pair.expiresAt > now) forgotten.push(pair.key);
    }
    return forgotten;
  }
}
