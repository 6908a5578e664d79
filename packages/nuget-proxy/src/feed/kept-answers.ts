import {
  type Chain,
  type ChainOptions,
  createChain,
  type Entry,
  type Layer,
  type LoadContext,
  type MaybePromise,
  MemoryLayer,
} from '@granary/cache';
import type { Logger, MetricsCollector, Span, Tracer } from '@granary/telemetry';
import { FeedUnavailableError } from '../errors.js';
import type { Shape } from './answer-shapes.js';
import type { Answer, CacheState, FeedCall } from './feed-content.js';
import { unavailable } from './upstream-failures.js';
import type { UpstreamHealth } from './upstream-health.js';

/** What a source answered, as plain JSON. Never changed. */
export interface Kept {
  /** When it was asked, in milliseconds since 1970. */
  readonly asOf: number;
  /** Null when it said that there is nothing. */
  readonly value: unknown;
  /** Something was changed at the source since: only for when it can't be asked. */
  readonly outdated?: true | undefined;
}

/** Something that a source can be asked. */
export interface Question<T> {
  /** Tells what is asked, in at most 250 characters. */
  readonly key: string;
  /** How long an answer is fresh, in milliseconds. */
  readonly ttlMs: number;
  /** What the answers look like. */
  readonly shape: Shape;
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
  /** What came from a layer and was looked at. */
  readonly #checked = new WeakSet<Kept>();
  #arrived = 0;
  #changes = 0;

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

  /** Grows whenever something is forgotten: what was asked for before isn't worth keeping. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Undefined when the source says, or said when it last could, that there is nothing.
   *
   * @throws FeedUnavailableError when it can't be asked and never was
   */
  async ask<T>(question: Question<T>, call: FeedCall = {}): Promise<Answer<T> | undefined> {
    const { key, ttlMs, shape } = question;
    const { health, offline } = this.#options;
    call.signal?.throwIfAborted();
    const resting = this.#resting.get(key);
    if (resting !== undefined) return this.#answer<T>(resting, ttlMs, this.#arrived);
    if (offline) return this.#answerOffline<T>(question);
    const before = this.#arrived;
    const wasSuspect = health.isSuspect;
    const loaded = this.#loaded(question, call);
    let kept = loaded instanceof Promise ? await loaded : loaded;
    if (!this.#makesSense(kept, shape)) {
      await this.#drop(key);
      kept = await this.#loaded(question, call);
      if (!this.#makesSense(kept, shape)) throw new FeedUnavailableError(this.#options.source, 'its cache is broken');
    }
    // What failed rests; what is stale and doesn't was given because nobody waits any longer.
    const isSlow = this.#stateOf(kept, ttlMs, before) === 'stale' && this.#resting.get(key) === undefined;
    if (isSlow && !wasSuspect) health.tookTooLong();
    return this.#answer<T>(kept, ttlMs, before);
  }

  /** An answer that is fresh, without asking for one. */
  async fresh<T>(key: string, shape: Shape): Promise<T | undefined> {
    const kept = await this.#chain.get(key);
    return kept !== undefined && this.#makesSense(kept, shape)
      ? ((kept.value ?? undefined) as T | undefined)
      : undefined;
  }

  /** What was answered last, however long ago. */
  async last(key: string, shape: Shape): Promise<Kept | undefined> {
    let best: Kept | undefined;
    for (const layer of this.#options.layers) {
      const kept = (await entryIn(layer, key))?.value;
      if (kept === undefined || !this.#makesSense(kept, shape)) continue;
      if (best === undefined || kept.asOf > best.asOf) best = kept;
    }
    return best;
  }

  /** Whether the source said lately, or at some time, that there is no such thing. */
  async missing(key: string): Promise<'fresh' | 'stale' | undefined> {
    const kept = await this.last(key, isNothing);
    if (kept === undefined) return undefined;
    const { clock, notFoundTtlMs } = this.#options;
    return clock() - kept.asOf < notFoundTtlMs ? 'fresh' : 'stale';
  }

  /**
   * The source has just said that there is no such thing.
   *
   * @param changes what {@link changes} was when it was asked
   */
  async noteMissing(key: string, changes: number): Promise<void> {
    if (changes !== this.#changes) return;
    const { clock, notFoundTtlMs } = this.#options;
    await this.#write(key, { asOf: clock(), value: null }, { ttlMs: notFoundTtlMs, graceMs: GRACE_MS });
  }

  /** Keeps something of this server's own beside the answers. */
  async keep(key: string, value: unknown): Promise<void> {
    await this.#write(key, { asOf: this.#options.clock(), value });
  }

  /**
   * What is asked next is asked of the source; what is on its way is not kept. What there was is still there for when
   * the source can't be asked, but not that there was nothing. Never fails.
   */
  async forget(questions: readonly { readonly key: string; readonly shape: Shape }[]): Promise<void> {
    this.#changes++;
    await Promise.all(
      questions.map(async ({ key, shape }) => {
        this.#resting.delete(key);
        const kept = await this.last(key, shape);
        if (kept === undefined || kept.value === null) await this.#drop(key);
        else await this.#write(key, { ...kept, outdated: true }, { ttlMs: 0, graceMs: GRACE_MS });
      }),
    );
  }

  /** Closes the layers too. May be called twice. */
  async close(): Promise<void> {
    this.#resting.close();
    await this.#chain.close();
  }

  /** At once when it is at hand. */
  #loaded<T>(question: Question<T>, call: FeedCall): MaybePromise<Kept> {
    const { health, staleAfterMs } = this.#options;
    try {
      const kept = this.#chain.getOrLoad(question.key, (context) => this.#load(question, context), {
        ttlMs: question.ttlMs,
        signal: call.signal,
        span: call.span,
        softTimeoutMs: staleAfterMs,
        staleWhileRevalidate: health.isSuspect,
      });
      if (!(kept instanceof Promise)) return kept;
      return kept.catch((error: unknown) => this.#insteadOf(error, question, call));
    } catch (error) {
      return this.#insteadOf(error, question, call);
    }
  }

  /** Something may have been changed meanwhile; what was known before is still better than nothing. */
  async #insteadOf<T>(error: unknown, { key, shape }: Question<T>, { signal }: FeedCall): Promise<Kept> {
    signal?.throwIfAborted();
    const last = await this.last(key, shape);
    if (last !== undefined) return last;
    throw unavailable(this.#options.source, error);
  }

  async #load<T>({ key, ttlMs, shape, ask }: Question<T>, context: LoadContext<Kept>): Promise<Kept> {
    const { clock, notFoundTtlMs } = this.#options;
    const { signal, span } = context;
    const before = context.stale?.value;
    const stale = before !== undefined && this.#makesSense(before, shape) ? before : undefined;
    const changes = this.#changes;
    const asOf = clock();
    try {
      const value = (await ask({ signal, span })) ?? null;
      this.#resting.delete(key);
      // It is as old as the question.
      context.ttlMs = Math.max(0, (value === null ? notFoundTtlMs : ttlMs) - (clock() - asOf));
      return this.#arrive(asOf, value, stale);
    } catch (error) {
      if (stale !== undefined && changes === this.#changes) this.#rest(key, stale, error);
      throw error;
    }
  }

  /** What is the same as before stays the same object, so that what was made of it can be kept. */
  #arrive(asOf: number, value: unknown, before: Kept | undefined): Kept {
    const isSame = before !== undefined && JSON.stringify(before.value) === JSON.stringify(value);
    const kept = { asOf, value: isSame ? before.value : value };
    this.#arrivals.set(kept, { number: ++this.#arrived, state: isSame ? 'revalidated' : 'miss' });
    this.#checked.add(kept);
    return kept;
  }

  #rest(key: string, stale: Kept, error: unknown): void {
    const { clock, source, logger, restMs } = this.#options;
    logger.debug(
      '{Source} fails; {Key} is answered as it was {AgeMs} ms ago',
      source,
      key,
      clock() - stale.asOf,
      error,
    );
    this.#resting.set(key, stale, { ttlMs: restMs });
  }

  async #answerOffline<T>({ key, ttlMs, shape }: Question<T>): Promise<Answer<T> | undefined> {
    const kept = await this.last(key, shape);
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
    const { clock, notFoundTtlMs } = this.#options;
    const arrival = this.#arrivals.get(kept);
    if (arrival !== undefined && arrival.number > before) return arrival.state;
    const isFresh = kept.outdated !== true && clock() - kept.asOf < (kept.value === null ? notFoundTtlMs : ttlMs);
    return isFresh ? 'hit' : 'stale';
  }

  #makesSense(kept: Kept, shape: Shape): boolean {
    if (this.#checked.has(kept)) return true;
    if (typeof kept !== 'object' || kept === null || typeof kept.asOf !== 'number') return false;
    if (kept.value !== null && !shape(kept.value)) return false;
    this.#checked.add(kept);
    return true;
  }

  async #drop(key: string): Promise<void> {
    try {
      await this.#chain.delete(key);
    } catch (error) {
      this.#couldNot('forget', key, error);
    }
  }

  /** What can't be kept is only not kept. */
  async #write(
    key: string,
    kept: Kept,
    lifetime?: { readonly ttlMs: number; readonly graceMs: number },
  ): Promise<void> {
    try {
      await this.#chain.set(key, kept, lifetime);
    } catch (error) {
      this.#couldNot('keep', key, error);
    }
  }

  #couldNot(what: string, key: string, error: unknown): void {
    const { logger, source } = this.#options;
    logger.warning('Could not {What} {Key} of {Source}', what, key, source, error);
  }
}

/** Nothing but null. */
const isNothing: Shape = () => false;

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
