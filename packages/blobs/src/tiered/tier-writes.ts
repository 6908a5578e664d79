import { InvalidOptionError, isQueueFull, SemaphoreThrottle, untilAborted } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import type { BlobSource, BlobStore, OperationOptions } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { BlobDamagedError } from '../errors.js';
import type { Tier } from './tier.js';
import type { TierAccess } from './tier-access.js';

/** Blobs up to this size are sent from memory, so that a failed attempt can be repeated. */
const WHOLE_BYTES = 256 * 1024;

/** Uploads at once that nobody waits for: promotions, and blobs that an action result needs. */
const MOST_AT_ONCE = 8;
const MOST_PROMOTIONS_WAITING = 1000;

/** Takes what is to be written to tiers later, and keeps it through a restart. */
export interface WriteBehind {
  /** Resolves when it is certain that the tier will get the blob, or that there is no room for it. */
  blob(tier: string, digest: Digest): Promise<void>;
  /** The same for an action result, which the tier gets after the blobs that it names. */
  actionResult(tier: string, key: string): Promise<void>;
}

export interface TierWritesOptions {
  readonly local: BlobStore;
  /** Has what the tiers have too, for blobs that an action result needs in one more tier. */
  readonly anywhere: BlobStore;
  readonly tiers: readonly TierAccess[];
  readonly writeBehind: WriteBehind | undefined;
  readonly logger: Logger;
}

/** Brings blobs from the local store to the tiers, as the mode of each says. */
export class TierWrites {
  readonly #options: TierWritesOptions;
  readonly #promotions = new SemaphoreThrottle(MOST_AT_ONCE, { maxQueue: MOST_PROMOTIONS_WAITING });
  readonly #closed = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(options: TierWritesOptions) {
    this.#options = options;
  }

  /**
   * A blob was uploaded, and is in the local store.
   *
   * @throws TierUnavailableError when a tier that is required didn't take it
   */
  async uploaded(digest: Digest, options: OperationOptions | undefined): Promise<void> {
    const { tiers, writeBehind } = this.#options;
    const done: Promise<void>[] = [];
    for (const tier of tiers) {
      if (!tier.takes(digest)) continue;
      if (tier.mode === 'write-behind') done.push(writeBehind?.blob(tier.name, digest) ?? Promise.resolve());
      if (tier.mode === 'write-through') done.push(this.#through(tier, digest, options));
    }
    await allOf(done);
  }

  /** A blob came from a tier: the tiers in front of it get it too, in the background and as far as there is room. */
  found(digest: Digest, from: TierAccess): void {
    for (const tier of this.#options.tiers) {
      if (tier === from) return;
      if (tier.mode !== 'read-only' && tier.takes(digest)) this.#promote(tier, digest.compact());
    }
  }

  /**
   * Brings those of the blobs that a tier is for and doesn't have, before an action result that names them: from here, or
   * from another tier.
   *
   * @throws BlobDamagedError when one is nowhere
   * @throws what the tier throws when it doesn't take them all
   */
  async ensure(tier: TierAccess, digests: readonly Digest[], options: OperationOptions | undefined): Promise<void> {
    const wanted = digests.filter((digest) => tier.takes(digest));
    const missing = (await tier.findMissing(wanted, options)).values();
    let failed = false;
    const worker = async () => {
      for (const digest of missing) {
        if (failed) return;
        try {
          await tier.write(digest, () => this.#open(this.#options.anywhere, digest, options), options);
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    await allOf(Array.from({ length: MOST_AT_ONCE }, worker));
  }

  /** Whether all of these are in the local store. */
  async areHere(digests: readonly Digest[], options: OperationOptions | undefined): Promise<boolean> {
    return digests.length === 0 || (await this.#options.local.findMissing(digests, options)).length === 0;
  }

  /** Sends a blob that was queued; false when it is not here any more. */
  async sendQueued(tier: TierAccess, digest: Digest, signal: AbortSignal): Promise<boolean> {
    if (!(await this.areHere([digest], { signal }))) return false;
    await this.send(tier, digest, { signal });
    return true;
  }

  /** Sends one blob to one tier, unless that has it. Rejects when it can't be sent. */
  async send(tier: TierAccess, digest: Digest, options: OperationOptions | undefined): Promise<void> {
    await tier.write(digest, () => this.#open(this.#options.local, digest, options), options);
  }

  /** Ends what runs in the background. */
  async close(): Promise<void> {
    this.#closed.abort(new DOMException('the store is closing', 'AbortError'));
    await Promise.allSettled(this.#running);
  }

  async #through(tier: TierAccess, digest: Digest, options: OperationOptions | undefined): Promise<void> {
    try {
      await this.send(tier, digest, options);
    } catch (error) {
      if (options?.signal?.aborted) throw error;
      if (tier.required) throw tier.unavailable(error);
      this.#options.logger.debug('{Tier} did not get {Digest}', tier.name, String(digest), error);
    }
  }

  #promote(tier: TierAccess, digest: Digest): void {
    const { signal } = this.#closed;
    const promotion = this.#promotions
      .run(() => untilAborted(this.send(tier, digest, { signal }), signal), { signal })
      .catch((error: unknown) => {
        if (isQueueFull(error) || signal.aborted) return;
        this.#options.logger.debug('{Tier} did not get {Digest}', tier.name, String(digest), error);
      })
      .finally(() => this.#running.delete(promotion));
    this.#running.add(promotion);
  }

  /** Small blobs in memory; of larger ones nothing is opened before the tier asks for the first chunk. */
  async #open(store: BlobStore, digest: Digest, options: OperationOptions | undefined): Promise<BlobSource> {
    if (digest.size > WHOLE_BYTES) return openedLate(store, digest, options);
    const bytes = await store.get(digest, options);
    if (!bytes) throw wentAway(digest);
    return bytes;
  }
}

async function* openedLate(
  store: BlobStore,
  digest: Digest,
  options: OperationOptions | undefined,
): AsyncGenerator<Uint8Array, void> {
  const reader = await store.read(digest, options);
  if (!reader) throw wentAway(digest);
  yield* reader;
}

function wentAway(digest: Digest): BlobDamagedError {
  return new BlobDamagedError(`${digest} went away before it was sent on`);
}

/** @throws InvalidOptionError when a tier is written behind and there is nothing that does it */
export function checkWriteBehind(tiers: readonly Tier[], writeBehind: WriteBehind | undefined): void {
  const tier = tiers.find(({ mode }) => mode === 'write-behind');
  if (tier && !writeBehind) throw new InvalidOptionError('writeBehind', `given for the tier ${tier.name}`, writeBehind);
}

/** Waits for all, also when some fail; then throws the first failure. */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
