import { InvalidOptionError, wholeNumber } from '@granary/resilience';
import { LRUCache } from 'lru-cache';
import { FoundEntries } from '../found-entries.js';
import type { Entry, Layer, SetOptions } from '../layer.js';
import { coarseClock } from './coarse-clock.js';
import { estimateBytes } from './estimate-bytes.js';
import { checkLifetimes, entryOf, type LifetimeOptions, lifetimeFrom } from './lifetime.js';

export interface MemoryLayerOptions<V> extends LifetimeOptions {
  /** Default `memory`. */
  readonly name?: string | undefined;
  /**
   * Most entries; the least recently used one goes first. Default 10,000, or without a bound when `maxBytes` is given.
   * Room for so many is made at once, about 56 bytes each.
   */
  readonly maxEntries?: number | undefined;
  /** Most bytes, as `sizeOf` counts them. A value that is larger alone isn't kept. Default: not measured. */
  readonly maxBytes?: number | undefined;
  /**
   * Bytes that an entry takes, at each `set` when `maxBytes` is given. Default: an estimate of the memory for key, value
   * and bookkeeping, which walks through the value once.
   */
  readonly sizeOf?: ((value: V, key: string) => number) | undefined;
  /**
   * Milliseconds since 1970; read at each look-up of a value with a lifetime. Default: the wall clock, read once a
   * millisecond.
   */
  readonly clock?: (() => number) | undefined;
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

/** A value that stays for another time after it became stale than most of its layer do. */
class Graced<V> {
  readonly value: V;
  readonly graceMs: number;

  constructor(value: V, graceMs: number) {
    this.value = value;
    this.graceMs = graceMs;
  }
}

/**
 * Values in the memory of this process, as they are: not copied, so who changes one changes it for everybody. Every
 * method answers at once. What is stale goes when it is asked for or when room is needed; there are no timers for it.
 *
 * Cost: a hit takes about as long as one of lru-cache, and an entry as much memory. The grace of the first entry, or of
 * the options, is free; an entry with another one takes 40 bytes more.
 */
export class MemoryLayer<V> implements Layer<V> {
  readonly name: string;
  readonly lifetime: LifetimeOptions;
  readonly #entries: LRUCache<string, NonNullable<unknown>>;
  readonly #maxEntries: number | undefined;
  readonly #maxBytes: number | undefined;
  readonly #clock: () => number;
  readonly #sizeOf: ((value: V, key: string) => number) | undefined;
  /** Of all entries that are not {@link Graced}. */
  #graceMs: number;
  /** Whether any entry had a grace: until then lru-cache removes what it finds stale. */
  #keepsStale = false;
  /** Whether any entry was {@link Graced}: until then no hit looks for it. */
  #wraps = false;
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
    this.lifetime = { ttlMs: options.ttlMs, graceMs: options.graceMs };
    this.#graceMs = options.graceMs ?? 0;
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

  // NoInfer: among a chain's layers the type would be made of the promise that others answer with.
  get(key: string): NoInfer<V> | undefined {
    const found = this.#entries.get(key);
    if (found === undefined) {
      this.#misses++;
      if (this.#keepsStale) this.#removeIfGone(key);
      return undefined;
    }
    this.#hits++;
    return this.#wraps && found instanceof Graced ? found.value : (found as V);
  }

  getEntry(key: string): Entry<V> | undefined {
    const found = this.#keepsStale ? this.#entries.get(key, { allowStale: true }) : this.#entries.get(key);
    if (found === undefined) {
      this.#misses++;
      return undefined;
    }
    const expiresAt = this.#expiresAt(key);
    if (this.#keepsStale && !(this.#clock() < expiresAt)) {
      if (this.#removeIfGone(key)) {
        this.#misses++;
        return undefined;
      }
      // To lru-cache it is not a use to look at what is stale.
      this.#entries.set(key, found, { noUpdateTTL: true, size: this.#sizeOf ? 1 : 0 });
    }
    this.#hits++;
    return entryOf(this.#wraps && found instanceof Graced ? (found.value as V) : (found as V), expiresAt);
  }

  getMany(keys: readonly string[]): Map<string, Entry<V>> {
    const found = new Map<string, Entry<V>>();
    for (const key of keys) {
      const entry = this.getEntry(key);
      if (entry) found.set(key, entry);
    }
    return found;
  }

  readMany(keys: readonly string[]): FoundEntries<V> {
    const found = new FoundEntries<V>(keys.length);
    for (let i = 0; i < keys.length; i++) found.putEntry(i, this.getEntry(keys[i] as string));
    return found;
  }

  set(key: string, value: V, options?: SetOptions): void {
    if (this.#closed) return;
    const now = this.#clock();
    const { expiresAt, goneAt } = lifetimeFrom(now, options, this.lifetime);
    if (value === undefined || !(now < goneAt)) {
      this.#entries.delete(key);
      return;
    }
    const size = this.#sizeOf ? this.#measure(key, value, this.#sizeOf) : 0;
    const stored = this.#withGrace(value, expiresAt, options);
    // What is stale from the start is what was written a while ago, for lru-cache knows no lifetime of 0.
    const ttl = expiresAt === Number.POSITIVE_INFINITY ? 0 : Math.max(expiresAt - now, 1);
    // Nor does one end that began at 0.
    const start = ttl === 0 ? now : expiresAt - ttl - OLDER_MS || Number.MIN_VALUE;
    this.#entries.set(key, stored, { ttl, start, size });
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
    this.#entries.allowStale = true;
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) unwanted.push(key);
    this.#entries.allowStale = false;
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

  #withGrace(value: V, expiresAt: number, options: SetOptions | undefined): NonNullable<unknown> {
    if (expiresAt === Number.POSITIVE_INFINITY) return value as NonNullable<unknown>;
    const graceMs = Math.max(0, options?.graceMs ?? this.lifetime.graceMs ?? 0);
    if (graceMs > 0 && !this.#keepsStale) {
      this.#keepsStale = true;
      this.#entries.noDeleteOnStaleGet = true;
    }
    // Nobody has the grace that was free until now, so another one can be.
    if (this.#entries.size === 0 && this.lifetime.graceMs === undefined) this.#graceMs = graceMs;
    if (graceMs === this.#graceMs) return value as NonNullable<unknown>;
    this.#wraps = true;
    return new Graced(value, graceMs);
  }

  #expiresAt(key: string): number {
    return this.#clock() + this.#entries.getRemainingTTL(key) + OLDER_MS;
  }

  #removeIfGone(key: string): boolean {
    const found = this.#entries.peek(key, { allowStale: true });
    if (found === undefined) return false;
    const graceMs = found instanceof Graced ? found.graceMs : this.#graceMs;
    return !(this.#clock() < this.#expiresAt(key) + graceMs) && this.#entries.delete(key);
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
