import { InFlight } from '@granary/resilience';
import { type Logger, type Tracer, withSpan } from '@granary/telemetry';
import { blobKeyOf } from '../blob-key.js';
import { isContentOf } from '../blob-source.js';
import type { BlobStore, OperationOptions } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { StoreSpans } from '../store-spans.js';
import { firstAnswer } from './first-answer.js';
import { TierFlight, tellTier } from './tell-tier.js';
import type { TierAccess } from './tier-access.js';

/** Blobs whose storing here goes on in the background; from there on it is waited for. */
const MOST_BACKGROUND_WRITES = 64;

export interface WholeFetchesOptions {
  readonly local: BlobStore;
  readonly tiers: readonly TierAccess[];
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** Told when a blob has come from a tier into the local store. */
  readonly onStored: (digest: Digest, from: TierAccess) => void;
}

/** Fetches small blobs from the tiers in one piece, once for all who ask for the same, and keeps them in the local store. */
export class WholeFetches {
  readonly #options: WholeFetchesOptions;
  readonly #spans: StoreSpans;
  readonly #flights = new InFlight<string, TierFlight<Buffer>>();
  readonly #storing = new Set<Promise<void>>();

  constructor(options: WholeFetchesOptions) {
    this.#options = options;
    this.#spans = new StoreSpans(options.tracer);
  }

  /** The blob from the first tier that has it; undefined when none does. What it gives is the caller's own. */
  async fetch(digest: Digest, options: OperationOptions | undefined): Promise<Buffer | undefined> {
    const key = blobKeyOf(digest);
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
    void this.#askTiers(digest.compact(), flight, options).then(
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

  /** Ends all of them; whoever waits gets the reason. Resolves when nothing is being stored any more. */
  async stop(reason: unknown): Promise<void> {
    for (const flight of this.#flights.values()) {
      flight.stop(reason);
      flight.fail(reason);
    }
    await Promise.allSettled(this.#storing);
  }

  #askTiers(
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
    return firstAnswer(this.#options.tiers, fetchFrom, { isGivenUp: () => flight.isStopped });
  }

  async #getFrom(tier: TierAccess, digest: Digest, options: OperationOptions): Promise<Buffer | undefined> {
    const { tracer } = this.#options;
    const parent = options.span;
    const attributes = { 'cache.tier': tier.name, 'cache.digest': String(digest), 'cache.size': digest.size };
    const get = async (passed: OperationOptions) => {
      const bytes = await tier.get(digest, passed);
      if (!bytes || isContentOf(digest, bytes)) return bytes;
      tier.damaged(digest, `${bytes.length} bytes with another hash were delivered`);
      return undefined;
    };
    if (!parent?.recording) return get(options);
    return withSpan(tracer, 'proxy.Get.RemoteFetch', { kind: 'client', parent, attributes }, async (span) => {
      const bytes = await get({ ...options, span });
      span.setAttribute('cache.hit', bytes !== undefined);
      return bytes;
    });
  }

  /** Keeps a blob here, which whoever waits for it need not wait for. */
  async #keep(digest: Digest, bytes: Buffer, from: TierAccess): Promise<void> {
    const { local, logger, onStored } = this.#options;
    const storing = local
      .write(digest, Buffer.from(bytes))
      .then(() => onStored(digest, from))
      .catch((error: unknown) => logger.debug('{Digest} was not kept', String(digest), error))
      .finally(() => this.#storing.delete(storing));
    this.#storing.add(storing);
    if (this.#storing.size > MOST_BACKGROUND_WRITES) await storing;
  }
}
