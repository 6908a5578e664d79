import type { BlobReader, BlobStore, GetOptions, OperationOptions, ReadOptions } from '../blob-store.js';
import { withVerification } from '../decorators/verified-store.js';
import type { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';
import type { TierUnavailableError } from '../errors.js';
import { RemoteStoreError } from '../remote/remote-store-error.js';
import { ExistenceCache } from './existence-cache.js';
import type { Tier, TierMode } from './tier.js';
import { tierUnavailable } from './tier-unavailable.js';

/** Blobs of a tier that are remembered as damaged. */
const MOST_DAMAGED = 10_000;

/** A tier's blobs, and what is known of them without asking. */
export class TierAccess {
  readonly tier: Tier;
  readonly #blobs: BlobStore;
  readonly #known: ExistenceCache;
  /**
   * What it delivered as something else. Not every tier can take that out, and as long as it says that it has the blob,
   * nobody would upload the right one.
   */
  readonly #damaged = new ExistenceCache({ maxEntries: MOST_DAMAGED });

  constructor(tier: Tier, blobs: BlobStore, known: ExistenceCache) {
    this.tier = tier;
    this.#blobs = blobs;
    this.#known = known;
  }

  get name(): string {
    return this.tier.name;
  }

  get mode(): TierMode {
    return this.tier.mode;
  }

  get required(): boolean {
    return this.tier.required;
  }

  /** Whether blobs of this size belong into the tier. */
  takes(digest: Digest): boolean {
    return digest.size <= (this.tier.maxBlobBytes ?? Number.POSITIVE_INFINITY);
  }

  /** Those that the tier is not known to have, in their order; nothing is asked. */
  unknown(digests: readonly Digest[]): Digest[] {
    return this.#known.unknown(digests);
  }

  /** The size of a blob, where the tier can say it, or has said to have the blob with its size. */
  async sizeOf(fn: DigestFunction, hash: Uint8Array, options?: OperationOptions): Promise<number | undefined> {
    const { sizes } = this.tier;
    return sizes ? sizes.sizeOf(fn, hash, options) : this.#known.sizeOf(fn, hash);
  }

  /**
   * Those that the tier doesn't have, or has damaged, in their order. Nothing is asked when all are known. What was learned
   * before a failure stays known.
   *
   * @param mayGoOn asked before each call but the first
   * @throws RemoteStoreError `timeout` when it may not
   */
  async findMissing(
    digests: readonly Digest[],
    options?: OperationOptions,
    mayGoOn: () => boolean = () => true,
  ): Promise<Digest[]> {
    const unknown = this.#known.unknown(digests);
    const { checksAtOnce = unknown.length } = this.tier;
    const lacking: Digest[] = [];
    for (let asked = 0; asked < unknown.length; asked += checksAtOnce) {
      if (asked > 0 && !mayGoOn()) {
        const reason = `findMissing: there was time for ${asked} of ${unknown.length}`;
        throw new RemoteStoreError(this.name, 'timeout', reason);
      }
      const some = unknown.slice(asked, asked + checksAtOnce);
      for (const digest of await this.#check(some, options)) lacking.push(digest);
    }
    return lacking;
  }

  async #check(unknown: readonly Digest[], options: OperationOptions | undefined): Promise<Digest[]> {
    const missing = await this.#blobs.findMissing(unknown, options);
    const present: Digest[] = [];
    const lacking: Digest[] = [];
    let next = 0;
    for (const digest of unknown) {
      const isMissing = missing[next]?.equals(digest) === true;
      if (isMissing) next++;
      if (isMissing || this.#damaged.has(digest)) lacking.push(digest);
      else present.push(digest);
    }
    // Of an answer in another order, what is absent can't be told from what is there: nothing is remembered.
    if (next < missing.length) return missing;
    for (const digest of present) this.#known.add(digest);
    return lacking;
  }

  async get(digest: Digest, options?: GetOptions): Promise<Buffer | undefined> {
    const bytes = await this.#blobs.get(digest, options);
    this.#note(digest, bytes !== undefined);
    return bytes;
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    const reader = await this.#blobs.read(digest, options);
    this.#note(digest, reader !== undefined);
    return reader;
  }

  /** Reads past the local store, so that the bytes are verified here. */
  readVerified(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    return withVerification(this.#blobs, (_, reason) => this.damaged(digest, reason)).read(digest, options);
  }

  /** Uploads what `open` gives, unless the tier has it already. */
  async write(
    digest: Digest,
    open: () => Promise<Uint8Array | AsyncIterable<Uint8Array>>,
    options?: OperationOptions,
  ): Promise<void> {
    if ((await this.findMissing([digest], options)).length === 0) return;
    await this.#blobs.write(digest, await open(), options);
    this.#known.add(digest);
  }

  /** The tier delivered something else than the digest names. */
  damaged(digest: Digest, reason: string): void {
    this.#known.forget(digest);
    this.#damaged.add(digest);
    this.tier.onDamaged?.(digest, reason);
  }

  /** How a failure of the tier is told to those who can't do without it. */
  unavailable(error: unknown): TierUnavailableError {
    return tierUnavailable(this.name, error);
  }

  #note(digest: Digest, found: boolean): void {
    if (found) this.#known.add(digest);
    else this.#known.forget(digest);
  }
}
