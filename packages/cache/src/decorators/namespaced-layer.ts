import { InvalidOptionError } from '@granary/resilience';
import type { GetOptions, Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';
import { LayerDecorator } from './layer-decorator.js';
import { whenAnswered } from './when-answered.js';

export interface NamespacedLayerOptions {
  /** Default: that of the layer inside. */
  readonly name?: string | undefined;
}

/**
 * Gives its users keys of their own in a layer that others use too: each key gets `namespace:` in front. So it is longer
 * by that, for a layer that minds the length of keys. There is a `clear` only where the layer inside has a `clearPrefix`,
 * as Granary's own have; it removes the keys of the namespace and no others.
 *
 * It doesn't close the layer inside, which isn't its own.
 */
export class NamespacedLayer<V> extends LayerDecorator<V> {
  readonly #prefix: string;

  /**
   * @param namespace at least one character, and no colon: else `a` with the key `b:c` would be `a:b` with the key `c`
   * @throws InvalidOptionError
   */
  constructor(layer: Layer<V>, namespace: string, options: NamespacedLayerOptions = {}) {
    if (typeof namespace !== 'string' || namespace === '' || namespace.includes(':')) {
      throw new InvalidOptionError(
        'namespace',
        'a text of at least one character, without a colon',
        JSON.stringify(namespace),
      );
    }
    const prefix = `${namespace}:`;
    const inside = (key: string) => prefix + key;
    const outside = (key: string) => key.slice(prefix.length);
    super(layer, options.name);
    this.#prefix = prefix;
    if (layer.getEntry) this.getEntry = (key, opts) => layer.getEntry?.(inside(key), opts);
    const { getMany, readMany, setMany, deleteMany, clearPrefix } = layer;
    if (getMany) {
      this.getMany = (keys, opts) =>
        whenAnswered(
          getMany.call(layer, keys.map(inside), opts),
          (found) => new Map(Array.from(found, ([key, entry]) => [outside(key), entry])),
        );
    }
    if (readMany) this.readMany = (keys, opts) => readMany.call(layer, keys.map(inside), opts);
    if (setMany) {
      this.setMany = (values, opts) =>
        setMany.call(layer, new Map(Array.from(values, ([key, value]) => [inside(key), value])), opts);
    }
    if (deleteMany) this.deleteMany = (keys, opts) => deleteMany.call(layer, keys.map(inside), opts);
    if (clearPrefix) {
      this.clear = (opts) => clearPrefix.call(layer, prefix, opts);
      this.clearPrefix = (further, opts) => clearPrefix.call(layer, inside(further), opts);
    }
  }

  override get(key: string, options?: GetOptions): MaybePromise<V | undefined> {
    return this.layer.get(this.#prefix + key, options);
  }

  override set(key: string, value: V, options?: SetOptions): MaybePromise<void> {
    return this.layer.set(this.#prefix + key, value, options);
  }

  override delete(key: string, options?: OpOptions): MaybePromise<boolean> {
    return this.layer.delete(this.#prefix + key, options);
  }

  override close(): void {}
}
