import { type Clock, coarseTimers, steadyClock, type Timers, toMaybePromise } from '@granary/resilience';
import { type Logger, noopTracer, nullLogger, type Tracer } from '@granary/telemetry';
import { blobKeyOf } from '../blob-key.js';
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
import { BufferReader, readAll, readRange } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';
import { StoreClosedError } from '../errors.js';
import { Arrivals } from './arrivals/arrivals.js';
import { ExistenceCache, type ExistenceCacheOptions } from './existence-cache.js';
import { firstAnswer } from './first-answer.js';
import type { Tier } from './tier.js';
import { TierAccess } from './tier-access.js';
import { checkWriteBehind, TierWrites, type WriteBehind } from './tier-writes.js';
import { WholeFetches } from './whole-fetches.js';

/** Blobs up to this size are fetched whole; larger ones are handed on while they arrive. */
const WHOLE_BYTES = CHUNK_BYTES;

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
  /** Default `steadyClock`. */
  readonly clock?: Clock | undefined;
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
  readonly #logger: Logger;
  readonly #arrivals: Arrivals;
  readonly #wholeFetches: WholeFetches;
  readonly #clock: Clock;
  #closing: Promise<void> | undefined;

  constructor(options: TieredBlobStoreOptions) {
    const { local, tiers, tracer = noopTracer, logger = nullLogger, maxArrivals = 256 } = options;
    checkWriteBehind(tiers, options.writeBehind);
    this.#allTiers = tiers;
    this.#local = local;
    this.#sizes = options.sizes ?? ('sizeOf' in local ? (local as BlobStore & SizeLookup) : undefined);
    this.#logger = logger;
    this.#clock = options.clock ?? steadyClock;
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
    const onStored = (digest: Digest, from: TierAccess) => this.writes.found(digest, from);
    const fetching = { local, tiers: this.tiers, tracer, logger, onStored };
    this.#arrivals = new Arrivals({ ...fetching, maxArrivals, timers: options.timers ?? coarseTimers });
    this.#wholeFetches = new WholeFetches(fetching);
  }

  get name(): string {
    return this.#local.name;
  }

  findMissing(digests: readonly Digest[], options?: OperationOptions): MaybePromise<Digest[]> {
    this.#assertOpen();
    const missing = toMaybePromise(this.#local.findMissing(digests, options));
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
    const here = toMaybePromise(this.#local.get(digest, options));
    if (here instanceof Promise) return here.then((late) => late ?? this.#fetch(digest, options));
    return here ?? this.#fetch(digest, options);
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    this.#assertOpen();
    const here = await this.#local.read(digest, options);
    if (here || this.tiers.length === 0) return here;
    this.#assertOpen();
    if (digest.size > WHOLE_BYTES) return this.#arrivals.follow(digest, options);
    const bytes = await this.#wholeFetches.fetch(digest, options);
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
    await Promise.all([this.#arrivals.stop(reason), this.#wholeFetches.stop(reason)]);
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
    const start = this.#clock();
    let failure: unknown;
    const answers = await Promise.all(
      this.tiers.map(async (tier) => {
        const { required, timeoutMs = Number.POSITIVE_INFINITY } = tier.tier;
        try {
          return await tier.findMissing(missing, options, () => this.#clock() - start < timeoutMs);
        } catch (error) {
          if (options?.signal?.aborted) throw error;
          if (required) failure ??= tier.unavailable(error);
          return tier.unknown(missing);
        }
      }),
    );
    const nowhere = answers.reduce(inBoth, missing);
    if (nowhere.length > 0 && failure !== undefined) throw failure;
    return [...nowhere];
  }

  #fetch(digest: Digest, options: GetOptions | undefined): MaybePromise<Buffer | undefined> {
    if (this.tiers.length === 0) return undefined;
    this.#assertOpen();
    return digest.size > WHOLE_BYTES ? this.#collect(digest, options) : this.#wholeFetches.fetch(digest, options);
  }

  async #collect(digest: Digest, options: OperationOptions | undefined): Promise<Buffer | undefined> {
    const reader = await this.#arrivals.follow(digest, options);
    return reader && readAll(reader);
  }
}

/** The digests that are in both, in the order of the first. */
function inBoth(first: readonly Digest[], second: readonly Digest[]): readonly Digest[] {
  if (first.length === 0 || first === second) return first;
  if (second.length === 0) return second;
  const keys = new Set(second.map(blobKeyOf));
  return first.filter((digest) => keys.has(blobKeyOf(digest)));
}
