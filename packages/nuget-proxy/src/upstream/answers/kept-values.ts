import { type Chain, createChain, type Entry, type Layer } from '@granary/cache';
import type { Timers } from '@granary/resilience';
import { type Logger, type MetricsCollector, nullLogger, type Tracer } from '@granary/telemetry';
import type { Shape } from './answer-shapes.js';

/** What a source answered, as plain JSON. Never changed. */
export interface Kept {
  /** When it was asked, in milliseconds since 1970. */
  readonly asOf: number;
  /** Null when it said that there is nothing. */
  readonly value: unknown;
  /** Something was changed at the source since: only for when it can't be asked. */
  readonly outdated?: true | undefined;
}

/** Where something is kept, and what it looks like. */
export interface Place {
  readonly key: string;
  readonly shape: Shape;
}

export interface KeptValuesOptions {
  readonly source: string;
  readonly layers: readonly Layer<Kept>[];
  readonly maxWaitMs: number;
  readonly restMs: number;
  readonly logger: Logger;
  readonly collector: MetricsCollector | undefined;
  readonly tracer: Tracer | undefined;
  readonly clock: () => number;
  readonly timers: Timers | undefined;
}

/** Stale answers are kept for as long as there is room for them: ten years are more than any disk sees. */
export const GRACE_MS = 10 * 365 * 24 * 60 * 60_000;

/** How long it is remembered that a question failed which has no answer at all, in milliseconds: who asks it needs one. */
const FAILURE_TTL_MS = 1000;

/** The answers of one source in their layers. What is there and makes no sense isn't there; what can't be kept isn't. */
export class KeptValues {
  readonly chain: Chain<Kept>;
  readonly #options: KeptValuesOptions;
  /** What came from a layer and was looked at, or from the source. */
  readonly #checked = new WeakSet<Kept>();
  /** Whether the first layer answers at once, as far as it was asked. */
  #isMemoryFirst = true;

  constructor(options: KeptValuesOptions) {
    const { layers, maxWaitMs, restMs, logger, collector, tracer, clock, timers } = options;
    this.#options = options;
    this.chain = createChain<Kept>({
      layers,
      graceMs: GRACE_MS,
      hardTimeoutMs: maxWaitMs,
      errorTtlMs: Math.min(restMs, FAILURE_TTL_MS),
      metrics: collector,
      logger: forDebugging(logger),
      tracer,
      clock,
      timers,
    });
  }

  /** A value that is known to make sense. */
  trust(kept: Kept): void {
    this.#checked.add(kept);
  }

  makesSense(kept: Kept, shape: Shape): boolean {
    if (this.#checked.has(kept)) return true;
    if (typeof kept !== 'object' || kept === null || typeof kept.asOf !== 'number') return false;
    if (kept.value !== null && !shape(kept.value)) return false;
    this.#checked.add(kept);
    return true;
  }

  /** What is fresh and in memory. */
  atHand({ key, shape }: Place): Kept | undefined {
    const [memory] = this.#options.layers;
    if (!this.#isMemoryFirst || memory === undefined) return undefined;
    const there = memory.get(key);
    if (there === undefined) return undefined;
    // The chain counts it.
    const kept = there instanceof Promise ? there : this.chain.get(key);
    if (!(kept instanceof Promise)) return kept !== undefined && this.makesSense(kept, shape) ? kept : undefined;
    this.#isMemoryFirst = !(there instanceof Promise);
    kept.catch(() => {});
    return undefined;
  }

  /** The newest that there is, however old. */
  async last({ key, shape }: Place): Promise<Kept | undefined> {
    let best: Kept | undefined;
    for (const layer of this.#options.layers) {
      const kept = (await entryIn(layer, key))?.value;
      if (kept === undefined || !this.makesSense(kept, shape)) continue;
      if (best === undefined || kept.asOf > best.asOf) best = kept;
    }
    return best;
  }

  /** @param ttlMs how long it is fresh. Default: for ever */
  async write(key: string, kept: Kept, ttlMs?: number): Promise<void> {
    try {
      await this.chain.set(key, kept, ttlMs === undefined ? undefined : { ttlMs, graceMs: GRACE_MS });
    } catch (error) {
      this.#couldNot('keep', key, error);
    }
  }

  async drop(key: string): Promise<void> {
    try {
      await this.chain.delete(key);
    } catch (error) {
      this.#couldNot('forget', key, error);
    }
  }

  /**
   * Has a layer that takes it for fresh take it for stale: it was written with a longer lifetime, before the configuration
   * was changed, or by a clock that was ahead. Whether there is such a layer.
   */
  async expire({ key, shape }: Place, kept: Kept): Promise<boolean> {
    const now = this.#options.clock();
    for (const layer of this.#options.layers) {
      const entry = await entryIn(layer, key);
      if (entry === undefined || (entry.expiresAt ?? Number.POSITIVE_INFINITY) <= now) continue;
      if (!this.makesSense(entry.value, shape) || entry.value.asOf !== kept.asOf) continue;
      await this.write(key, { ...kept, asOf: Math.min(kept.asOf, now), outdated: true }, 0);
      return true;
    }
    return false;
  }

  /** Leaves what there was for when the source can't be asked, but not that there was nothing. */
  async outdate(place: Place): Promise<void> {
    const kept = await this.last(place);
    if (kept === undefined || kept.value === null) await this.drop(place.key);
    else await this.write(place.key, { ...kept, outdated: true }, 0);
  }

  #couldNot(what: string, key: string, error: unknown): void {
    const { logger, source } = this.#options;
    logger.warning('Could not {What} {Key} of {Source}', what, key, source, error);
  }
}

/** A layer that fails hasn't got it. */
async function entryIn(layer: Layer<Kept>, key: string): Promise<Entry<Kept> | undefined> {
  try {
    if (layer.getEntry !== undefined) return await layer.getEntry(key);
    const value = await layer.get(key);
    return value === undefined ? undefined : { value, expiresAt: undefined };
  } catch {
    return undefined;
  }
}

/**
 * For the chain, which warns of each question that fails behind a stale answer: while a source is gone these are all that
 * anybody asks, and neither names the source. That it fails is told once, by its health.
 */
function forDebugging(logger: Logger): Logger {
  const debug = (template: string, ...values: readonly unknown[]) => logger.debug(template, ...values);
  return { ...nullLogger, debug, warning: debug };
}
