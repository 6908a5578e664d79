import type { Timers } from '@granary/resilience';
import type { Logger, MetricsCollector, Tracer } from '@granary/telemetry';
import type { ResilientLayerOptions } from '../../decorators/resilient-layer.js';
import type { InvalidationBus } from '../../invalidation/invalidation-bus.js';
import type { TagIndex } from '../../invalidation/tags.js';
import type { GetOptions, Layer, SetOptions } from '../../layer.js';
import type { AsyncWriterOptions, AsyncWriterStats } from '../../writer/async-writer-options.js';
import type { LoadDefaults } from './load-options.js';
import type { TtlStrategy } from './ttl-strategy.js';
import type { WarmingStrategy } from './warming-strategy.js';

/** A layer with what is special about it in this chain. */
export interface LayerInChain<V> {
  readonly layer: Layer<V>;
  /** Writes don't wait for this layer: they go through an `AsyncWriter` with these options over the chain's `writers`. */
  readonly writeBehind?: AsyncWriterOptions<V> | true | undefined;
  /** A timeout and a breaker around this layer, instead of the chain's; false for none. */
  readonly resilience?: ResilientLayerOptions | false | undefined;
  /** Whether other processes use the same values, so that what they change needn't be dropped. Default: as the layer says. */
  readonly shared?: boolean | undefined;
}

export interface ChainOptions<V> extends LoadDefaults {
  /** From fast to slow; at least one. */
  readonly layers: readonly (Layer<V> | LayerInChain<V>)[];
  /** How long values are fresh, in milliseconds, where a write doesn't say. Default: as each layer was made. */
  readonly ttlMs?: number | undefined;
  /** How much longer they may be answered when nothing newer is to be had, in milliseconds. Default 0. */
  readonly graceMs?: number | undefined;
  /**
   * Shortens each lifetime by up to this fraction (0 to 1), at random, so that what was written together doesn't end
   * together. Default 0.
   */
  readonly ttlJitter?: number | undefined;
  /** How long each layer keeps a value. Default `uniformTtl`. */
  readonly ttlStrategy?: TtlStrategy | undefined;
  /** Which values are brought up to the layers above the one that had them. Default `warmAlways`. */
  readonly warming?: WarmingStrategy<V> | undefined;
  /** For the writers of all layers with `writeBehind`. */
  readonly writers?: AsyncWriterOptions<V> | undefined;
  /** A timeout and a breaker around every layer but memory; `{}` for their defaults. Default: none. */
  readonly resilience?: ResilientLayerOptions | undefined;
  /** Most loads and writes that nobody waits for. Beyond it, loads wait for their writes and warm-ups are left out. Default 1000. */
  readonly maxBackground?: number | undefined;
  /** How long `close` waits for writes under way, in milliseconds; writers have their own. Default 5000. */
  readonly closeTimeoutMs?: number | undefined;
  /** Default: nobody; then nothing is timed. */
  readonly metrics?: MetricsCollector | undefined;
  /** Told of failures of layers (`debug`) and of work in the background (`warning`). Default: nobody. */
  readonly logger?: Logger | undefined;
  /** Makes spans for what leaves memory: look-ups and loads. Default: none. */
  readonly tracer?: Tracer | undefined;
  /** Tells other processes what was changed, and this one what others changed. The chain doesn't close it. */
  readonly bus?: InvalidationBus | undefined;
  /** Which keys have which tag. The chain doesn't close one that it is given. Default: an index in memory. */
  readonly tags?: TagIndex | undefined;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  /** For loader timeouts. Default: timers that all timeouts share, at most 10 ms late. */
  readonly timers?: Timers | undefined;
  /** From 0 to 1, for jitter. Default `Math.random`. */
  readonly random?: (() => number) | undefined;
}

export interface ChainGetOptions extends GetOptions {
  /** Rejects with a `KeyNotFoundError` where there is no value. Default false. */
  readonly required?: boolean | undefined;
}

export interface ChainSetOptions extends SetOptions {
  /** For `deleteByTag`; at most 64. */
  readonly tags?: readonly string[] | undefined;
}

export interface ChainStats {
  /** Answered from a layer, by `get`, `getOrLoad` and `getMany`. */
  readonly hits: number;
  readonly misses: number;
  /** By layer name. */
  readonly hitsByLayer: Readonly<Record<string, number>>;
  /** Times that loaders were called, and how many of them failed. */
  readonly loads: number;
  readonly loadFailures: number;
  /** Callers, or groups of them, who were answered with something stale. */
  readonly staleAnswers: number;
  /** Loads under way. */
  readonly loading: number;
  /** Loads and writes under way that nobody waits for. */
  readonly background: number;
  /** Warm-ups that were left out because too much was under way. */
  readonly droppedWarmUps: number;
  /** Of the layers with `writeBehind`, by name. */
  readonly writers: Readonly<Record<string, AsyncWriterStats>>;
}
