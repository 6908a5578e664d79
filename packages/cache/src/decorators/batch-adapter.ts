import { InvalidOptionError, untilAborted, wholeNumber } from '@granary/resilience';
import type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';

export interface BatchAdapterOptions {
  /** Most keys of one `getMany`; a batch that is full doesn't wait. Default 100. */
  readonly maxBatch?: number | undefined;
  /** Milliseconds since 1970, to tell what is stale. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
}

/**
 * Makes one `getMany` of all gets that are asked for in the same turn of the event loop, for layers to which each trip
 * is dear. A key that several ask for is asked once. Each caller's abort is its own; when all of a batch have gone, the
 * batch is aborted too. What fails, fails for all callers of the batch.
 *
 * Every get answers with a promise then, so put it around layers that do that anyway.
 */
export class BatchAdapter<V> implements Layer<V> {
  readonly name: string;
  readonly shared: boolean;
  readonly lifetime: Layer<V>['lifetime'];
  readonly setMany?: (values: ReadonlyMap<string, V>, options?: SetOptions) => MaybePromise<void>;
  readonly deleteMany?: (keys: readonly string[], options?: OpOptions) => MaybePromise<number>;
  readonly clear?: (options?: OpOptions) => MaybePromise<void>;
  readonly clearPrefix?: (prefix: string, options?: OpOptions) => MaybePromise<void>;
  readonly #layer: Layer<V>;
  readonly #getMany: (keys: readonly string[], options?: GetOptions) => MaybePromise<Map<string, Entry<V>>>;
  readonly #maxBatch: number;
  readonly #clock: () => number;
  #open: Batch<V> | undefined;

  /** @throws InvalidOptionError when the layer has no `getMany`, or for an option that makes no sense */
  constructor(layer: Layer<V>, { maxBatch = 100, clock = Date.now }: BatchAdapterOptions = {}) {
    wholeNumber('maxBatch', maxBatch);
    const { getMany, setMany, deleteMany, clear, clearPrefix } = layer;
    if (!getMany) throw new InvalidOptionError('layer', 'one with getMany', layer.name);
    this.name = layer.name;
    this.shared = layer.shared ?? false;
    this.lifetime = layer.lifetime;
    this.#layer = layer;
    this.#getMany = getMany.bind(layer);
    this.#maxBatch = maxBatch;
    this.#clock = clock;
    if (setMany) this.setMany = setMany.bind(layer);
    if (deleteMany) this.deleteMany = deleteMany.bind(layer);
    if (clear) this.clear = clear.bind(layer);
    if (clearPrefix) this.clearPrefix = clearPrefix.bind(layer);
  }

  async get(key: string, options?: GetOptions): Promise<V | undefined> {
    const entry = await this.getEntry(key, options);
    if (entry?.expiresAt !== undefined && !(this.#clock() < entry.expiresAt)) return undefined;
    return entry?.value;
  }

  async getEntry(key: string, options?: GetOptions): Promise<Entry<V> | undefined> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    const batch = this.#batch();
    const entries = batch.join(key);
    if (batch.keys.size >= this.#maxBatch) this.#send(batch);
    try {
      return (await untilAborted(entries, signal)).get(key);
    } catch (error) {
      if (signal?.aborted) batch.leave(signal.reason);
      throw error;
    }
  }

  getMany(keys: readonly string[], options?: GetOptions): MaybePromise<Map<string, Entry<V>>> {
    return this.#getMany(keys, options);
  }

  set(key: string, value: V, options?: SetOptions): MaybePromise<void> {
    return this.#layer.set(key, value, options);
  }

  delete(key: string, options?: OpOptions): MaybePromise<boolean> {
    return this.#layer.delete(key, options);
  }

  close(): MaybePromise<void> {
    return this.#layer.close();
  }

  #batch(): Batch<V> {
    if (this.#open !== undefined) return this.#open;
    const batch = new Batch<V>();
    this.#open = batch;
    // After the promises that are settled by now, whose reactions may ask for more.
    queueMicrotask(() => process.nextTick(() => this.#send(batch)));
    return batch;
  }

  #send(batch: Batch<V>): void {
    if (this.#open === batch) this.#open = undefined;
    batch.send(this.#getMany);
  }
}

/** Keys that are asked for together, and those who ask. */
class Batch<V> {
  readonly keys = new Set<string>();
  readonly #entries: Promise<Map<string, Entry<V>>>;
  readonly #controller = new AbortController();
  #callers = 0;
  #sent = false;
  #resolve: (entries: MaybePromise<Map<string, Entry<V>>>) => void = () => {};

  constructor() {
    this.#entries = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  join(key: string): Promise<Map<string, Entry<V>>> {
    this.keys.add(key);
    this.#callers++;
    return this.#entries;
  }

  leave(reason: unknown): void {
    // Before it is sent others may still join.
    if (--this.#callers === 0 && this.#sent) this.#controller.abort(reason);
  }

  send(getMany: (keys: readonly string[], options: GetOptions) => MaybePromise<Map<string, Entry<V>>>): void {
    if (this.#sent) return;
    this.#sent = true;
    const { signal } = this.#controller;
    if (this.#callers === 0) this.#resolve(new Map());
    else this.#resolve((async () => getMany([...this.keys], { signal }))());
  }
}
