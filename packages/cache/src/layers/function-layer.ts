import { InvalidOptionError, toMaybePromise } from '@granary/resilience';
import type { Entry, GetOptions, Layer, MaybePromise } from '../layer.js';
import { checkLifetimes, entryOf, type LifetimeOptions, lifetimeFrom } from './lifetime.js';

export interface FunctionLayerOptions<V> extends LifetimeOptions {
  /** Default `function`. */
  readonly name?: string | undefined;
  /** Looks up many keys at once; what isn't in the map is absent. Default: the chain asks for one after the other. */
  readonly loadMany?:
    | ((keys: readonly string[], options: GetOptions) => ReadonlyMap<string, V> | PromiseLike<ReadonlyMap<string, V>>)
    | undefined;
  /** Milliseconds since 1970, for the lifetimes of what was loaded. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/**
 * A database, a service or a file as the last layer of a chain: `get` calls a function, and writes do nothing. What the
 * function throws or rejects with is the layer's failure. It is called at each `get`; the chain sees to it that many
 * who ask at once cause one call.
 */
export class FunctionLayer<V> implements Layer<V> {
  readonly name: string;
  /** It keeps nothing that is written. */
  readonly lifetime = { ttlMs: 0 };
  /** Is there when `loadMany` is. */
  readonly getMany?: (keys: readonly string[], options?: GetOptions) => Promise<Map<string, Entry<V>>>;
  readonly #load: (key: string, options: GetOptions) => V | undefined | PromiseLike<V | undefined>;
  readonly #lifetimes: LifetimeOptions;
  readonly #clock: () => number;

  /**
   * @param load gives the value, or undefined when there is none; may answer at once, with a promise or with anything that
   * has a `then`, as queries of many databases' clients do
   * @throws InvalidOptionError for what is no function, and for lifetimes that make no sense
   */
  constructor(
    load: (key: string, options: GetOptions) => V | undefined | PromiseLike<V | undefined>,
    options: FunctionLayerOptions<V> = {},
  ) {
    // A chain would take each look's failure for a miss, so that nobody heard of it.
    if (typeof load !== 'function') throw new InvalidOptionError('load', 'a function, the first argument', load);
    checkLifetimes(options);
    const { loadMany } = options;
    this.name = options.name ?? 'function';
    this.#load = load;
    this.#lifetimes = options;
    this.#clock = options.clock ?? Date.now;
    if (loadMany) {
      this.getMany = async (keys, options = NO_OPTIONS) => {
        options.signal?.throwIfAborted();
        return keys.length === 0 ? new Map() : this.#entriesOf(await loadMany(keys, options));
      };
    }
  }

  get(key: string, options: GetOptions = NO_OPTIONS): MaybePromise<V | undefined> {
    options.signal?.throwIfAborted();
    return toMaybePromise(this.#load(key, options));
  }

  /** The value, fresh for `ttlMs` from now. */
  getEntry(key: string, options?: GetOptions): MaybePromise<Entry<V> | undefined> {
    const loaded = this.get(key, options);
    return loaded instanceof Promise ? loaded.then((value) => this.#entry(value)) : this.#entry(loaded);
  }

  set(): void {}

  /** False: nothing is ever removed. */
  delete(): boolean {
    return false;
  }

  close(): void {}

  #entry(value: V | undefined): Entry<V> | undefined {
    if (value === undefined) return undefined;
    return entryOf(value, lifetimeFrom(this.#clock(), undefined, this.#lifetimes).expiresAt);
  }

  #entriesOf(values: ReadonlyMap<string, V>): Map<string, Entry<V>> {
    const entries = new Map<string, Entry<V>>();
    for (const [key, value] of values) {
      const entry = this.#entry(value);
      if (entry) entries.set(key, entry);
    }
    return entries;
  }
}

const NO_OPTIONS: GetOptions = {};
