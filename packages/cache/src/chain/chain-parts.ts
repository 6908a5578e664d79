import { coarseTimers, InvalidOptionError, quietly, type Timers, wholeNumber } from '@granary/resilience';
import { nullLogger } from '@granary/telemetry';
import { ResilientLayer } from '../decorators/resilient-layer.js';
import type { CacheClosedError } from '../errors.js';
import type { InvalidationListener } from '../invalidation/invalidation-bus.js';
import { LocalTagIndex } from '../invalidation/local-tag-index.js';
import { TagDeletions } from '../invalidation/tag-deletions.js';
import type { Layer } from '../layer.js';
import { MemoryLayer } from '../layers/memory-layer.js';
import { AsyncWriter } from '../writer/async-writer.js';
import { type AsyncWriterStats, MAX_TIMER_MS } from '../writer/async-writer-options.js';
import { Background } from './background.js';
import type { ChainOptions, ChainStats, LayerInChain } from './chain-options.js';
import { ChainSpans } from './chain-spans.js';
import { Lifetimes } from './lifetimes.js';
import { checkLoadDefaults, type LoadOptions } from './load-options.js';
import { Loads } from './loads.js';
import { Lookups } from './lookups.js';
import { checkMs } from './options.js';
import { Recorder } from './recorder.js';
import { type ReportFailure, Storey } from './storey.js';
import { Tickets } from './tickets.js';
import { warmAlways } from './warming-strategy.js';
import { Writes } from './writes.js';

/** What a chain is made of, put together and taken apart. */
export interface ChainParts<V> {
  readonly storeys: readonly Storey<V>[];
  readonly lifetimes: Lifetimes;
  readonly lookups: Lookups<V>;
  readonly loads: Loads<V>;
  readonly writes: Writes<V>;
  readonly recorder: Recorder | undefined;
  readonly loadDefaults: LoadOptions;
  readonly clock: () => number;
  flush(timeoutMs: number): Promise<boolean>;
  close(error: CacheClosedError): Promise<void>;
  stats(hits: readonly number[], misses: number): ChainStats;
}

/** @throws InvalidOptionError that names the option */
export function chainParts<V>(options: ChainOptions<V>): ChainParts<V> {
  const { clock = Date.now, timers = coarseTimers, logger = nullLogger, bus, metrics } = options;
  const { closeTimeoutMs = 5000 } = options;
  checkMs('closeTimeoutMs', closeTimeoutMs);
  checkLoadDefaults(options);
  const { softTimeoutMs, hardTimeoutMs, staleWhileRevalidate, earlyRefresh, errorTtlMs } = options;
  const loadDefaults = { softTimeoutMs, hardTimeoutMs, staleWhileRevalidate, earlyRefresh, errorTtlMs };
  const layers = checkLayers(options);
  const lifetimes = new Lifetimes(
    options,
    layers.map(({ layer }) => layer),
  );
  const background = new Background(wholeNumber('maxBackground', options.maxBackground ?? 1000));
  const recorder = metrics === undefined || metrics.enabled === false ? undefined : new Recorder(metrics);
  const spans = ChainSpans.of(options.tracer);
  const report: ReportFailure = (layer, operation, error) => {
    quietly(() => logger.debug('{Layer} failed to {Operation}', layer, operation, error));
  };
  const storeys = layers.map((layer, index) => makeStorey(layer, index));
  const tickets = new Tickets();
  const deletions = new TagDeletions();
  const tags = options.tags ?? new LocalTagIndex({ clock });
  const lookups = new Lookups<V>({
    storeys,
    lifetimes,
    warming: options.warming ?? warmAlways,
    tickets,
    background,
    recorder,
    spans,
    clock,
  });
  const supersede = (key: string) => {
    tickets.supersede(key);
    lookups.supersede(key);
    loads.supersede(key);
  };
  const supersedeAll = () => {
    tickets.supersedeAll();
    lookups.supersedeAll();
    loads.supersedeAll();
  };
  const supersedeTag = (tag: string) => {
    for (const key of loads.keysWith(tag)) supersede(key);
  };
  const listener: InvalidationListener = (message) => {
    const done = writes.invalidate(message).catch((error: unknown) => {
      quietly(() => logger.warning('Failed to drop what others changed', error));
    });
    background.add(done);
  };
  const writes = new Writes<V>({
    storeys,
    lifetimes,
    tags,
    deletions,
    bus,
    listener,
    supersede,
    supersedeAll,
    supersedeTag,
    clock,
    report,
  });
  const loads = new Loads<V>(
    {
      store: (load, value) => writes.store(load, value),
      forget: (key) => writes.forget(key),
      mark: () => deletions.mark(),
      failed: (operation, error) =>
        quietly(() => logger.warning('Failed to {Operation} in the background', operation, error)),
    },
    { background, tickets, timers, clock, spans },
  );
  const unsubscribe = bus?.subscribe(listener);

  function makeStorey({ layer, resilience, writeBehind, shared }: LayerInChain<V>, index: number): Storey<V> {
    // Memory neither hangs nor fails, and is the fastest without anything around it.
    const protection = resilience ?? (layer instanceof MemoryLayer ? false : options.resilience);
    const guarded = protection ? new ResilientLayer(layer, { metrics, timers, ...protection }) : layer;
    const writer = writeBehind && new AsyncWriter(guarded, writerOptions(writeBehind));
    const storey: Storey<V> = new Storey(guarded, {
      index,
      shared: shared ?? layer.shared ?? false,
      writer,
      recorder,
      report,
      clock,
    });
    return storey;

    function writerOptions(own: object | true) {
      const merged = { clock, metrics, timers, ...options.writers, ...(own === true ? {} : own) };
      const { onFailure } = merged as NonNullable<typeof options.writers>;
      return {
        ...merged,
        onFailure: (failure: Parameters<NonNullable<typeof onFailure>>[0]) => {
          storey.doubt(failure.key);
          const { layer, operation, error } = failure;
          quietly(() => logger.warning('{Layer} failed to {Operation} behind', layer, operation, error));
          return onFailure?.(failure);
        },
      };
    }
  }

  async function underWay(): Promise<void> {
    await background.idle();
    await Promise.all(storeys.map((storey) => storey.idle()));
  }

  return {
    storeys,
    lifetimes,
    lookups,
    loads,
    writes,
    recorder,
    loadDefaults,
    clock,
    flush: async (timeoutMs) => {
      const deadline = performance.now() + timeoutMs;
      const idle = await inTime(background.idle(), timeoutMs, timers);
      const left = Math.max(deadline - performance.now(), 1);
      const flushed = await Promise.all(storeys.map((storey) => storey.writer?.flush(left) ?? true));
      return idle && flushed.every(Boolean);
    },
    close: async (error) => {
      if (unsubscribe !== undefined) quietly(unsubscribe);
      loads.close(error);
      lookups.close(error);
      await inTime(underWay(), closeTimeoutMs, timers);
      const closed = await Promise.allSettled(storeys.map((storey) => storey.close()));
      if (options.tags === undefined) await tags.close();
      const failed = closed.find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
    stats: (hits, misses) => ({
      hits: hits.reduce((sum, count) => sum + count, 0),
      misses,
      hitsByLayer: Object.fromEntries(storeys.map(({ name }, i) => [name, hits[i] ?? 0])),
      loads: loads.started,
      loadFailures: loads.failures,
      staleAnswers: loads.staleAnswers,
      loading: loads.size,
      background: background.size,
      droppedWarmUps: lookups.droppedWarmUps,
      writers: writerStats(storeys),
    }),
  };
}

function checkLayers<V>({ layers }: ChainOptions<V>): LayerInChain<V>[] {
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

function writerStats<V>(storeys: readonly Storey<V>[]): Record<string, AsyncWriterStats> {
  const stats: Record<string, AsyncWriterStats> = {};
  for (const { name, writer } of storeys) if (writer !== undefined) stats[name] = writer.stats();
  return stats;
}

async function inTime(work: Promise<void>, timeoutMs: number, timers: Timers): Promise<boolean> {
  let timer: unknown;
  const late = new Promise<boolean>((resolve) => {
    timer = timers.setTimeout(() => resolve(false), Math.min(timeoutMs, MAX_TIMER_MS));
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    timers.clearTimeout(timer);
  }
}
