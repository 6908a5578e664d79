import { checkNumber } from '@granary/resilience';

/**
 * How long one layer keeps a value, in milliseconds, asked at each write and warm-up. An answer longer than `ttlMs` is
 * cut to it, because no layer may keep a value longer than the one that it comes from.
 *
 * @param ttlMs how long the value lives in the layer that it comes from; at a write, how long it was given to live
 * @param layer index of the layer, 0 for the first
 * @param source index of the layer that the value comes from; at a write, of the last one
 * @param name the layer's name
 */
export type TtlStrategy = (ttlMs: number, layer: number, source: number, name: string) => number;

/** Every layer keeps a value as long as it lives. The default. */
export const uniformTtl: TtlStrategy = (ttlMs) => ttlMs;

/**
 * Each layer keeps a value for this fraction of the time of the layer below it: with 0.5, three layers keep what lives
 * an hour for 15, 30 and 60 minutes.
 *
 * @throws InvalidOptionError unless 0 < factor < 1, because others decay nothing
 */
export function decayingTtl(factor = 0.5): TtlStrategy {
  checkNumber('factor', factor, factor > 0 && factor < 1, 'a number between 0 and 1');
  return (ttlMs, layer, source) => ttlMs * factor ** Math.max(source - layer, 0);
}

/**
 * At most this many milliseconds in each layer, by its name; a layer without a limit keeps a value as long as it lives.
 *
 * @throws InvalidOptionError that names the layer whose limit isn't above 0
 */
export function ttlPerLayer(limits: Readonly<Record<string, number>>): TtlStrategy {
  for (const [name, limit] of Object.entries(limits)) {
    checkNumber(name, limit, limit > 0, 'a number of milliseconds above 0');
  }
  const byName = new Map(Object.entries(limits));
  return (ttlMs, _layer, _source, name) => Math.min(ttlMs, byName.get(name) ?? ttlMs);
}
