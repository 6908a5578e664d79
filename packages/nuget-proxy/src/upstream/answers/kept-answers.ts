import { type LoadContext, type MaybePromise, MemoryLayer } from '@granary/cache';
import type { Span } from '@granary/telemetry';
import { FeedUnavailableError } from '../../errors.js';
import type { Answer, CacheState, FeedCall } from '../../feed/feed-content.js';
import { OFFLINE, SILENT, unavailable } from '../../feed/upstream-failures.js';
import type { UpstreamHealth } from '../upstream-health.js';
import type { Shape } from './answer-shapes.js';
import { forwardClock } from './forward-clock.js';
import { GRACE_MS, type Kept, KeptValues, type KeptValuesOptions, type Place } from './kept-values.js';

/** Something that a source can be asked: its key tells what, in at most 250 characters. */
export interface Question<T> extends Place {
  /** How long an answer is fresh, in milliseconds. */
  readonly ttlMs: number;
  /** Asks the source; undefined when it says that there is nothing. What it gives is plain JSON. */
  readonly ask: (call: { readonly signal: AbortSignal; readonly span: Span | undefined }) => Promise<T | undefined>;
}

export interface KeptAnswersOptions extends KeptValuesOptions {
  readonly health: UpstreamHealth;
  readonly notFoundTtlMs: number;
  readonly staleAfterMs: number;
  readonly offline: boolean;
}

/** For answers that are given again without asking, while a source rests: an estimate, in bytes. */
const MAX_RESTING_BYTES = 64 * 1024 * 1024;

/** Changes that nobody asked for again: who asks for more of them may get what is stale at once, as of anything else. */
const MAX_WORTH_WAITING = 10_000;

/** How an answer came that was asked for in this process, and with which number. */
interface Arrival {
  readonly number: number;
  readonly state: 'miss' | 'revalidated';
}

/** Somebody who wants an answer. */
interface Asking {
  /** How many answers had arrived when he came. */
  readonly before: number;
  /** Whether the source is asked for his sake; else he joins what another had it asked for. */
  itself?: boolean;
}

/**
 * The answers of one source: fresh ones are given as they are, others only when the source can't give a better one
 * soon. "There is nothing" is an answer too. All who ask the same thing at once cause one request.
 */
export class KeptAnswers {
  readonly #options: KeptAnswersOptions;
  readonly #values: KeptValues;
  /** Stale answers of questions that the source failed at a moment ago. */
  readonly #resting: MemoryLayer<Kept>;
  /** Worth waiting for, however the source does: what there was is known to be wrong. */
  readonly #worthWaiting: MemoryLayer<true>;
  readonly #arrivals = new WeakMap<Kept, Arrival>();
  #arrived = 0;
  #changes = 0;

  constructor(options: KeptAnswersOptions) {
    this.#options = options;
    this.#values = new KeptValues(options);
    const clock = forwardClock(options.clock);
    this.#resting = new MemoryLayer<Kept>({ maxBytes: MAX_RESTING_BYTES, maxEntries: 10_000, clock });
    this.#worthWaiting = new MemoryLayer<true>({ maxEntries: MAX_WORTH_WAITING, clock });
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
    if (resting !== undefined) return this.#answer<T>(resting, ttlMs, { before: this.#arrived }, call);
    if (offline) return this.#answerOffline<T>(question, call);
    if (call.localOnly)
      return this.#answer<T>(await this.#lastOf(question, SILENT), ttlMs, { before: this.#arrived }, call);
    const asking: Asking = { before: this.#arrived };
    const wasSuspect = health.isSuspect;
    const loaded = this.#loaded(question, call, asking);
    let kept = loaded instanceof Promise ? await loaded : loaded;
    if (!this.#values.makesSense(kept, shape)) {
      await this.#values.drop(key);
      kept = await this.#loaded(question, call, asking);
      if (!this.#values.makesSense(kept, shape))
        throw new FeedUnavailableError(this.#options.source, 'its cache is broken');
    } else if (this.#isLate(kept, question, asking) && (await this.#values.expire(question, kept))) {
      kept = await this.#loaded(question, call, asking);
    }
    if (this.#isLate(kept, question, asking) && !wasSuspect) health.tookTooLong();
    return this.#answer<T>(kept, ttlMs, asking, call);
  }

  /** An answer that is fresh and in memory, null for nothing; undefined when it must be asked for. */
  atHand<T>({ ttlMs, ...place }: Place & { readonly ttlMs: number }): Answer<T> | null | undefined {
    if (this.#options.offline || this.#resting.get(place.key) !== undefined) return undefined;
    const kept = this.#values.atHand(place);
    if (kept === undefined || !this.#isFresh(kept, ttlMs)) return undefined;
    return this.#answer<T>(kept, ttlMs, { before: this.#arrived }) ?? null;
  }

  /** What was answered last, however long ago. */
  last(place: Place): Promise<Kept | undefined> {
    return this.#values.last(place);
  }

  /** When the source said that there is no such thing, and whether that is believed without asking; undefined: never. */
  async missing(key: string): Promise<{ readonly asOf: number; readonly isFresh: boolean } | undefined> {
    const kept = await this.#values.last({ key, shape: isNothing });
    if (kept === undefined) return undefined;
    return { asOf: kept.asOf, isFresh: this.#isFresh(kept, this.#options.notFoundTtlMs) };
  }

  /**
   * The source has just said that there is no such thing.
   *
   * @param changes what {@link changes} was when it was asked
   */
  async noteMissing(key: string, changes: number): Promise<void> {
    if (changes !== this.#changes) return;
    const { clock, notFoundTtlMs } = this.#options;
    await this.#values.write(key, { asOf: clock(), value: null }, notFoundTtlMs);
  }

  /** The source has just given what it once had not. */
  async noteThere(key: string): Promise<void> {
    this.#resting.delete(key);
    await this.#values.drop(key);
  }

  /** Keeps something of this server's own beside the answers. */
  async keep(key: string, value: unknown): Promise<void> {
    await this.#values.write(key, { asOf: this.#options.clock(), value });
  }

  /**
   * What is asked next is asked of the source; what is on its way is not kept. What there was is still there for when
   * the source can't be asked, but not that there was nothing. Never fails.
   */
  async forget(places: readonly Place[]): Promise<void> {
    this.#changes++;
    for (const { key } of places) {
      this.#resting.delete(key);
      this.#worthWaiting.set(key, true);
    }
    await Promise.all(places.map((place) => this.#values.outdate(place)));
  }

  /** Closes the layers too. May be called twice. */
  async close(): Promise<void> {
    this.#resting.close();
    this.#worthWaiting.close();
    await this.#values.chain.close();
  }

  /** At once when it is at hand. */
  #loaded<T>(question: Question<T>, call: FeedCall, asking: Asking): MaybePromise<Kept> {
    const { health, staleAfterMs } = this.#options;
    try {
      const load = (context: LoadContext<Kept>) => {
        asking.itself = true;
        return this.#load(question, context);
      };
      const kept = this.#values.chain.getOrLoad(question.key, load, {
        ttlMs: question.ttlMs,
        signal: call.signal,
        span: call.span,
        softTimeoutMs: staleAfterMs,
        staleWhileRevalidate: health.isSuspect && this.#worthWaiting.get(question.key) === undefined,
      });
      if (!(kept instanceof Promise)) return kept;
      return kept.catch((error: unknown) => this.#insteadOf(error, question, call));
    } catch (error) {
      return this.#insteadOf(error, question, call);
    }
  }

  /** Something may have been changed meanwhile; what was known before is still better than nothing. */
  async #insteadOf(error: unknown, place: Place, { signal }: FeedCall): Promise<Kept> {
    signal?.throwIfAborted();
    const last = await this.#values.last(place);
    if (last !== undefined) return last;
    throw unavailable(this.#options.source, error);
  }

  async #load<T>({ key, ttlMs, shape, ask }: Question<T>, context: LoadContext<Kept>): Promise<Kept> {
    const { clock, notFoundTtlMs } = this.#options;
    const { signal, span } = context;
    const before = context.stale?.value;
    const stale = before !== undefined && this.#values.makesSense(before, shape) ? before : undefined;
    const changes = this.#changes;
    const asOf = clock();
    try {
      const value = (await ask({ signal, span })) ?? null;
      this.#resting.delete(key);
      if (changes === this.#changes) this.#worthWaiting.delete(key);
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
    this.#values.trust(kept);
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

  async #answerOffline<T>(question: Question<T>, call: FeedCall): Promise<Answer<T> | undefined> {
    const kept = await this.#lastOf(question, OFFLINE);
    // From disk it would have to be read each time.
    this.#resting.set(question.key, kept, { ttlMs: GRACE_MS });
    return this.#answer<T>(kept, question.ttlMs, { before: this.#arrived }, call);
  }

  /** @param why the source isn't asked when there is none */
  async #lastOf(place: Place, why: string): Promise<Kept> {
    const kept = await this.#values.last(place);
    if (kept === undefined) throw new FeedUnavailableError(this.#options.source, why);
    return kept;
  }

  #answer<T>(kept: Kept, ttlMs: number, asking: Asking, call?: FeedCall): Answer<T> | undefined {
    const { value, asOf } = kept;
    const state = this.#stateOf(kept, ttlMs, asking);
    if (value !== null) return { value: value as T, state, asOf };
    call?.onNothing?.(state);
    return undefined;
  }

  /** What failed rests; what is stale and doesn't was given because nobody waits any longer. */
  #isLate(kept: Kept, { key, ttlMs }: Question<unknown>, asking: Asking): boolean {
    return this.#stateOf(kept, ttlMs, asking) === 'stale' && this.#resting.get(key) === undefined;
  }

  #stateOf(kept: Kept, ttlMs: number, { before, itself }: Asking): CacheState {
    const arrival = this.#arrivals.get(kept);
    if (arrival !== undefined && arrival.number > before) return itself ? arrival.state : 'hit';
    return this.#isFresh(kept, ttlMs) ? 'hit' : 'stale';
  }

  /** What is younger than nothing was asked for by a clock that was ahead: nobody knows how old that is. */
  #isFresh({ asOf, value, outdated }: Kept, ttlMs: number): boolean {
    const { clock, notFoundTtlMs } = this.#options;
    const ageMs = clock() - asOf;
    return outdated !== true && ageMs >= 0 && ageMs < (value === null ? notFoundTtlMs : ttlMs);
  }
}

/** Nothing but null. */
const isNothing: Shape = () => false;
