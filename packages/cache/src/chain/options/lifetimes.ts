import type { Layer, SetOptions } from '../../layer.js';
import type { Storey } from '../storeys/storey.js';
import type { ChainOptions } from './chain-options.js';
import { checkFraction, checkMs, checkStrategy } from './check-options.js';
import { type TtlStrategy, uniformTtl } from './ttl-strategy.js';

const NOTHING: SetOptions = {};

/** How long values live: what the chain or a write says, shortened by jitter once, and for each layer by its strategy. */
export class Lifetimes {
  readonly ttlMs: number | undefined;
  readonly graceMs: number | undefined;
  readonly #jitter: number;
  readonly #random: () => number;
  readonly #strategy: TtlStrategy;
  readonly #lowest: number;
  /** The longest of the layers' own. */
  readonly #layersTtlMs: number;
  readonly #layersGraceMs: number;

  constructor(options: Omit<ChainOptions<never>, 'layers'>, layers: readonly Pick<Layer<never>, 'lifetime'>[]) {
    checkMs('ttlMs', options.ttlMs, 'no zero');
    checkMs('graceMs', options.graceMs);
    checkFraction('ttlJitter', options.ttlJitter);
    checkStrategy('ttlStrategy', options.ttlStrategy, 'uniformTtl');
    this.ttlMs = options.ttlMs;
    this.graceMs = options.graceMs;
    this.#jitter = options.ttlJitter ?? 0;
    this.#random = options.random ?? Math.random;
    this.#strategy = options.ttlStrategy ?? uniformTtl;
    this.#lowest = layers.length - 1;
    this.#layersTtlMs = Math.max(...layers.map(({ lifetime }) => lifetime?.ttlMs ?? Number.POSITIVE_INFINITY));
    this.#layersGraceMs = Math.max(...layers.map(({ lifetime }) => lifetime?.graceMs ?? 0));
  }

  /** The lifetime of a new value, the same for all layers before their strategy. */
  ofWrite(ttlMs: number | undefined): number | undefined {
    const ms = ttlMs ?? this.ttlMs;
    return ms === undefined || this.#jitter === 0 ? ms : ms * (1 - this.#jitter * this.#random());
  }

  /**
   * The longest that a value may be in any layer, stale or not, in milliseconds. What is brought up from below has the
   * grace of the chain or of the layer, and not that of its write.
   */
  longest(ttlMs: number | undefined, graceMs: number | undefined): number {
    return (ttlMs ?? this.#layersTtlMs) + Math.max(graceMs ?? 0, this.graceMs ?? this.#layersGraceMs);
  }

  /** Options for writing what lives `ttlMs` in the layer `source` to another one. */
  inLayer(
    storey: Pick<Storey<unknown>, 'index' | 'name'>,
    ttlMs: number | undefined,
    graceMs: number | undefined,
    source: number = this.#lowest,
    signal?: AbortSignal,
  ): SetOptions {
    const grace = graceMs ?? this.graceMs;
    if (ttlMs === undefined) {
      return grace === undefined && signal === undefined ? NOTHING : { graceMs: grace, signal };
    }
    const wanted = this.#strategy(ttlMs, storey.index, source, storey.name);
    return { ttlMs: wanted < ttlMs && wanted > 0 ? wanted : ttlMs, graceMs: grace, signal };
  }
}
