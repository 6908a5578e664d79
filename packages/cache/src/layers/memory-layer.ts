import { InvalidOptionError, wholeNumber } from '@granary/resilience';
import { LRUCache } from 'lru-cache';
import type { Entry, Layer, SetOptions } from '../layer.js';
import { coarseClock } from './coarse-clock.js';
import { estimateBytes } from './estimate-bytes.js';
import { checkLifetimes, entryOf, type LifetimeOptions, lifetimeFrom } from './lifetime.js';

export interface MemoryLayerOptions<V> extends LifetimeOptions {
  /** Default `memory`. */
  readonly name?: string;
  /**
   * Most entries; the least recently used one goes first. Default 10,000, or without a bound when `maxBytes` is given.
   * Room for so many is made at once, about 56 bytes each.
   */
  readonly maxEntries?: number;
  /** Most bytes, as `sizeOf` counts them. A value that is larger alone isn't kept. Default: not measured. */
  readonly maxBytes?: number;
  /**
   * Bytes that an entry takes, at each `set` when `maxBytes` is given. Default: an estimate of the memory for key, value
   * and bookkeeping, which walks through the value once.
   */
  readonly sizeOf?: (value: V, key: string) => number;
  /**
   * Milliseconds since 1970; read at each look-up of a value with a lifetime. Default: the wall clock, read once a
   * millisecond.
   */
  readonly clock?: () => number;
}

export interface MemoryLayerStats {
  /** Including what is stale and wasn't asked for since. */
  readonly entries: number;
  /** As `sizeOf` counts them; undefined without `maxBytes`. */
  readonly bytes: number | undefined;
  readonly maxEntries: number | undefined;
  readonly maxBytes: number | undefined;
  readonly hits: number;
  readonly misses: number;
  /** Entries that went for lack of room. */
  readonly evictions: number;
}

const DEFAULT_ENTRIES = 10_000;
/** lru-cache takes a value for fresh in the millisecond in which it ends; by being this much older it isn't. */
const OLDER_MS = 0.5;

/** A value that stays after it became stale. */
class Graced<V> {
  readonly value: V;
  readonly expiresAt: number;

  constructor(value: V, expiresAt: number) {
    this.value = value;
    this.expiresAt = expiresAt;
  }
}

/**
 * Values in the memory of this process, as they are: not copied, so who changes one changes it for everybody. Every
 * method answers at once. What is stale goes when it is asked for or when room is needed; there are no timers for it.
 *
 * Cost: a hit takes about as long as one of lru-cache, and an entry as much memory, plus 32 bytes when it has a grace.
 */
export class MemoryLayer<V> implements Layer<V> {
  readonly name: string;
  readonly #entries: LRUCache<string, NonNullable<unknown>>;
  readonly #lifetimes: LifetimeOptions;
  readonly #maxEntries: number | undefined;
  readonly #maxBytes: number | undefined;
  readonly #clock: () => number;
  readonly #sizeOf: ((value: V, key: string) => number) | undefined;
  /** Whether any value had a grace: until then no hit looks whether it is wrapped. */
  #graced = false;
  #closed = false;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(options: MemoryLayerOptions<V> = {}) {
    checkLifetimes(options);
    const { maxBytes, maxEntries = maxBytes === undefined ? DEFAULT_ENTRIES : undefined } = options;
    checkBound('maxEntries', maxEntries);
    checkBound('maxBytes', maxBytes);
    this.name = options.name ?? 'memory';
    this.#lifetimes = options;
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
    this.#clock = options.clock ?? coarseClock();
    this.#sizeOf = maxBytes === undefined ? undefined : (options.sizeOf ?? estimateBytes);
    this.#entries = new LRUCache({
      max: maxEntries ?? 0,
      maxSize: maxBytes ?? 0,
      perf: { now: this.#clock },
      ttlResolution: 0,
      dispose: (_, __, reason) => {
        if (reason === 'evict') this.#evictions++;
      },
    });
  }

  get(key: string): V | undefined {
    const found = this.#entries.get(key);
    if (found === undefined || (this.#graced && found instanceof Graced && !(this.#clock() < found.expiresAt))) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    return this.#graced && found instanceof Graced ? found.value : (found as V);
  }

  getEntry(key: string): Entry<V> | undefined {
    const found = this.#entries.get(key);
    if (found === undefined) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    if (this.#graced && found instanceof Graced) return entryOf(found.value as V, found.expiresAt);
    return entryOf(found as V, this.#clock() + this.#entries.getRemainingTTL(key) + OLDER_MS);
  }

  getMany(keys: readonly string[]): Map<string, Entry<V>> {
    const found = new Map<string, Entry<V>>();
    for (const key of keys) {
      const entry = this.getEntry(key);
      if (entry) found.set(key, entry);
    }
    return found;
  }

  set(key: string, value: V, options?: SetOptions): void {
    if (this.#closed) return;
    const now = this.#clock();
    const { expiresAt, goneAt } = lifetimeFrom(now, options, this.#lifetimes);
    if (value === undefined || !(now < goneAt)) {
      this.#entries.delete(key);
      return;
    }
    const size = this.#sizeOf ? this.#measure(key, value, this.#sizeOf) : 0;
    const ttl = goneAt === Number.POSITIVE_INFINITY ? 0 : goneAt - now;
    const stored = goneAt > expiresAt ? this.#wrapped(value, expiresAt) : (value as NonNullable<unknown>);
    this.#entries.set(key, stored, { ttl, start: now - OLDER_MS, size });
  }

  setMany(values: ReadonlyMap<string, V>, options?: SetOptions): void {
    for (const [key, value] of values) this.set(key, value, options);
  }

  delete(key: string): boolean {
    return this.#entries.delete(key);
  }

  deleteMany(keys: readonly string[]): number {
    let count = 0;
    for (const key of keys) if (this.#entries.delete(key)) count++;
    return count;
  }

  clear(): void {
    this.#entries.clear();
  }

  /** Costs a look at every key that is here, about a millisecond for ten thousand. */
  clearPrefix(prefix: string): void {
    const unwanted: string[] = [];
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) unwanted.push(key);
    this.deleteMany(unwanted);
  }

  stats(): MemoryLayerStats {
    return {
      entries: this.#entries.size,
      bytes: this.#maxBytes === undefined ? undefined : this.#entries.calculatedSize,
      maxEntries: this.#maxEntries,
      maxBytes: this.#maxBytes,
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
    };
  }

  /** Gives the memory back. What is set afterwards isn't kept. */
  close(): void {
    this.#closed = true;
    this.#entries.clear();
  }

  #wrapped(value: V, expiresAt: number): Graced<V> {
    this.#graced = true;
    return new Graced(value, expiresAt);
  }

  #measure(key: string, value: V, sizeOf: (value: V, key: string) => number): number {
    const size = sizeOf(value, key);
    if (!(size >= 0 && size < Number.POSITIVE_INFINITY))
      throw new InvalidOptionError('sizeOf', 'a function that gives a number of at least 0', size);
    // lru-cache doesn't count a value again that is there already, though it may have grown since.
    if (this.#entries.peek(key, { allowStale: true }) === value) this.#entries.delete(key);
    return Math.max(1, Math.ceil(size));
  }
}

function checkBound(option: string, value: number | undefined): void {
  if (value !== undefined) wholeNumber(option, value);
}
