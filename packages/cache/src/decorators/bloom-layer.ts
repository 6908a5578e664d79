import { checkNumber, InvalidOptionError, toMaybePromise } from '@granary/resilience';
import type { GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';
import { BloomFilter } from './bloom-filter.js';
import { LayerDecorator } from './layer-decorator.js';
import { whenEnded } from './when-answered.js';

export interface BloomLayerOptions {
  /** Keys for which there is room; about 1.2 bytes each at 1 %. Default 100,000. */
  readonly expectedKeys?: number | undefined;
  /** Share of absent keys for which the layer is asked all the same, above 0 and below 1. Default 0.01. */
  readonly falsePositiveRate?: number | undefined;
  /** The layer is empty now, so that the filter knows all of its keys from the start. Default false. */
  readonly startsEmpty?: boolean | undefined;
  /**
   * All keys of the layer. With it the filter is filled anew when it is saturated, in the background.
   */
  readonly keys?: (() => Iterable<string> | AsyncIterable<string>) | undefined;
  /** Least milliseconds between two such refills. Default 60,000. */
  readonly minRefillMs?: number | undefined;
  /** Milliseconds. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

export interface BloomLayerStats {
  /** Whether the filter knows all keys, and so answers for keys that it doesn't know. */
  readonly complete: boolean;
  /** Memory of the filter. */
  readonly bytes: number;
  /** Look-ups that the layer was spared. */
  readonly avoided: number;
}

/**
 * Answers for keys that a layer surely doesn't have, from memory. The filter knows the keys that were set through it. As
 * the layer may have others at the start, it answers for none until it was told all keys with {@link fill}, unless the
 * layer `startsEmpty`; nor may anything else write to the layer. So it never says of a value that it isn't there.
 *
 * Deleted keys stay in the filter, and it fills up. When it is saturated it answers for none any more, until it has been
 * filled again: by itself where there are `keys`, else by you, or by a `clear`.
 */
export class BloomLayer<V> extends LayerDecorator<V> {
  readonly #keys: BloomLayerOptions['keys'];
  readonly #minRefillMs: number;
  readonly #clock: () => number;
  readonly #newFilter: () => BloomFilter;
  /** The filter that knows all keys; undefined while none does. */
  #filter: BloomFilter | undefined;
  /** Filters that are being made. Like the one in use they must know what is set meanwhile. */
  readonly #coming = new Set<BloomFilter>();
  /** Rises when all that was known is void. */
  #generation = 0;
  #refilledAt = Number.NEGATIVE_INFINITY;
  #avoided = 0;
  #closed = false;

  /** @throws InvalidOptionError that names the option */
  constructor(layer: Layer<V>, options: BloomLayerOptions = {}) {
    const { expectedKeys = 100_000, falsePositiveRate = 0.01, keys, minRefillMs = 60_000, clock = Date.now } = options;
    if (!(Number.isSafeInteger(expectedKeys) && expectedKeys >= 1 && expectedKeys <= 1e8)) {
      throw new InvalidOptionError('expectedKeys', 'a whole number from 1 to 100,000,000', expectedKeys);
    }
    const isShare = falsePositiveRate > 0 && falsePositiveRate < 1;
    checkNumber('falsePositiveRate', falsePositiveRate, isShare, 'a number above 0 and below 1');
    checkNumber('minRefillMs', minRefillMs, minRefillMs >= 0, 'a number of milliseconds of at least 0');
    super(layer);
    this.#keys = keys;
    this.#minRefillMs = minRefillMs;
    this.#clock = clock;
    this.#newFilter = () => new BloomFilter(expectedKeys, falsePositiveRate);
    if (options.startsEmpty) this.#filter = this.#newFilter();
    const { getEntry, getMany, setMany, deleteMany, clear, clearPrefix } = layer;
    if (getEntry) this.getEntry = (key, opts) => (this.#lacks(key) ? undefined : getEntry.call(layer, key, opts));
    if (getMany) {
      this.getMany = (keys, opts) => {
        const rest = keys.filter((key) => !this.#lacks(key));
        return rest.length === 0 ? new Map() : getMany.call(layer, rest, opts);
      };
    }
    if (setMany) {
      this.setMany = (values, opts) => this.#write([...values.keys()], () => setMany.call(layer, values, opts));
    }
    if (deleteMany) this.deleteMany = (keys, opts) => deleteMany.call(layer, keys, opts);
    if (clear) this.clear = (opts) => this.#clear(() => clear.call(layer, opts));
    if (clearPrefix) this.clearPrefix = (prefix, opts) => clearPrefix.call(layer, prefix, opts);
  }

  override get(key: string, options?: GetOptions): MaybePromise<V | undefined> {
    return this.#lacks(key) ? undefined : this.layer.get(key, options);
  }

  override set(key: string, value: V, options?: SetOptions): MaybePromise<void> {
    return this.#write([key], () => this.layer.set(key, value, options));
  }

  override delete(key: string, options?: OpOptions): MaybePromise<boolean> {
    return this.#lacks(key) ? false : this.layer.delete(key, options);
  }

  /**
   * Tells the filter all keys that the layer has; those set meanwhile it knows by itself. From then on it answers.
   * @returns whether it does: not when there are more keys than it has room for
   * @throws what the keys throw; then everything stays as it was
   */
  async fill(keys: Iterable<string> | AsyncIterable<string>): Promise<boolean> {
    const filter = this.#newFilter();
    const generation = this.#generation;
    this.#coming.add(filter);
    try {
      for await (const key of keys) filter.add(key);
    } finally {
      this.#coming.delete(filter);
    }
    if (this.#closed || generation !== this.#generation) return this.#filter !== undefined;
    this.#filter = filter.isSaturated ? undefined : filter;
    return this.#filter !== undefined;
  }

  stats(): BloomLayerStats {
    return { complete: this.#filter !== undefined, bytes: this.#filter?.bytes ?? 0, avoided: this.#avoided };
  }

  override close(): MaybePromise<void> {
    this.#closed = true;
    this.#filter = undefined;
    return this.layer.close();
  }

  #lacks(key: string): boolean {
    if (this.#filter === undefined || this.#filter.mayHave(key)) return false;
    this.#avoided++;
    return true;
  }

  /**
   * Adds the keys at the beginning, because from now on they may be there, and at the end, for filters that were made
   * while they were being written.
   */
  #write(keys: readonly string[], write: () => MaybePromise<void>): MaybePromise<void> {
    for (const key of keys) this.#add(key);
    const filter = this.#filter;
    return whenEnded(write, () => {
      if (this.#filter !== filter || this.#coming.size > 0) for (const key of keys) this.#add(key);
    });
  }

  #add(key: string): void {
    for (const filter of this.#coming) filter.add(key);
    this.#filter?.add(key);
    if (this.#filter?.isSaturated) {
      this.#filter = undefined;
      this.#refill();
    } else if (this.#filter === undefined && this.#coming.size === 0 && this.#refilledAt > Number.NEGATIVE_INFINITY) {
      this.#refill();
    }
  }

  /** Fills the filter from the keys that it was given, but not all the time where there are too many of them. */
  #refill(): void {
    const keys = this.#keys;
    const now = this.#clock();
    if (keys === undefined || now - this.#refilledAt < this.#minRefillMs) return;
    this.#refilledAt = now;
    // A layer that can't list its keys leaves the filter silent; it asks again when it is written to, in its time.
    (async () => this.fill(keys()))().catch(() => {});
  }

  /** What is set during the clear may survive it, so it is in the filter of the time after. */
  #clear(clear: () => MaybePromise<void>): MaybePromise<void> {
    const filter = this.#newFilter();
    this.#coming.add(filter);
    const cleared = () => {
      this.#coming.delete(filter);
      if (!this.#closed && !filter.isSaturated) this.#filter = filter;
      this.#generation++;
    };
    let answer: MaybePromise<void>;
    try {
      answer = toMaybePromise(clear());
    } catch (error) {
      this.#coming.delete(filter);
      throw error;
    }
    if (!(answer instanceof Promise)) return cleared();
    return answer.then(cleared, (error: unknown) => {
      this.#coming.delete(filter);
      throw error;
    });
  }
}
