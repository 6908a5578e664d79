import type { FoundEntries } from '../found-entries.js';
import type { Entry, GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';

/** A layer around a layer. What the inner one can't do better than a chain, a decorator doesn't offer either. */
export abstract class LayerDecorator<V> implements Layer<V> {
  readonly name: string;
  readonly shared: boolean;
  readonly lifetime: Layer<V>['lifetime'];
  getEntry?: (key: string, options?: GetOptions) => MaybePromise<Entry<V> | undefined>;
  getMany?: (keys: readonly string[], options?: GetOptions) => MaybePromise<Map<string, Entry<V>>>;
  readMany?: (keys: readonly string[], options?: GetOptions) => MaybePromise<FoundEntries<V>>;
  setMany?: (values: ReadonlyMap<string, V>, options?: SetOptions) => MaybePromise<void>;
  deleteMany?: (keys: readonly string[], options?: OpOptions) => MaybePromise<number>;
  clear?: (options?: OpOptions) => MaybePromise<void>;
  clearPrefix?: (prefix: string, options?: OpOptions) => MaybePromise<void>;
  protected readonly layer: Layer<V>;

  constructor(layer: Layer<V>, name = layer.name) {
    this.layer = layer;
    this.name = name;
    this.shared = layer.shared ?? false;
    this.lifetime = layer.lifetime;
  }

  abstract get(key: string, options?: GetOptions): MaybePromise<V | undefined>;
  abstract set(key: string, value: V, options?: SetOptions): MaybePromise<void>;
  abstract delete(key: string, options?: OpOptions): MaybePromise<boolean>;

  close(): MaybePromise<void> {
    return this.layer.close();
  }
}
