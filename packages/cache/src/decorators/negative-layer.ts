import { checkNumber, toMaybePromise, wholeNumber } from '@granary/resilience';
import { LRUCache } from 'lru-cache';
import type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';
import { LayerDecorator } from './layer-decorator.js';
import { whenAnswered, whenEnded } from './when-answered.js';

export interface NegativeLayerOptions {
  /** How long a key that wasn't found is taken as not there, in milliseconds. Default 30,000. */
  readonly ttlMs?: number | undefined;
  /** Most keys to remember, the one not asked for longest goes first. Default 10,000. */
  readonly maxEntries?: number | undefined;
  /** Milliseconds. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/** What is known of a key: that there is nothing fresh, or not even something within its grace. */
type Absence = 'nothing fresh' | 'nothing';

interface Remembered {
  readonly absence: Absence;
  readonly since: number;
}

/** Stands for those who look a key up at present, until somebody writes it. */
interface Lookup {
  users: number;
}

/**
 * Remembers for a while what a layer doesn't have, so that asking again for what isn't there costs no trip. A write
 * through it is seen at once, also by those whose look-up was under way. A write past it (another process's) is seen
 * when `ttlMs` is over: it sets how late that may be.
 */
export class NegativeLayer<V> extends LayerDecorator<V> {
  readonly #absent: LRUCache<string, Remembered>;
  readonly #ttlMs: number;
  readonly #clock: () => number;
  readonly #lookups = new Map<string, Lookup>();
  #avoided = 0;

  /** @throws InvalidOptionError that names the option */
  constructor(layer: Layer<V>, { ttlMs = 30_000, maxEntries = 10_000, clock = Date.now }: NegativeLayerOptions = {}) {
    const isTime = ttlMs > 0 && ttlMs < Number.POSITIVE_INFINITY;
    checkNumber('ttlMs', ttlMs, isTime, 'a number of milliseconds above 0');
    wholeNumber('maxEntries', maxEntries);
    super(layer);
    this.#absent = new LRUCache({ max: maxEntries });
    this.#ttlMs = ttlMs;
    this.#clock = clock;
    const { getEntry, getMany, setMany, deleteMany, clear, clearPrefix } = layer;
    if (getEntry) {
      this.getEntry = (key, opts) => {
        if (this.#absence(key) !== 'nothing')
          return this.#lookUp(key, 'nothing', () => getEntry.call(layer, key, opts));
        this.#avoided++;
        return undefined;
      };
    }
    if (getMany) this.getMany = (keys, opts) => this.#lookUpMany(keys, (rest) => getMany.call(layer, rest, opts));
    if (setMany) {
      this.setMany = (values, opts) => this.#write([...values.keys()], () => setMany.call(layer, values, opts));
    }
    if (deleteMany) this.deleteMany = (keys, opts) => deleteMany.call(layer, keys, opts);
    if (clear) this.clear = (opts) => clear.call(layer, opts);
    if (clearPrefix) this.clearPrefix = (prefix, opts) => clearPrefix.call(layer, prefix, opts);
  }

  override get(key: string, options?: GetOptions): MaybePromise<V | undefined> {
    if (this.#absence(key) === undefined) {
      const absence = this.layer.getEntry ? 'nothing fresh' : 'nothing';
      return this.#lookUp(key, absence, () => this.layer.get(key, options));
    }
    this.#avoided++;
    return undefined;
  }

  override set(key: string, value: V, options?: SetOptions): MaybePromise<void> {
    return this.#write([key], () => this.layer.set(key, value, options));
  }

  override delete(key: string, options?: OpOptions): MaybePromise<boolean> {
    return this.layer.delete(key, options);
  }

  /** Forgets a key that others may have written, or everything. */
  forget(key?: string): void {
    if (key === undefined) {
      this.#absent.clear();
      this.#lookups.clear();
    } else this.#forget(key);
  }

  /** Keys remembered at present (also those whose time is over and that nobody has asked for), and trips avoided. */
  stats(): { readonly remembered: number; readonly avoided: number } {
    return { remembered: this.#absent.size, avoided: this.#avoided };
  }

  override close(): MaybePromise<void> {
    this.forget();
    return this.layer.close();
  }

  /** What is known of a key. Not left to lru-cache, to whom what is written at 0 never ends, and lifetimes are whole. */
  #absence(key: string): Absence | undefined {
    const known = this.#absent.get(key);
    if (known === undefined) return undefined;
    const age = this.#clock() - known.since;
    // A wall clock that is set back would hide what others write until it has caught up.
    if (age >= 0 && age < this.#ttlMs) return known.absence;
    this.#absent.delete(key);
    return undefined;
  }

  #remember(key: string, absence: Absence): void {
    this.#absent.set(key, { absence, since: this.#clock() });
  }

  #lookUp<T>(key: string, absence: Absence, ask: () => MaybePromise<T | undefined>): MaybePromise<T | undefined> {
    const answer = toMaybePromise(ask());
    if (!(answer instanceof Promise)) {
      if (answer === undefined) this.#remember(key, absence);
      return answer;
    }
    const lookup = this.#begin(key);
    return answer.then(
      (found) => {
        if (this.#end(key, lookup) && found === undefined) this.#remember(key, absence);
        return found;
      },
      (error: unknown) => {
        this.#end(key, lookup);
        throw error;
      },
    );
  }

  #lookUpMany(
    keys: readonly string[],
    ask: (rest: readonly string[]) => MaybePromise<Map<string, Entry<V>>>,
  ): MaybePromise<Map<string, Entry<V>>> {
    const rest = keys.filter((key) => this.#absence(key) !== 'nothing');
    this.#avoided += keys.length - rest.length;
    if (rest.length === 0) return new Map();
    const lookups = rest.map((key) => [key, this.#begin(key)] as const);
    let found: Map<string, Entry<V>> | undefined;
    const answer = whenEnded(
      () =>
        whenAnswered(ask(rest), (entries) => {
          found = entries;
          return entries;
        }),
      () => {
        for (const [key, lookup] of lookups) {
          if (this.#end(key, lookup) && found !== undefined && !found.has(key)) this.#remember(key, 'nothing');
        }
      },
    );
    return answer;
  }

  /**
   * Forgets at the beginning, because from now on the value may be there, and at the end, for those who looked while it
   * was being written and didn't find it yet.
   */
  #write(keys: readonly string[], write: () => MaybePromise<void>): MaybePromise<void> {
    for (const key of keys) this.#forget(key);
    return whenEnded(write, () => {
      for (const key of keys) this.#forget(key);
    });
  }

  #forget(key: string): void {
    this.#absent.delete(key);
    this.#lookups.delete(key);
  }

  #begin(key: string): Lookup {
    let lookup = this.#lookups.get(key);
    if (lookup === undefined) {
      lookup = { users: 0 };
      this.#lookups.set(key, lookup);
    }
    lookup.users++;
    return lookup;
  }

  /** Whether nobody has written the key since. */
  #end(key: string, lookup: Lookup): boolean {
    lookup.users--;
    if (this.#lookups.get(key) !== lookup) return false;
    if (lookup.users === 0) this.#lookups.delete(key);
    return true;
  }
}
