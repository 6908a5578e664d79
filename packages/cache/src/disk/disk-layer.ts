import { CacheClosedError, CacheError, LayerUnavailableError } from '../errors.js';
import { FoundEntries } from '../found-entries.js';
import type { Entry, GetOptions, Layer, OpOptions, SetOptions } from '../layer.js';
import { checkLifetimes, entryOf, type LifetimeOptions, lifetimeFrom } from '../layers/lifetime.js';
import { decodeFrame, encodeFrame, type Framed } from '../serializers/frame.js';
import type { Serializer } from '../serializers/serializer.js';
import type { Namespace, NamespaceEntries, NamespaceWrites } from './namespace.js';

export interface DiskLayerOptions<V> extends LifetimeOptions {
  /** Default `disk`. */
  readonly name?: string | undefined;
  /** Keys of one namespace know nothing of another's. Default `default`. */
  readonly namespace?: string | undefined;
  /**
   * Most bytes of the namespace, counted as about what its entries take of the file. To make room, first what is over
   * goes, then the least recently used. A value that is larger alone isn't kept.
   */
  readonly maxBytes: number;
  /** Default: JSON. */
  readonly serializer?: Serializer<V> | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

export interface DiskLayerStats {
  /** Including what is over and wasn't removed yet. */
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
}

/** So many uses are remembered before they are written down, which holds the event loop up for a millisecond or two. */
const MAX_TOUCHED = 200;

/**
 * Values on disk, in a namespace of a folder: they survive the process, and their lifetimes go on without
 * it. Looks answer at once, from mapped memory; writes resolve when they are committed. Damaged values, and those of
 * another serializer, are misses.
 *
 * Cost: a hit of a small value takes about ten microseconds. Writes of one turn of the event loop (or of `gatherMs` of the folder) share a commit, which
 * holds it up for about a millisecond a hundred writes.
 */
export class DiskLayer<V> implements Layer<V> {
  readonly name: string;
  readonly namespace: string;
  readonly lifetime: LifetimeOptions;
  readonly #options: DiskLayerOptions<V>;
  readonly #serializer: Serializer<V>;
  readonly #database: NamespaceEntries;
  readonly #queue: NamespaceWrites;
  readonly #clock: () => number;
  readonly #release: () => Promise<void> | void;
  /** Keys that were read since uses were written down, the last one last. */
  readonly #touched = new Set<string>();
  #writesUses = false;
  #closed = false;
  #closing: Promise<void> | undefined;

  /** Made by `DiskFolder.layer` or `openDiskLayer`. @internal */
  constructor(
    options: DiskLayerOptions<V> & { readonly namespace: string; readonly serializer: Serializer<V> },
    { entries, writes, release }: Namespace,
  ) {
    checkLifetimes(options);
    this.name = options.name ?? 'disk';
    this.namespace = options.namespace;
    this.lifetime = { ttlMs: options.ttlMs, graceMs: options.graceMs };
    this.#options = options;
    this.#serializer = options.serializer;
    this.#database = entries;
    this.#queue = writes;
    this.#clock = options.clock ?? Date.now;
    this.#release = release;
    // Nobody waits for it: what can't be trimmed now is when something is written.
    void this.#change(() => this.#database.trim(this.#clock())).catch(() => {});
  }

  // NoInfer as in MemoryLayer.
  get(key: string, options?: GetOptions): NoInfer<V> | undefined {
    const found = this.#find(key, options);
    return found && this.#clock() < found.expiresAt ? found.value : undefined;
  }

  getEntry(key: string, options?: GetOptions): Entry<V> | undefined {
    const found = this.#find(key, options);
    return found && entryOf(found.value, found.expiresAt);
  }

  getMany(keys: readonly string[], options?: GetOptions): Map<string, Entry<V>> {
    const found = new Map<string, Entry<V>>();
    for (const key of keys) {
      const entry = this.getEntry(key, options);
      if (entry) found.set(key, entry);
    }
    return found;
  }

  readMany(keys: readonly string[], options?: GetOptions): FoundEntries<V> {
    const all = new FoundEntries<V>(keys.length);
    for (let i = 0; i < keys.length; i++) {
      const found = this.#find(keys[i] as string, options);
      if (found) all.put(i, found.value, found.expiresAt);
    }
    return all;
  }

  /**
   * @throws LayerUnavailableError when it can't be written, as when the disk is full; QueueFullError; InvalidValueError for
   * what the serializer can't encode
   */
  async set(key: string, value: V, options?: SetOptions): Promise<void> {
    const now = this.#clock();
    const lifetime = lifetimeFrom(now, options, this.#options);
    const frame = encodeFrame(this.#serializer, value, lifetime);
    await this.#change(() => this.#database.put(key, frame, lifetime.goneAt, now), frame.length, options?.signal);
  }

  /** Each is written, or fails, for itself; when one fails, so does this. */
  async setMany(values: ReadonlyMap<string, V>, options?: SetOptions): Promise<void> {
    await Promise.all(Array.from(values, ([key, value]) => this.set(key, value, options)));
  }

  delete(key: string, options?: OpOptions): Promise<boolean> {
    this.#touched.delete(key);
    return this.#change(() => this.#database.remove(key, this.#clock()), 0, options?.signal);
  }

  async deleteMany(keys: readonly string[], options?: OpOptions): Promise<number> {
    const removed = await Promise.all(keys.map((key) => this.delete(key, options)));
    return removed.filter(Boolean).length;
  }

  clear(options?: OpOptions): Promise<void> {
    return this.#change(() => this.#database.clear(), 0, options?.signal);
  }

  /**
   * In steps, so that nobody is held up for long: a process that ends meanwhile leaves some. What is set after it was
   * called stays.
   */
  async clearPrefix(prefix: string, options?: OpOptions): Promise<void> {
    const signal = options?.signal;
    const before = await this.#change(() => this.#database.next(), 0, signal);
    let after: Buffer | undefined;
    do {
      after = await this.#change(() => this.#database.removeSome(prefix, before, after), 0, signal);
    } while (after !== undefined);
  }

  /** @throws CacheClosedError */
  stats(): DiskLayerStats {
    if (this.#closed) throw new CacheClosedError(this.name);
    return { ...this.#database.totals(), maxBytes: this.#options.maxBytes };
  }

  /** Resolves when everything is written. May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const written = this.#change(() => {}).catch(() => {});
    this.#queue.hurry();
    this.#closed = true;
    await written;
    await this.#release();
  }

  #find(key: string, options: GetOptions | undefined): Framed<V> | undefined {
    options?.signal?.throwIfAborted();
    if (this.#closed) throw new CacheClosedError(this.name);
    const frame = this.#attempt(() => this.#database.frame(key), 'cannot read');
    const found = frame && decodeFrame(this.#serializer, frame);
    if (!found || !(this.#clock() < found.goneAt)) return undefined;
    this.#touch(key);
    return found;
  }

  #touch(key: string): void {
    this.#touched.delete(key);
    this.#touched.add(key);
    if (this.#touched.size <= MAX_TOUCHED) return;
    if (this.#writesUses) {
      // Many looks in one turn of the event loop: the latest count.
      for (const oldest of this.#touched) return void this.#touched.delete(oldest);
    }
    this.#writesUses = true;
    const written = () => {
      this.#writesUses = false;
    };
    this.#change(() => {}).then(written, written);
  }

  /** A change in a transaction, after the uses so far, so that room is made by the latest order. */
  #change<T>(change: () => T, bytes = 0, signal?: AbortSignal): Promise<T> {
    if (this.#closed) return Promise.reject(new CacheClosedError(this.name));
    const touched = [...this.#touched];
    this.#touched.clear();
    const run = () => {
      if (touched.length > 0) this.#database.touch(touched);
      return change();
    };
    return this.#queue.add(this.name, run, bytes, signal).catch((error: unknown) => {
      throw this.#failure(error, 'cannot write', signal);
    });
  }

  #attempt<T>(work: () => T, what: string): T {
    try {
      return work();
    } catch (error) {
      throw this.#failure(error, what, undefined);
    }
  }

  #failure(error: unknown, what: string, signal: AbortSignal | undefined): unknown {
    if (error instanceof CacheError || (signal?.aborted && error === signal.reason)) return error;
    return new LayerUnavailableError(this.name, `${what}: ${(error as Error).message}`, { cause: error });
  }
}
