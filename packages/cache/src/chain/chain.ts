import { untilAborted } from '@granary/resilience';
import type { Span } from '@granary/telemetry';
import { CacheClosedError, InvalidValueError, KeyNotFoundError } from '../errors.js';
import { checkTag, checkTags } from '../invalidation/tags.js';
import { checkKey } from '../key.js';
import type { MaybePromise, OpOptions } from '../layer.js';
import { isFresh } from '../layers/lifetime.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { ChainParts } from './chain-parts.js';
import { addEvent } from './chain-spans.js';
import { CountedMemory } from './counted-memory.js';
import type { Load } from './loads/load.js';
import { LookThenLoad } from './loads/look-then-load.js';
import type { Found } from './lookups.js';
import type { ChainGetOptions, ChainOptions, ChainSetOptions, ChainStats } from './options/chain-options.js';
import { checkLoad, type Loader, type LoadOptions, withDefaults } from './options/load-options.js';
import type { Storey } from './storeys/storey.js';

/**
 * Layers from fast to slow as one cache: made by {@link createChain}.
 *
 * What is in memory is answered at once, without a promise; `await` fits both. A key or value that can't be is refused
 * at once too, by a throw, as is a signal that is aborted already. Everything else that fails rejects.
 */
export class Chain<V, K extends string = string> {
  readonly #parts: ChainParts<V>;
  readonly #first: Storey<V>;
  readonly #lookThenLoad: LookThenLoad<V>;
  /** The first layer, where it is memory: hits there needn't look at anything else. */
  #memory: CountedMemory<V> | undefined;
  readonly #early: number;
  readonly #isTraced: boolean;
  readonly #loadDefaults: LoadOptions;
  /** By layer, without those that {@link CountedMemory} counts. */
  #hits: number[];
  #misses = 0;
  #closing: Promise<void> | undefined;

  constructor(options: ChainOptions<V>) {
    const parts = new ChainParts(options);
    this.#parts = parts;
    this.#first = parts.storeys[0] as Storey<V>;
    this.#lookThenLoad = new LookThenLoad(parts);
    const { layer } = this.#first;
    this.#memory = layer instanceof MemoryLayer ? new CountedMemory(layer, parts.recorder) : undefined;
    this.#early = options.earlyRefresh ?? 0;
    this.#isTraced = options.tracer?.enabled === true;
    this.#loadDefaults = parts.loadDefaults;
    this.#hits = parts.storeys.map(() => 0);
  }

  /**
   * The value of a key, from the first layer that has it fresh; `undefined` when none does. Layers that fail count as
   * not having it; layers above the one that has it are given it, as long as it still lives.
   *
   * @throws InvalidKeyError, CacheClosedError
   * @throws KeyNotFoundError with `required`
   */
  get(key: K, options: ChainGetOptions & { readonly required: true }): MaybePromise<V>;
  get(key: K, options?: ChainGetOptions): MaybePromise<V | undefined>;
  get(key: K, options?: ChainGetOptions): MaybePromise<V | undefined> {
    if (
      this.#memory === undefined ||
      !this.#first.isPlain ||
      options?.signal !== undefined ||
      options?.span !== undefined
    ) {
      return this.#get(key, options, 0);
    }
    const value = this.#memory.get(key);
    return value === undefined ? this.#get(key, options, 1) : value;
  }

  /**
   * The value of a key, or what the loader makes of it, which is then written to every layer. All who ask for the key
   * meanwhile share one load, each for as long as its own signal lets it.
   *
   * Nothing is stored when the key was written or deleted during the load. A loader's error reaches all who wait, unless
   * there is something stale within its grace; `undefined` is an answer too, and is not stored.
   *
   * @throws InvalidKeyError, CacheClosedError
   * @throws InvalidOptionError that names the option, where a load begins
   * @throws CacheTimeoutError at the hard timeout
   * @throws KeyNotFoundError with `required`
   */
  getOrLoad<R extends V | undefined>(
    key: K,
    loader: Loader<V, R>,
    options: LoadOptions & { readonly required: true },
  ): MaybePromise<V>;
  getOrLoad<R extends V | undefined>(
    key: K,
    loader: Loader<V, R>,
    options?: LoadOptions,
  ): MaybePromise<V | Extract<R, undefined>>;
  getOrLoad(key: K, loader: Loader<V>, options?: LoadOptions): MaybePromise<V | undefined> {
    if (
      this.#memory === undefined ||
      !this.#first.isPlain ||
      options?.signal !== undefined ||
      options?.span !== undefined ||
      (options?.earlyRefresh ?? this.#early) > 0
    ) {
      return this.#getOrLoad(key, loader, options, false);
    }
    const value = this.#memory.get(key);
    return value === undefined ? this.#getOrLoad(key, loader, options, true) : value;
  }

  /**
   * Writes a value to all layers. It wins over every load and warm-up of the key that is under way.
   *
   * A layer that fails doesn't fail the write; it isn't asked for the key until a write to it succeeds.
   *
   * @throws InvalidKeyError, CacheClosedError
   * @throws InvalidValueError for `undefined`, which means absent, and for what a layer refuses as invalid
   * @throws LayerUnavailableError when every layer failed; where there is only one, what that threw
   */
  set(key: K, value: V, options?: ChainSetOptions): MaybePromise<void> {
    this.#checkOpen();
    checkKey(key);
    checkValue(value);
    options?.signal?.throwIfAborted();
    if (options?.tags !== undefined) checkTags(options.tags);
    return untilAborted(this.#parts.writes.set(key, value, options), options?.signal);
  }

  /** Deletes a key from all layers, as {@link set} writes. Whether a layer had it; one that is written behind can't say. */
  delete(key: K, options?: OpOptions): MaybePromise<boolean> {
    this.#checkOpen();
    checkKey(key);
    options?.signal?.throwIfAborted();
    return untilAborted(this.#parts.writes.delete(key, options), options?.signal);
  }

  /** The values that are there, fresh, in no particular order. Each layer is asked once, for what is still missing. */
  async getMany(keys: Iterable<K>, options?: OpOptions): Promise<Map<K, V>> {
    this.#checkOpen();
    const wanted = checked(keys);
    options?.signal?.throwIfAborted();
    const { lookups, recorder } = this.#parts;
    const start = recorder?.now() ?? 0;
    const { values, hits, misses } = await lookups.findMany(wanted, options);
    hits.forEach((count, layer) => {
      (this.#hits[layer] as number) += count;
    });
    this.#misses += misses;
    if (recorder !== undefined) recordMany(hits, misses, (i) => recorder.chainGet(i, recorder.now() - start));
    return values as Map<K, V>;
  }

  /** {@link set} for many values with the same options. */
  async setMany(values: Iterable<readonly [K, V]>, options?: ChainSetOptions): Promise<void> {
    this.#checkOpen();
    const all = new Map(values);
    for (const [key, value] of all) {
      checkKey(key);
      checkValue(value);
    }
    options?.signal?.throwIfAborted();
    if (options?.tags !== undefined) checkTags(options.tags);
    if (all.size > 0) await untilAborted(this.#parts.writes.setMany(all, options), options?.signal);
  }

  /** {@link delete} for many keys. How many the layer with the most of them had. */
  async deleteMany(keys: Iterable<K>, options?: OpOptions): Promise<number> {
    this.#checkOpen();
    const wanted = [...new Set(checked(keys))];
    options?.signal?.throwIfAborted();
    return wanted.length === 0 ? 0 : untilAborted(this.#parts.writes.deleteMany(wanted, options), options?.signal);
  }

  /** Deletes what was written with this tag; values that are being loaded with it are not kept. How many keys there were. */
  async deleteByTag(tag: string, options?: OpOptions): Promise<number> {
    this.#checkOpen();
    checkTag(tag);
    options?.signal?.throwIfAborted();
    return untilAborted(this.#parts.writes.deleteByTag(tag, options), options?.signal);
  }

  /**
   * Empties every layer that can be emptied.
   *
   * @throws LayerUnavailableError when a layer failed; the others are empty
   */
  async clear(options?: OpOptions): Promise<void> {
    this.#checkOpen();
    options?.signal?.throwIfAborted();
    await untilAborted(this.#parts.writes.clear(options), options?.signal);
  }

  /**
   * Waits for what is under way in the background: loads that nobody waits for, warm-ups, and what is written behind.
   * Whether all of it was done in time, and no write behind failed. Default: waits for 5 seconds.
   */
  flush(timeoutMs = 5000): Promise<boolean> {
    return this.#parts.flush(timeoutMs);
  }

  stats(): ChainStats {
    return this.#parts.stats(this.#allHits(), this.#misses);
  }

  /**
   * Takes no more calls, ends the loads under way, waits for the writes under way and those behind, and closes the
   * layers. May be called twice. Rejects when a layer couldn't be closed; the others are.
   */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#hits = this.#allHits();
      this.#memory = undefined;
      this.#closing = this.#parts.close(new CacheClosedError('the chain'));
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #get(key: string, options: ChainGetOptions | undefined, from: number): MaybePromise<V | undefined> {
    this.#checkOpen();
    checkKey(key);
    const signal = options?.signal;
    signal?.throwIfAborted();
    const { lookups, recorder } = this.#parts;
    const start = recorder?.now() ?? 0;
    const found = lookups.find(key, options, from);
    // The layer that was asked last has just looked at the clock.
    if (!(found instanceof Promise)) return this.#answer(key, found, options, start, recorder?.at);
    return found.then((result) => this.#answer(key, result, options, start));
  }

  #allHits(): number[] {
    const inMemory = this.#memory?.hits ?? 0;
    return this.#hits.map((count, layer) => (layer === 0 ? count + inMemory : count));
  }

  /** Whether a load can wait for what the first layer says at once, and nobody wants a span of that. */
  get #looksFirst(): boolean {
    return this.#first.isPlain && (this.#memory !== undefined || !this.#isTraced);
  }

  #answer(
    key: string,
    found: Pick<Found<V>, 'fresh' | 'layer'>,
    options: ChainGetOptions | undefined,
    start: number,
    end?: number,
  ): V | undefined {
    this.#count(found.layer, start, end);
    if (options?.span !== undefined) this.#tell(options.span, found.layer);
    if (options?.required === true && found.fresh === undefined) throw new KeyNotFoundError(key);
    return found.fresh?.value;
  }

  /** Says on the caller's span what came of his look-up. */
  #tell(span: Span, layer: number): void {
    const name = this.#parts.storeys[layer]?.name;
    addEvent(span, 'cache.lookup', { 'cache.hit': name !== undefined, 'cache.layer': name });
  }

  #count(layer: number, start: number, end?: number): void {
    if (layer >= 0) (this.#hits[layer] as number)++;
    else this.#misses++;
    const { recorder } = this.#parts;
    if (recorder !== undefined) recorder.chainGet(layer, (end ?? recorder.now()) - start);
  }

  #getOrLoad(
    key: string,
    loader: Loader<V>,
    given: LoadOptions | undefined,
    peeked: boolean,
  ): MaybePromise<V | undefined> {
    this.#checkOpen();
    checkKey(key);
    const signal = given?.signal;
    signal?.throwIfAborted();
    const { loads, recorder } = this.#parts;
    const start = recorder?.now() ?? 0;
    let load = loads.get(key);
    if (load === undefined) {
      let looked = peeked;
      let held = peeked ? this.#first.peekStale(key) : undefined;
      if (!peeked && this.#looksFirst && (given?.earlyRefresh ?? this.#early) === 0) {
        // Most of what is asked for is there, and needs no load that others could join.
        const entry = this.#first.find(key, given);
        if (!(entry instanceof Promise)) {
          looked = true;
          held = entry;
          if (entry !== undefined && isFresh(entry, this.#parts.clock())) {
            return this.#answer(key, { fresh: entry, layer: 0 }, given, start);
          }
        }
      }
      load = this.#begin(key, loader, given);
      this.#lookThenLoad.start(load, signal !== undefined, looked, held);
    }
    if (load.isRefresh || (load.answeredStale && !this.#isInGrace(load))) return this.#find(load, loader, given, start);
    return this.#join(load, given, start);
  }

  #begin(key: string, loader: Loader<V>, given: LoadOptions | undefined): Load<V> {
    if (given !== undefined) checkLoad(given);
    const options = given === undefined ? this.#loadDefaults : withDefaults(given, this.#loadDefaults);
    return this.#parts.loads.begin(key, loader, options);
  }

  /** Whether what is stale is surely within its grace still; the layers know of others. */
  #isInGrace({ stale, options }: Load<V>): boolean {
    const { lifetimes, clock } = this.#parts;
    return (stale?.expiresAt ?? 0) + (options.graceMs ?? lifetimes.graceMs ?? 0) > clock();
  }

  #join(load: Load<V>, given: LoadOptions | undefined, start: number): MaybePromise<V | undefined> {
    const signal = given?.signal;
    const answer = load.join(signal);
    if (!(answer instanceof Promise)) return this.#loaded(load, answer, given, start);
    return answer.then(
      (value) => this.#loaded(load, value, given, start),
      (error: unknown) => {
        // The layers had nothing, unless the caller didn't wait to know.
        if (!signal?.aborted) this.#count(-1, start);
        throw error;
      },
    );
  }

  /** While a value is being loaded anew it is answered as long as it is fresh, or as the layers have it for its grace. */
  #find(load: Load<V>, loader: Loader<V>, given: LoadOptions | undefined, start: number): MaybePromise<V | undefined> {
    const { loads, lookups } = this.#parts;
    const { key } = load;
    const answer = (found: Found<V>) => {
      if (found.fresh !== undefined) return this.#answer(key, found, given, start);
      if (!load.answeredStale || found.stale !== undefined) return this.#join(load, given, start);
      // What it answered is too old by now, and it may never end.
      const known = loads.get(key);
      if (known !== undefined && known !== load) return this.#join(known, given, start);
      const another = this.#begin(key, loader, given);
      loads.run(another, undefined);
      return this.#join(another, given, start);
    };
    const found = lookups.find(key, given);
    return found instanceof Promise ? found.then(answer) : answer(found);
  }

  #loaded(load: Load<V>, value: V | undefined, given: LoadOptions | undefined, start: number): V | undefined {
    this.#count(load.foundAt, start);
    if (given?.span !== undefined) this.#tell(given.span, load.foundAt);
    if (given?.required === true && value === undefined) throw new KeyNotFoundError(load.key);
    return value;
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new CacheClosedError('the chain');
  }
}

/**
 * Puts layers together, from fast to slow.
 *
 * @throws InvalidOptionError that names the option
 */
export function createChain<V, K extends string = string>(options: ChainOptions<V>): Chain<V, K> {
  return new Chain<V, K>(options);
}

function checkValue(value: unknown): void {
  if (value === undefined)
    throw new InvalidValueError('undefined means that there is no value; delete the key instead');
}

function checked<K extends string>(keys: Iterable<K>): K[] {
  const all = [...keys];
  for (const key of all) checkKey(key);
  return all;
}

function recordMany(hits: readonly number[], misses: number, record: (layer: number) => void): void {
  hits.forEach((count, layer) => {
    for (let i = 0; i < count; i++) record(layer);
  });
  for (let i = 0; i < misses; i++) record(-1);
}
