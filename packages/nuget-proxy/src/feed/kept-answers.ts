import {
  type Chain,
  type ChainOptions,
  createChain,
  type Entry,
  isTimeout,
  type Layer,
  type LoadContext,
  MemoryLayer,
} from '@granary/cache';
import { isNuGetError } from '@granary/nuget';
import type { Logger, MetricsCollector, Span, Tracer } from '@granary/telemetry';
import { FeedUnavailableError } from '../errors.js';
import type { Answer, CacheState, FeedCall } from './feed-content.js';
import { unavailable } from './upstream-failures.js';
import type { UpstreamHealth } from './upstream-health.js';

/** What a source answered, as plain JSON. Never changed. */
export interface Kept {
  /** When it was asked, in milliseconds since 1970. */
  readonly asOf: number;
  /** Null when it said that there is nothing. */
  readonly value: unknown;
}

/** Something that a source can be asked. */
export interface Question<T> {
  /** Tells what is asked, in at most 250 characters. */
  readonly key: string;
  /** How long an answer is fresh, in milliseconds. */
  readonly ttlMs: number;
  /** Asks the source; undefined when it says that there is nothing. What it gives is plain JSON. */
  readonly ask: (call: { readonly signal: AbortSignal; readonly span: Span | undefined }) => Promise<T | undefined>;
}

export interface KeptAnswersOptions {
  readonly source: string;
  readonly layers: readonly Layer<Kept>[];
  readonly health: UpstreamHealth;
  readonly notFoundTtlMs: number;
  readonly staleAfterMs: number;
  readonly maxWaitMs: number;
  readonly restMs: number;
  readonly offline: boolean;
  readonly logger: Logger;
  readonly collector: MetricsCollector | undefined;
  readonly tracer: Tracer | undefined;
  readonly clock: () => number;
  readonly timers: ChainOptions<Kept>['timers'];
}

/** Stale answers are kept for as long as there is room for them: ten years are more than any disk sees. */
const GRACE_MS = 10 * 365 * 24 * 60 * 60_000;
/** For answers that are given again without asking, while a source rests: an estimate, in bytes. */
const MAX_RESTING_BYTES = 64 * 1024 * 1024;

/** How an answer came that was asked for in this process, and with which number. */
interface Arrival {
  readonly number: number;
  readonly state: 'miss' | 'revalidated';
}

/**
 * The answers of one source: fresh ones are given as they are, others only when the source can't give a better one
 * soon. "There is nothing" is an answer too. All who ask the same thing at once cause one request.
 */
export class KeptAnswers {
  readonly #options: KeptAnswersOptions;
  readonly #chain: Chain<Kept>;
  /** Stale answers of questions that the source failed at a moment ago. */
  readonly #resting: MemoryLayer<Kept>;
  readonly #arrivals = new WeakMap<Kept, Arrival>();
  #arrived = 0;

  constructor(options: KeptAnswersOptions) {
    const { layers, maxWaitMs, restMs, logger, collector, tracer, clock, timers } = options;
    this.#options = options;
    this.#chain = createChain<Kept>({
      layers,
      graceMs: GRACE_MS,
      hardTimeoutMs: maxWaitMs,
      errorTtlMs: restMs,
      metrics: collector,
      logger,
      tracer,
      clock,
      timers,
    });
    this.#resting = new MemoryLayer<Kept>({ maxBytes: MAX_RESTING_BYTES, maxEntries: 10_000, clock });
  }

  /**
   * Undefined when the source says, or said when it last could, that there is nothing.
   *
   * @throws FeedUnavailableError when it can't be asked and never was
   */
  async ask<T>(question: Question<T>, call: FeedCall = {}): Promise<Answer<T> | undefined> {
    const { key, ttlMs } = question;
    const { health, offline, staleAfterMs, source } = this.#options;
    call.signal?.throwIfAborted();
    const resting = this.#resting.get(key);
    if (resting !== undefined) return this.#answer<T>(resting, ttlMs, this.#arrived);
    if (offline) return this.#answerOffline<T>(question);
    const before = this.#arrived;
    let kept: Kept;
    try {
      kept = await this.#chain.getOrLoad(key, (context) => this.#load(question, context), {
        ttlMs,
        signal: call.signal,
        span: call.span,
        softTimeoutMs: staleAfterMs,
        staleWhileRevalidate: health.isSuspect,
      });
    } catch (error) {
      call.signal?.throwIfAborted();
      throw unavailable(source, error);
    }
    // What failed rests; what is stale and doesn't was given because nobody waits any longer.
    const isSlow = this.#stateOf(kept, ttlMs, before) === 'stale' && this.#resting.get(key) === undefined;
    if (isSlow) health.tookTooLong();
    return this.#answer<T>(kept, ttlMs, before);
  }

  /** An answer that is fresh, without asking for one. */
  async fresh<T>(key: string): Promise<T | undefined> {
    const kept = await this.#chain.get(key);
    return (kept?.value ?? undefined) as T | undefined;
  }

  /** Whether the source said lately, or at some time, that there is no such thing. */
  async missing(key: string): Promise<'fresh' | 'stale' | undefined> {
    const kept = await this.last(key);
    if (kept === undefined || kept.value !== null) return undefined;
    const { clock, notFoundTtlMs } = this.#options;
    return clock() - kept.asOf < notFoundTtlMs ? 'fresh' : 'stale';
  }

  /** The source has just said that there is no such thing. */
  async noteMissing(key: string): Promise<void> {
    const { clock, notFoundTtlMs } = this.#options;
    await this.#chain.set(key, { asOf: clock(), value: null }, { ttlMs: notFoundTtlMs, graceMs: GRACE_MS });
  }

  /** What was answered last, however long ago. */
  async last(key: string): Promise<Kept | undefined> {
    let best: Entry<Kept> | undefined;
    for (const layer of this.#options.layers) {
      const entry = await entryIn(layer, key);
      if (entry !== undefined && (best === undefined || entry.value.asOf > best.value.asOf)) best = entry;
    }
    return best?.value;
  }

  /** Keeps something of this server's own beside the answers. */
  async keep(key: string, value: unknown): Promise<void> {
    await this.#chain.set(key, { asOf: this.#options.clock(), value });
  }

  /** What is asked next is asked of the source; what is on its way is not kept. */
  async forget(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#resting.delete(key);
    await this.#chain.deleteMany(keys);
  }

  /** Closes the layers too. May be called twice. */
  async close(): Promise<void> {
    this.#resting.close();
    await this.#chain.close();
  }

  async #load<T>({ key, ask }: Question<T>, context: LoadContext<Kept>): Promise<Kept> {
    const { clock, health, notFoundTtlMs } = this.#options;
    const { signal, span, stale } = context;
    const asOf = clock();
    try {
      const value = (await ask({ signal, span })) ?? null;
      health.succeeded(clock(), clock() - asOf);
      this.#resting.delete(key);
      if (value === null) context.ttlMs = notFoundTtlMs;
      return this.#arrive(asOf, value, stale?.value);
    } catch (error) {
      if (!signal.aborted || isTimeout(signal.reason)) this.#failed(key, stale?.value, error);
      throw error;
    }
  }

  /** What is the same as before stays the same object, so that what was made of it can be kept. */
  #arrive(asOf: number, value: unknown, before: Kept | undefined): Kept {
    const isSame = before !== undefined && JSON.stringify(before.value) === JSON.stringify(value);
    const kept = { asOf, value: isSame ? before.value : value };
    this.#arrivals.set(kept, { number: ++this.#arrived, state: isSame ? 'revalidated' : 'miss' });
    return kept;
  }

  #failed(key: string, stale: Kept | undefined, error: unknown): void {
    const { clock, health, source, logger, restMs } = this.#options;
    if (!isNuGetError(error) || error.code === 'SOURCE_UNAVAILABLE') health.failed(clock(), error);
    if (stale === undefined) return;
    logger.warning(
      '{Source} fails; {Key} is answered as it was {AgeMs} ms ago',
      source,
      key,
      clock() - stale.asOf,
      error,
    );
    this.#resting.set(key, stale, { ttlMs: restMs });
  }

  async #answerOffline<T>({ key, ttlMs }: Question<T>): Promise<Answer<T> | undefined> {
    const kept = await this.last(key);
    if (kept === undefined) throw new FeedUnavailableError(this.#options.source, 'this server is offline');
    // From disk it would have to be read each time.
    this.#resting.set(key, kept, { ttlMs: GRACE_MS });
    return this.#answer<T>(kept, ttlMs, this.#arrived);
  }

  /** @param before how many answers had arrived when it was asked for */
  #answer<T>(kept: Kept, ttlMs: number, before: number): Answer<T> | undefined {
    const { value, asOf } = kept;
    if (value === null) return undefined;
    return { value: value as T, state: this.#stateOf(kept, ttlMs, before), asOf };
  }

  #stateOf(kept: Kept, ttlMs: number, before: number): CacheState {
    const arrival = this.#arrivals.get(kept);
    if (arrival !== undefined && arrival.number > before) return arrival.state;
    return this.#options.clock() - kept.asOf < ttlMs ? 'hit' : 'stale';
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
