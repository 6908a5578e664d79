import { InvalidOptionError } from '@granary/resilience';
import type { Layer } from '../../layer.js';
import type { ChainOptions, LayerInChain } from '../options/chain-options.js';

/**
 * The layers of a chain, each with what is special about it.
 *
 * @throws InvalidOptionError unless there is at least one, and all have names of their own
 */
export function layersInChain<V>({ layers }: ChainOptions<V>): LayerInChain<V>[] {
  if (!Array.isArray(layers) || layers.length === 0) {
    throw new InvalidOptionError('layers', 'an array of at least one layer', Array.isArray(layers) ? 'empty' : layers);
  }
  // A decorator has a layer, too, and is one all the same.
  const all = layers.map((layer: Layer<V> | LayerInChain<V>) => (isLayer<V>(layer) ? { layer } : layer));
  const names = new Set<string>();
  for (const entry of all) {
    if (!isLayer<V>(entry?.layer)) throw new InvalidOptionError('layers', 'layers, or objects with one', entry);
    const { layer } = entry;
    if (names.has(layer.name)) {
      const expected = 'of different names, which the option name of each says';
      throw new InvalidOptionError('layers', expected, `${layer.name} twice`);
    }
    names.add(layer.name);
  }
  return all;
}

function isLayer<V>(value: unknown): value is Layer<V> {
  return typeof (value as Partial<Layer<V>> | null | undefined)?.get === 'function';
}
