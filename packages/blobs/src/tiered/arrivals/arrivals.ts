import { InFlight, isQueueFull, SemaphoreThrottle, type Timers } from '@granary/resilience';
import { type Logger, noopSpan, type Tracer } from '@granary/telemetry';
import { blobKeyOf } from '../../blob-key.js';
import {
  type BlobReader,
  type BlobStore,
  CHUNK_BYTES,
  type OperationOptions,
  type ReadOptions,
} from '../../blob-store.js';
import type { Digest } from '../../digest.js';
import { TierUnavailableError } from '../../errors.js';
import { StoreSpans } from '../../store-spans.js';
import { firstAnswer } from '../first-answer.js';
import { tellTier } from '../tell-tier.js';
import type { TierAccess } from '../tier-access.js';
import { Arrival } from './arrival.js';

/** What is in memory of all blobs that arrive, for readers and ahead of the disk; one has no more than half of it. */
const ARRIVING_BYTES = 16 * 1024 * 1024;

/** What each may have however many there are: one chunk that is being stored and read. */
const LEAST_ARRIVING_BYTES = CHUNK_BYTES;

/** Fetches of large blobs that wait for their turn; each has a client that waits. */
const MOST_WAITING_ARRIVALS = 10_000;

export interface ArrivalsOptions {
  readonly local: BlobStore;
  readonly tiers: readonly TierAccess[];
  /** Blobs that arrive at once; more wait. */
  readonly maxArrivals: number;
  readonly timers: Timers;
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** Told when a blob has come from a tier into the local store. */
  readonly onStored: (digest: Digest, from: TierAccess) => void;
}

/** The large blobs that come from tiers now: each is fetched once, and handed to all who ask while it arrives. */
export class Arrivals {
  readonly #options: ArrivalsOptions;
  readonly #spans: StoreSpans;
  readonly #throttle: SemaphoreThrottle;
  readonly #byKey = new InFlight<string, Arrival>();
  readonly #running = new Set<Promise<void>>();

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    this.#spans = new StoreSpans(options.tracer);
    this.#throttle = new SemaphoreThrottle(options.maxArrivals, { maxQueue: MOST_WAITING_ARRIVALS });
  }

  /** Joins the arrival of a blob, or begins it. Undefined when no tier has the blob. */
  async follow(digest: Digest, options: ReadOptions | undefined): Promise<BlobReader | undefined> {
    const key = blobKeyOf(digest);
    const running = this.#byKey.get(key);
    const isUnderWay = running !== undefined && !running.isStopped;
    const arrival = isUnderWay ? running : this.#begin(key, digest.compact(), options);
    const following = arrival.follow(options);
    const reader = await (isUnderWay ? this.#spans.waited('singleflight', options?.span, following) : following);
    if (reader === 'unstorable') return this.#passOn(digest, options);
    tellTier(options?.span, arrival.from);
    return reader;
  }

  /** Stops all of them; whoever follows gets the reason. Resolves when nothing is under way any more. */
  async stop(reason: unknown): Promise<void> {
    for (const arrival of this.#byKey.values()) arrival.stop(reason);
    await Promise.allSettled(this.#running);
  }

  #begin(key: string, digest: Digest, asked: OperationOptions | undefined): Arrival {
    const { local, tiers, tracer, logger, timers, onStored } = this.#options;
    const arrival = new Arrival(
      digest,
      {
        local,
        tiers,
        tracer,
        logger,
        memoryBytes: () => Math.max(LEAST_ARRIVING_BYTES, ARRIVING_BYTES / Math.max(2, this.#byKey.size)),
        timers,
        passOn: (wanted, range) => this.#passOn(wanted, range),
        onStored,
      },
      asked,
    );
    this.#byKey.set(key, arrival);
    const { active, max } = this.#throttle;
    const wait = active < max ? noopSpan : this.#spans.wait('queue', asked?.span);
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
        this.#running.delete(running);
        if (this.#byKey.get(key) === arrival) this.#byKey.delete(key);
      });
    this.#running.add(running);
    return arrival;
  }

  /** A blob straight from a tier, for when the local store has no room. */
  #passOn(digest: Digest, options: ReadOptions | undefined): Promise<BlobReader | undefined> {
    const readFrom = async (tier: TierAccess) => {
      const reader = await tier.readVerified(digest, options);
      if (reader) tellTier(options?.span, tier.name);
      return reader;
    };
    return firstAnswer(this.#options.tiers, readFrom, { isGivenUp: () => options?.signal?.aborted === true });
  }
}

function tooMany(cause: unknown): TierUnavailableError {
  return new TierUnavailableError('of any kind', 'too many blobs are being fetched', { cause });
}
