import {
  type Clock,
  InFlight,
  isQueueFull,
  SemaphoreThrottle,
  toMaybePromise,
  untilAborted,
} from '@granary/resilience';
import { type Logger, noopTracer, nullLogger, type Tracer, withSpan } from '@granary/telemetry';
import type { ActionResultStore, IsUsable, MaybePromise, OperationOptions } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { isStoreError, StoreClosedError } from '../errors.js';
import { KeyedLock } from '../keyed-lock.js';
import { StoreSpans } from '../store-spans.js';
import { NegativeAnswers } from './negative-answers.js';
import { ResultTier } from './result-tier.js';
import { TierFlight, tellTier } from './tell-tier.js';
import type { Tier } from './tier.js';
import { checkWriteBehind, type WriteBehind } from './tier-writes.js';
import type { TieredBlobStore } from './tiered-blob-store.js';

/** Promotions to faster tiers at once, and those that wait for their turn. */
const MOST_PROMOTIONS = 8;
const MOST_PROMOTIONS_WAITING = 1000;
/** Results whose storing here goes on in the background; from there on it is waited for. */
const MOST_BACKGROUND_WRITES = 64;

export interface TieredActionResultStoreOptions {
  /** Asked first. What comes from the tiers is kept here. */
  readonly local: ActionResultStore;
  /** Where results are read that tiers are sent later, as blobs are from the `sentFrom` of their store. Default: `local`. */
  readonly sentFrom?: ActionResultStore | undefined;
  /** From fast to slow, the same as behind `blobs`. Those without action results are passed over. */
  readonly tiers: readonly Tier[];
  /** The blobs that results name. It closes the tiers. */
  readonly blobs: TieredBlobStore;
  /** All blobs that somebody who has this result may ask for; what the values are, only the protocol knows. */
  readonly referencesOf: (
    key: string,
    value: Buffer,
    options: OperationOptions | undefined,
  ) => MaybePromise<readonly Digest[]>;
  /** Needed where a tier's mode is `write-behind`. */
  readonly writeBehind?: WriteBehind | undefined;
  /**
   * How long it is remembered that no tier has a result, in milliseconds: for so long a result that another server has
   * written since is not found here. Default 0: never.
   */
  readonly negativeTtlMs?: number | undefined;
  /** Most keys that are remembered so. Default 10,000. */
  readonly maxNegativeEntries?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly tracer?: Tracer | undefined;
  readonly logger?: Logger | undefined;
}

/**
 * Local action results in front of tiers. What isn't here is asked of the tiers in turn, once however many ask, and kept
 * here. A tier gets a result only after all the blobs that it names, brought from wherever they are. A tier that can't be
 * reached counts as one that has nothing, unless it is required.
 *
 * Whether the blobs of a result are still there is for whoever serves it to check, with the tiered blob store's
 * `findMissing`. Closes neither the local store nor the tiers.
 */
export class TieredActionResultStore implements ActionResultStore {
  /** Those that have action results. */
  readonly tiers: readonly ResultTier[];
  readonly #options: TieredActionResultStoreOptions;
  readonly #local: ActionResultStore;
  readonly #tracer: Tracer;
  readonly #spans: StoreSpans;
  readonly #logger: Logger;
  readonly #absent: NegativeAnswers;
  /** By key. A write overtakes those that ask for what it writes. */
  readonly #flights = new InFlight<string, ResultFlight>();
  /** Held while a result is being written, so that the last one is the last one everywhere. */
  readonly #locks = new KeyedLock();
  readonly #promotions = new SemaphoreThrottle(MOST_PROMOTIONS, { maxQueue: MOST_PROMOTIONS_WAITING });
  readonly #background = new Set<Promise<void>>();
  readonly #closed = new AbortController();

  constructor(options: TieredActionResultStoreOptions) {
    const { local, tiers, blobs, negativeTtlMs = 0, maxNegativeEntries = 10_000 } = options;
    checkWriteBehind(tiers, options.writeBehind);
    this.#options = options;
    this.#local = local;
    this.#tracer = options.tracer ?? noopTracer;
    this.#spans = new StoreSpans(this.#tracer);
    this.#logger = options.logger ?? nullLogger;
    this.#absent = new NegativeAnswers(negativeTtlMs, maxNegativeEntries, options.clock);
    this.tiers = tiers.flatMap((tier) =>
      tier.actionResults ? [new ResultTier(tier, tier.actionResults, blobs, options.referencesOf)] : [],
    );
  }

  get name(): string {
    return this.#local.name;
  }

  get(key: string, options?: OperationOptions): MaybePromise<Buffer | undefined> {
    this.#assertOpen();
    const here = toMaybePromise(this.#local.get(key, options));
    if (here instanceof Promise) return here.then((late) => late ?? this.#ask(key, options));
    return here ?? this.#ask(key, options);
  }

  getElsewhere(key: string, isUsable: IsUsable, options?: OperationOptions): MaybePromise<Buffer | undefined> {
    this.#assertOpen();
    return this.#ask(key, options, isUsable);
  }

  /** @throws TierUnavailableError when a tier that is required did not take the result or its blobs; it is kept here */
  async set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    this.#assertOpen();
    // Tiers may be slow, and the value is the caller's again when the call has returned its promise.
    const own = Buffer.from(value);
    await this.#spans.locked(this.#locks, key, options?.span, async () => {
      this.#forgetAnswers(key);
      await this.#local.set(key, own, options);
      this.#forgetAnswers(key);
      const done = this.tiers.map((tier) => this.#setIn(tier, key, own, options));
      const failed = (await Promise.allSettled(done)).find((result) => result.status === 'rejected');
      if (failed) throw failed.reason;
    });
  }

  /** Removes a result here, and nowhere else. */
  async delete(key: string): Promise<boolean> {
    this.#assertOpen();
    return this.#local.delete(key);
  }

  /**
   * Brings a result that was queued to its tier, after its blobs.
   *
   * @returns false when the result, or a blob that it names, is nowhere any more
   */
  async sendQueued(tier: ResultTier, key: string, signal: AbortSignal): Promise<boolean> {
    const value = await (this.#options.sentFrom ?? this.#local).get(key, { signal });
    if (!value) return false;
    try {
      await tier.bring(key, value, { signal });
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  /** Ends what is under way. */
  async close(): Promise<void> {
    const reason = new StoreClosedError();
    this.#closed.abort(reason);
    for (const flight of this.#flights.all()) {
      flight.stop(reason);
      flight.fail(reason);
    }
    await Promise.allSettled(this.#background);
  }

  #assertOpen(): void {
    if (this.#closed.signal.aborted) throw new StoreClosedError();
  }

  /** What was asked before the result was written says nothing about it any more. */
  #forgetAnswers(key: string): void {
    this.#absent.forget(key);
    this.#flights.overtake(key);
  }

  async #setIn(tier: ResultTier, key: string, value: Buffer, options: OperationOptions | undefined): Promise<void> {
    if (tier.mode === 'write-behind') return this.#options.writeBehind?.actionResult(tier.name, key);
    if (tier.mode !== 'write-through') return;
    try {
      await tier.bring(key, value, options);
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      // A result whose blobs are nowhere is no use to others.
      if (tier.required && !isGone(error)) throw tier.unavailable(error);
      this.#logger.debug('{Tier} did not get the result of {Key}', tier.name, key, error);
    }
  }

  /** Asks the tiers, once for all who ask the same at the same time. */
  #ask(key: string, options: OperationOptions | undefined, isUsable?: IsUsable): MaybePromise<Buffer | undefined> {
    if (this.tiers.length === 0 || this.#absent.has(key)) return undefined;
    this.#assertOpen();
    const running = this.#flights.get(key);
    if (running && running.isUsable === isUsable && !running.isStopped) return this.#join(running, options);
    const flight = new ResultFlight(isUsable);
    this.#flights.overtake(key);
    this.#flights.set(key, flight);
    // Who asks after the answer is there asks anew.
    const land = () => this.#flights.end(key, flight);
    void this.#askTiers(key, flight, options).then(
      (value) => {
        land();
        flight.answer(value);
      },
      (error: unknown) => {
        land();
        flight.fail(error);
      },
    );
    return this.#answerOf(flight, flight.join(options?.signal), options);
  }

  /** Each caller may write into what it gets. */
  async #join(flight: ResultFlight, options: OperationOptions | undefined): Promise<Buffer | undefined> {
    const joined = this.#spans.waited('singleflight', options?.span, flight.join(options?.signal));
    const shared = await this.#answerOf(flight, joined, options);
    return shared && Buffer.from(shared);
  }

  async #answerOf(
    flight: ResultFlight,
    joined: MaybePromise<Buffer | undefined>,
    options: OperationOptions | undefined,
  ): Promise<Buffer | undefined> {
    const value = await joined;
    tellTier(options?.span, flight.from);
    return value;
  }

  async #askTiers(key: string, flight: ResultFlight, asked: OperationOptions | undefined): Promise<Buffer | undefined> {
    const options = { signal: flight.signal, span: asked?.span, via: asked?.via };
    let failure: unknown;
    let failed = false;
    for (const tier of this.tiers) {
      let value: Buffer | undefined;
      try {
        value = await this.#getFrom(tier, key, options);
      } catch (error) {
        if (flight.isStopped) throw error;
        failed = true;
        if (tier.required) failure ??= tier.unavailable(error);
      }
      if (value === undefined || (await flight.isUsable?.(key, value, options)) === false) continue;
      flight.from = tier.name;
      await this.#keep(key, Buffer.from(value), flight);
      this.#promote(key, Buffer.from(value), tier);
      return value;
    }
    if (failure !== undefined) throw failure;
    if (!failed && this.#flights.get(key) === flight) this.#absent.add(key);
    return undefined;
  }

  async #getFrom(tier: ResultTier, key: string, options: OperationOptions): Promise<Buffer | undefined> {
    const parent = options.span;
    if (!parent?.recording) return tier.results.get(key, options);
    const attributes = { 'cache.tier': tier.name };
    return withSpan(
      this.#tracer,
      'proxy.GetActionResult.RemoteFetch',
      { kind: 'client', parent, attributes },
      async (span) => {
        const value = await tier.results.get(key, { ...options, span });
        span.setAttribute('cache.hit', value !== undefined);
        return value;
      },
    );
  }

  /** Keeps what a tier had, unless something newer has been written since it was asked. */
  async #keep(key: string, value: Buffer, flight: ResultFlight): Promise<void> {
    if (this.#flights.get(key) !== flight || this.#locks.isHeld(key)) return;
    const keeping = this.#inBackground(() => this.#locks.run(key, () => this.#local.set(key, value)), key);
    if (this.#background.size > MOST_BACKGROUND_WRITES) await keeping;
  }

  /** Gives a result to the tiers in front of the one that had it, where the blobs can be had without fetching them. */
  #promote(key: string, value: Buffer, from: ResultTier): void {
    const { signal } = this.#closed;
    for (const tier of this.tiers) {
      if (tier === from) return;
      if (tier.mode === 'read-only') continue;
      const promote = () => untilAborted(tier.promote(key, value, { signal }), signal);
      void this.#inBackground(() => this.#promotions.run(promote, { signal }), key);
    }
  }

  #inBackground(work: () => Promise<void>, key: string): Promise<void> {
    const running = work()
      .catch((error: unknown) => {
        if (isQueueFull(error) || this.#closed.signal.aborted) return;
        this.#logger.debug('The result of {Key} was not kept everywhere', key, error);
      })
      .finally(() => this.#background.delete(running));
    this.#background.add(running);
    return running;
  }
}

/** One question to the tiers, and all who wait for its answer. */
class ResultFlight extends TierFlight<Buffer> {
  /** Which values count; undefined: all. */
  readonly isUsable: IsUsable | undefined;

  constructor(isUsable: IsUsable | undefined) {
    super();
    this.isUsable = isUsable;
  }
}

/** Whether a blob was not to be had anywhere. */
function isGone(error: unknown): boolean {
  return isStoreError(error) && error.code === 'BLOB_DAMAGED';
}
