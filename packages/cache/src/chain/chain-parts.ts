import { coarseTimers, endsWithin, quietly, type Timers, wholeNumber } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import type { CacheClosedError } from '../errors.js';
import type { InvalidationMessage } from '../invalidation/invalidation-bus.js';
import { LocalTagIndex } from '../invalidation/local-tag-index.js';
import { TagDeletions } from '../invalidation/tag-deletions.js';
import type { TagIndex } from '../invalidation/tags.js';
import type { AsyncWriterStats } from '../writer/async-writer-options.js';
import { Background } from './background.js';
import { ChainSpans } from './chain-spans.js';
import { Loads } from './loads/loads.js';
import { Lookups } from './lookups.js';
import type { ChainOptions, ChainStats } from './options/chain-options.js';
import { checkMs, checkStrategy } from './options/check-options.js';
import { Lifetimes } from './options/lifetimes.js';
import { checkLoadDefaults, type LoadOptions } from './options/load-options.js';
import { warmAlways } from './options/warming-strategy.js';
import { Recorder } from './recorder.js';
import { layersInChain } from './storeys/layers-in-chain.js';
import { makeStorey } from './storeys/make-storey.js';
import type { ReportFailure, Storey } from './storeys/storey.js';
import { Tickets } from './tickets.js';
import { Writes } from './writes.js';

/** What a chain is made of, put together and taken apart. */
export class ChainParts<V> {
  readonly storeys: readonly Storey<V>[];
  readonly lifetimes: Lifetimes;
  readonly lookups: Lookups<V>;
  readonly loads: Loads<V>;
  readonly writes: Writes<V>;
  readonly recorder: Recorder | undefined;
  readonly loadDefaults: LoadOptions;
  readonly clock: () => number;
  readonly #background: Background;
  readonly #tickets = new Tickets();
  readonly #tags: TagIndex;
  readonly #closesTags: boolean;
  readonly #unsubscribe: (() => void) | undefined;
  readonly #closeTimeoutMs: number;
  readonly #timers: Timers;
  readonly #logger: Logger;

  /** @throws InvalidOptionError that names the option */
  constructor(options: ChainOptions<V>) {
    const { clock = Date.now, timers = coarseTimers, logger = nullLogger, bus, metrics } = options;
    const { closeTimeoutMs = 5000 } = options;
    checkMs('closeTimeoutMs', closeTimeoutMs);
    checkStrategy('warming', options.warming, 'warmAlways');
    checkLoadDefaults(options);
    const { softTimeoutMs, hardTimeoutMs, staleWhileRevalidate, earlyRefresh, errorTtlMs } = options;
    this.loadDefaults = { softTimeoutMs, hardTimeoutMs, staleWhileRevalidate, earlyRefresh, errorTtlMs };
    const layers = layersInChain(options);
    const lifetimes = new Lifetimes(
      options,
      layers.map(({ layer }) => layer),
    );
    const background = new Background(wholeNumber('maxBackground', options.maxBackground ?? 1000));
    const recorder = metrics === undefined || metrics.enabled === false ? undefined : new Recorder(metrics);
    const spans = ChainSpans.of(options.tracer);
    const tickets = this.#tickets;
    this.clock = clock;
    this.lifetimes = lifetimes;
    this.recorder = recorder;
    this.#background = background;
    this.#tags = options.tags ?? new LocalTagIndex({ clock });
    this.#closesTags = options.tags === undefined;
    this.#closeTimeoutMs = closeTimeoutMs;
    this.#timers = timers;
    this.#logger = logger;

    const report: ReportFailure = (layer, operation, error) => {
      quietly(() => logger.debug('{Layer} failed to {Operation}', layer, operation, error));
    };
    const { resilience, writers } = options;
    const shared = { metrics, resilience, writers, recorder, report, clock, timers, logger };
    const storeys = layers.map((layer, index) => makeStorey(layer, index, shared));
    this.storeys = storeys;
    const warming = options.warming ?? warmAlways;
    this.lookups = new Lookups<V>({ storeys, lifetimes, warming, tickets, background, recorder, spans, clock });
    const deletions = new TagDeletions();
    const listener = (message: InvalidationMessage) => this.#invalidate(message);
    this.writes = new Writes<V>({
      storeys,
      lifetimes,
      tags: this.#tags,
      deletions,
      bus,
      listener,
      supersede: (key) => this.#supersede(key),
      supersedeAll: () => this.#supersedeAll(),
      supersedeTag: (tag) => {
        for (const key of this.loads.keysWith(tag)) this.#supersede(key);
      },
      clock,
      report,
    });
    this.loads = new Loads<V>(
      {
        store: (load, value) => this.writes.store(load, value),
        forget: (key) => this.writes.forget(key),
        mark: () => deletions.mark(),
        failed: (operation, error) =>
          quietly(() => logger.warning('Failed to {Operation} in the background', operation, error)),
      },
      { background, tickets, timers, clock, spans },
    );
    this.#unsubscribe = bus?.subscribe(listener);
  }

  /** Waits for what nobody waits for, and for what is written behind; whether all of it was done in time. */
  async flush(timeoutMs: number): Promise<boolean> {
    const deadline = performance.now() + timeoutMs;
    const idle = await endsWithin(timeoutMs, this.#background.idle(), this.#timers);
    const left = Math.max(deadline - performance.now(), 1);
    const flushed = await Promise.all(this.storeys.map((storey) => storey.writer?.flush(left) ?? true));
    return idle && flushed.every(Boolean);
  }

  /** @param error for those who wait for loads and look-ups */
  async close(error: CacheClosedError): Promise<void> {
    if (this.#unsubscribe !== undefined) quietly(this.#unsubscribe);
    this.loads.close(error);
    this.lookups.close(error);
    await endsWithin(this.#closeTimeoutMs, this.#underWay(), this.#timers);
    const closed = await Promise.allSettled(this.storeys.map((storey) => storey.close()));
    if (this.#closesTags) await this.#tags.close();
    const failed = closed.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  stats(hits: readonly number[], misses: number): ChainStats {
    const { storeys, loads, lookups } = this;
    return {
      hits: hits.reduce((sum, count) => sum + count, 0),
      misses,
      hitsByLayer: Object.fromEntries(storeys.map(({ name }, i) => [name, hits[i] ?? 0])),
      loads: loads.started,
      loadFailures: loads.failures,
      staleAnswers: loads.staleAnswers,
      loading: loads.size,
      background: this.#background.size,
      droppedWarmUps: lookups.droppedWarmUps,
      writers: writerStats(storeys),
    };
  }

  /** Others have changed something. */
  #invalidate(message: InvalidationMessage): void {
    const done = this.writes.invalidate(message).catch((error: unknown) => {
      quietly(() => this.#logger.warning('Failed to drop what others changed', error));
    });
    this.#background.add(done);
  }

  #supersede(key: string): void {
    this.#tickets.supersede(key);
    this.lookups.supersede(key);
    this.loads.supersede(key);
  }

  #supersedeAll(): void {
    this.#tickets.supersedeAll();
    this.lookups.supersedeAll();
    this.loads.supersedeAll();
  }

  async #underWay(): Promise<void> {
    await this.#background.idle();
    await this.writes.idle();
    await Promise.all(this.storeys.map((storey) => storey.idle()));
  }
}

function writerStats<V>(storeys: readonly Storey<V>[]): Record<string, AsyncWriterStats> {
  const stats: Record<string, AsyncWriterStats> = {};
  for (const { name, writer } of storeys) if (writer !== undefined) stats[name] = writer.stats();
  return stats;
}
