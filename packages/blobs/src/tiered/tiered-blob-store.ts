import { coarseTimers, InFlight, isQueueFull, SemaphoreThrottle, type Timers } from '@granary/resilience';
import { type Logger, noopSpan, noopTracer, nullLogger, type Tracer, withSpan } from '@granary/telemetry';
import {
  type BlobReader,
  type BlobSource,
  type BlobStore,
  CHUNK_BYTES,
  type GetOptions,
  type MaybePromise,
  type OperationOptions,
  type ReadOptions,
  type SizeLookup,
  type WriteOptions,
} from '../blob-store.js';
import { BufferReader, readRange } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import { type DigestFunction, hashBytes } from '../digest-function.js';
import { StoreSpans } from '../disk/store-spans.js';
import { StoreClosedError, TierUnavailableError } from '../errors.js';
import { Arrival } from './arrival.js';
import { ExistenceCache, type ExistenceCacheOptions } from './existence-cache.js';
import { firstAnswer } from './first-answer.js';
import { TierFlight, tellTier } from './tell-tier.js';
import type { Tier } from './tier.js';
import { TierAccess } from './tier-access.js';
import { checkWriteBehind, TierWrites, type WriteBehind } from './tier-writes.js';

/** Blobs up to this size are fetched whole; larger ones are handed on while they arrive. */
const WHOLE_BYTES = CHUNK_BYTES;

/** Small blobs whose storing here goes on in the background; from there on it is waited for. */
const MOST_BACKGROUND_WRITES = 64;

/** What is in memory of all blobs that arrive, for readers and ahead of the disk; one has no more than half of it. */
const ARRIVING_BYTES = 16 * 1024 * 1024;

/** What each may have however many there are: one chunk that is being stored and read. */
const LEAST_ARRIVING_BYTES = CHUNK_BYTES;

/** Fetches of large blobs that wait for their turn; each has a client that waits. */
const MOST_WAITING_ARRIVALS = 10_000;

export interface TieredBlobStoreOptions {
  /** Asked first. What comes from the tiers is kept here. */
  readonly local: BlobStore;
  /**
   * Where blobs are read that tiers are sent: the local store, but without what is around it for those who ask, such as
   * metrics of hits. Default: `local`.
   */
  readonly sentFrom?: BlobStore | undefined;
  /** The sizes of the blobs in the local store. Default: what the local store says, where it can. */
  readonly sizes?: SizeLookup | undefined;
  /** From fast to slow. Those without blobs are passed over. */
  readonly tiers: readonly Tier[];
  /** What is remembered of each tier. */
  readonly existence?: ExistenceCacheOptions | undefined;
  /** Needed where a tier's mode is `write-behind`. */
  readonly writeBehind?: WriteBehind | undefined;
  /** Large blobs that arrive from tiers at once; more wait. Default 256. */
  readonly maxArrivals?: number | undefined;
  /** Default: timers that all timeouts share, at most 10 ms late. */
  readonly timers?: Timers | undefined;
  readonly tracer?: Tracer | undefined;
  readonly logger?: Logger | undefined;
}

/**
 * A local store in front of others: what isn't here is asked of the tiers in turn, once however many ask, verified, and
 * kept. Large blobs are handed out while they arrive. The store closes its tiers, and not the local store.
 *
 * A tier that can't be reached counts as one that has nothing, unless it is required: then what only it could answer
 * fails with a {@link TierUnavailableError}.
 */
export class TieredBlobStore implements BlobStore, SizeLookup {
  /** Brings blobs to the tiers; for action results, whose blobs come first. */
  readonly writes: TierWrites;
  readonly tiers: readonly TierAccess[];
  /** Those without blobs among them: all are closed here. */
  readonly #allTiers: readonly Tier[];
  readonly #local: BlobStore;
  readonly #sizes: SizeLookup | undefined;
  readonly #tracer: Tracer;
  readonly #spans: StoreSpans;
  readonly #logger: Logger;
  readonly #arrivals = new InFlight<string, Arrival>();
  readonly #throttle: SemaphoreThrottle;
  readonly #timers: Timers;
  readonly #flights = new InFlight<string, TierFlight<Buffer>>();
  readonly #background = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(options: TieredBlobStoreOptions) {
    const { local, tiers, tracer = noopTracer, logger = nullLogger, maxArrivals = 256 } = options;
    checkWriteBehind(tiers, options.writeBehind);
    this.#allTiers = tiers;
    this.#local = local;
    this.#sizes = options.sizes ?? ('sizeOf' in local ? (local as BlobStore & SizeLookup) : undefined);
    this.#tracer = tracer;
    this.#spans = new StoreSpans(tracer);
    this.#logger = logger;
    this.#timers = options.timers ?? coarseTimers;
    this.#throttle = new SemaphoreThrottle(maxArrivals, { maxQueue: MOST_WAITING_ARRIVALS });
    this.tiers = tiers.flatMap((tier) =>
      tier.blobs ? [new TierAccess(tier, tier.blobs, new ExistenceCache(options.existence))] : [],
    );
    this.writes = new TierWrites({
      local: options.sentFrom ?? local,
      anywhere: this,
      tiers: this.tiers,
      writeBehind: options.writeBehind,
      logger,
    });
  }

  get name(): string {
    return this.#local.name;
  }

  findMissing(digests: readonly Digest[], options?: OperationOptions): MaybePromise<Digest[]> {
    this.#assertOpen();
    const missing = this.#local.findMissing(digests, options);
    if (missing instanceof Promise) return missing.then((late) => this.#askTiers(late, options));
    return missing.length === 0 ? missing : this.#askTiers(missing, options);
  }

  /** @throws TierUnavailableError when no tier has the blob, and one that is required can't be asked */
  async sizeOf(fn: DigestFunction, hash: Uint8Array, options?: OperationOptions): Promise<number | undefined> {
    this.#assertOpen();
    const here = await this.#sizes?.sizeOf(fn, hash, options);
    if (here !== undefined) return here;
    return firstAnswer(this.tiers, (tier) => tier.sizeOf(fn, hash, options), {
      isGivenUp: () => options?.signal?.aborted === true,
      onFailure: (tier, error) => this.#logger.debug('{Tier} did not say a size', tier.name, error),
    });
  }

  get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined> {
    this.#assertOpen();
    const here = this.#local.get(digest, options);
    if (here instanceof Promise) return here.then((late) => late ?? this.#fetch(digest, options));
    return here ?? this.#fetch(digest, options);
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    this.#assertOpen();
    const here = await this.#local.read(digest, options);
    if (here || this.tiers.length === 0) return here;
    if (digest.size > WHOLE_BYTES) return this.#follow(digest, options);
    const bytes = await this.#fetchWhole(digest, options);
    if (!bytes) return undefined;
    const { offset, length } = readRange(bytes.length, options);
    return BufferReader.copyOf(bytes, offset, length);
  }

  async write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    this.#assertOpen();
    await this.#local.write(digest, source, options);
    await this.writes.uploaded(digest, options);
  }

  /** Removes a blob here, and nowhere else: others may need it. */
  async delete(digest: Digest): Promise<boolean> {
    this.#assertOpen();
    return this.#local.delete(digest);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const reason = new StoreClosedError();
    for (const arrival of this.#arrivals.values()) arrival.stop(reason);
    for (const flight of this.#flights.values()) {
      flight.stop(reason);
      flight.fail(reason);
    }
    await Promise.allSettled(this.#background);
    await this.writes.close();
    await Promise.allSettled(this.#allTiers.map((tier) => tier.close()));
  }

  #assertOpen(): void {
    if (this.#closing) throw new StoreClosedError();
  }

  /** A blob that one tier is known to have need not be asked of any other. */
  #askTiers(missing: Digest[], options: OperationOptions | undefined): MaybePromise<Digest[]> {
    let unknown = missing;
    for (const tier of this.tiers) {
      unknown = tier.unknown(unknown);
      if (unknown.length === 0) return unknown;
    }
    return this.#askAll(unknown, options);
  }

  async #askAll(missing: readonly Digest[], options: OperationOptions | undefined): Promise<Digest[]> {
    let failure: unknown;
    const answers = await Promise.all(
      this.tiers.map(async (tier) => {
        try {
          return await tier.findMissing(missing, options);
        } catch (error) {
          if (options?.signal?.aborted) throw error;
          if (tier.required) failure ??= tier.unavailable(error);
          return missing;
        }
      }),
    );
    const nowhere = answers.reduce(inBoth, missing);
    if (nowhere.length > 0 && failure !== undefined) throw failure;
    return [...nowhere];
  }

  #fetch(digest: Digest, options: GetOptions | undefined): MaybePromise<Buffer | undefined> {
    if (this.tiers.length === 0) return undefined;
    return digest.size > WHOLE_BYTES ? this.#collect(digest, options) : this.#fetchWhole(digest, options);
  }

  async #collect(digest: Digest, options: OperationOptions | undefined): Promise<Buffer | undefined> {
    const reader = await this.#follow(digest, options);
    if (!reader) return undefined;
    const bytes = Buffer.allocUnsafeSlow(digest.size);
    let filled = 0;
    for await (const chunk of reader) filled += chunk.copy(bytes, filled);
    return bytes;
  }

  /** Joins the arrival of a large blob, or begins it. */
  async #follow(digest: Digest, options: ReadOptions | undefined): Promise<BlobReader | undefined> {
    this.#assertOpen();
    const key = keyOf(digest);
    const running = this.#arrivals.get(key);
    const isUnderWay = running !== undefined && !running.isStopped;
    const arrival = isUnderWay ? running : this.#begin(key, digest.compact(), options);
    const following = arrival.follow(options);
    const reader = await (isUnderWay ? this.#spans.waited('singleflight', options?.span, following) : following);
    if (reader === 'unstorable') return this.#passOn(digest, options);
    tellTier(options?.span, arrival.from);
    return reader;
  }

  #begin(key: string, digest: Digest, options: OperationOptions | undefined): Arrival {
    const arrival = new Arrival(
      digest,
      {
        local: this.#local,
        tiers: this.tiers,
        tracer: this.#tracer,
        logger: this.#logger,
        memoryBytes: () => Math.max(LEAST_ARRIVING_BYTES, ARRIVING_BYTES / Math.max(2, this.#arrivals.size)),
        timers: this.#timers,
        passOn: (wanted, range) => this.#passOn(wanted, range),
        onStored: (stored, from) => this.writes.found(stored, from),
      },
      options,
    );
    this.#arrivals.set(key, arrival);
    const { active, max } = this.#throttle;
    const wait = active < max ? noopSpan : this.#spans.wait('queue', options?.span);
    const run = () => {
      wait.end();
      return arrival.run();
    };
    const running = this.#throttle
      .run(run, { signal: arrival.signal })
      .catch((error: unknown) => arrival.fail(isQueueFull(error) ? tooMany(error) : error))
      .finally(() => {
        // Its turn may never have come.
        wait.end();
        this.#background.delete(running);
        if (this.#arrivals.get(key) === arrival) this.#arrivals.delete(key);
      });
    this.#background.add(running);
    return arrival;
  }

  /** A blob straight from a tier, for when the local store has no room. */
  #passOn(digest: Digest, options: ReadOptions | undefined): Promise<BlobReader | undefined> {
    const readFrom = async (tier: TierAccess) => {
      const reader = await tier.readVerified(digest, options);
      if (reader) tellTier(options?.span, tier.name);
      return reader;
    };
    return firstAnswer(this.tiers, readFrom, { isGivenUp: () => options?.signal?.aborted === true });
  }

  /** A small blob, fetched once for all who ask. */
  async #fetchWhole(digest: Digest, options: OperationOptions | undefined): Promise<Buffer | undefined> {
    this.#assertOpen();
    const key = keyOf(digest);
    const running = this.#flights.get(key);
    // Each caller may write into what it gets.
    if (running && !running.isStopped) {
      const shared = await this.#spans.waited('singleflight', options?.span, running.join(options?.signal));
      tellTier(options?.span, running.from);
      return shared && Buffer.from(shared);
    }
    const flight = new TierFlight<Buffer>();
    this.#flights.set(key, flight);
    // Who asks after the answer is there asks anew.
    const land = () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    };
    void this.#askForWhole(digest.compact(), flight, options).then(
      (bytes) => {
        land();
        flight.answer(bytes);
      },
      (error: unknown) => {
        land();
        flight.fail(error);
      },
    );
    const bytes = await flight.join(options?.signal);
    tellTier(options?.span, flight.from);
    return bytes;
  }

  #askForWhole(
    digest: Digest,
    flight: TierFlight<Buffer>,
    asked: OperationOptions | undefined,
  ): Promise<Buffer | undefined> {
    const options = { signal: flight.signal, span: asked?.span, via: asked?.via };
    const fetchFrom = async (tier: TierAccess) => {
      const bytes = await this.#getFrom(tier, digest, options);
      if (!bytes) return undefined;
      flight.from = tier.name;
      await this.#keep(digest, bytes, tier);
      return bytes;
    };
    return firstAnswer(this.tiers, fetchFrom, { isGivenUp: () => flight.isStopped });
  }

  async #getFrom(tier: TierAccess, digest: Digest, options: OperationOptions): Promise<Buffer | undefined> {
    const parent = options.span;
    const attributes = { 'cache.tier': tier.name, 'cache.digest': String(digest), 'cache.size': digest.size };
    const get = async (passed: OperationOptions) => {
      const bytes = await tier.get(digest, passed);
      if (!bytes || isContent(bytes, digest)) return bytes;
      tier.damaged(digest, `${bytes.length} bytes with another hash were delivered`);
      return undefined;
    };
    if (!parent?.recording) return get(options);
    return withSpan(this.#tracer, 'proxy.Get.RemoteFetch', { kind: 'client', parent, attributes }, async (span) => {
      const bytes = await get({ ...options, span });
      span.setAttribute('cache.hit', bytes !== undefined);
      return bytes;
    });
  }

  /** Keeps a small blob here, which whoever waits for the blob need not wait for. */
  async #keep(digest: Digest, bytes: Buffer, from: TierAccess): Promise<void> {
    const writing = this.#local
      .write(digest, Buffer.from(bytes))
      .then(() => this.writes.found(digest, from))
      .catch((error: unknown) => this.#logger.debug('{Digest} was not kept', String(digest), error))
      .finally(() => this.#background.delete(writing));
    this.#background.add(writing);
    if (this.#background.size > MOST_BACKGROUND_WRITES) await writing;
  }
}

function tooMany(cause: unknown): TierUnavailableError {
  return new TierUnavailableError('of any kind', 'too many blobs are being fetched', { cause });
}

/** The digests that are in both, in the order of the first. */
function inBoth(first: readonly Digest[], second: readonly Digest[]): readonly Digest[] {
  if (first.length === 0 || first === second) return first;
  if (second.length === 0) return second;
  const keys = new Set(second.map(keyOf));
  return first.filter((digest) => keys.has(keyOf(digest)));
}

function keyOf(digest: Digest): string {
  return `${digest.function}/${digest}`;
}

function isContent(bytes: Buffer, digest: Digest): boolean {
  return bytes.length === digest.size && hashBytes(digest.function, bytes).equals(digest.bytes);
}
