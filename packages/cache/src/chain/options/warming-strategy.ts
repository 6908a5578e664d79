import { checkNumber, wholeNumber } from '@granary/resilience';

/**
 * Whether a value that was found in a slower layer is written to a faster one, asked for each of them. What it throws
 * counts as no.
 *
 * @param layer name of the faster layer
 */
export type WarmingStrategy<V = unknown> = (key: string, value: V, layer: string) => boolean;

/** Every value is brought up. The default. */
export const warmAlways: WarmingStrategy = () => true;

/** None is. */
export const warmNever: WarmingStrategy = () => false;

/**
 * Only values of at most so many bytes are brought up, so that one large value doesn't push out a thousand small ones.
 *
 * @param sizeOf bytes of a value
 * @throws InvalidOptionError when `maxBytes` isn't a number of at least 0
 */
export function warmBySize<V>(maxBytes: number, sizeOf: (value: V) => number): WarmingStrategy<V> {
  checkNumber('maxBytes', maxBytes, maxBytes >= 0, 'a number of at least 0');
  return (_key, value) => sizeOf(value) <= maxBytes;
}

export interface WarmByAccessCountOptions {
  /** Most keys that are counted, some 100 bytes each; the one found longest ago is forgotten first. Default 10,000. */
  readonly maxKeys?: number | undefined;
}

/**
 * A value is brought up to a layer when it was found below that layer for the so-manieth time, so that what is read once
 * doesn't push out what is read often.
 *
 * @throws InvalidOptionError that names the option
 */
export function warmByAccessCount(
  accesses: number,
  { maxKeys = 10_000 }: WarmByAccessCountOptions = {},
): WarmingStrategy {
  wholeNumber('accesses', accesses);
  wholeNumber('maxKeys', maxKeys);
  /** By layer, because one value may be brought up through several; the least recently counted key first. */
  const byLayer = new Map<string, Map<string, number>>();
  return (key, _value, layer) => {
    let counts = byLayer.get(layer);
    if (counts === undefined) {
      counts = new Map();
      byLayer.set(layer, counts);
    }
    const count = (counts.get(key) ?? 0) + 1;
    counts.delete(key);
    if (count >= accesses) return true;
    counts.set(key, count);
    if (counts.size > maxKeys) for (const oldest of counts.keys()) return forget(counts, oldest);
    return false;
  };
}

function forget(counts: Map<string, number>, key: string): false {
  counts.delete(key);
  return false;
}
