import type { ActionResultStore, MaybePromise, OperationOptions } from '../blob-store.js';
import type { Digest } from '../digest.js';
import type { TierUnavailableError } from '../errors.js';
import type { Tier, TierMode } from './tier.js';
import type { TierAccess } from './tier-access.js';
import { tierUnavailable } from './tier-unavailable.js';
import type { TieredBlobStore } from './tiered-blob-store.js';

type ReferencesOf = (
  key: string,
  value: Buffer,
  options: OperationOptions | undefined,
) => MaybePromise<readonly Digest[]>;

/** The action results of one tier, and where the blobs that they name belong. */
export class ResultTier {
  readonly name: string;
  readonly mode: TierMode;
  readonly required: boolean;
  readonly results: ActionResultStore;
  readonly #blobs: TieredBlobStore;
  readonly #referencesOf: ReferencesOf;
  /** The tier's own blobs. */
  readonly #own: TierAccess | undefined;
  /** Tiers of the same mode, for the blobs that this one has no place for. */
  readonly #others: readonly TierAccess[];

  constructor(tier: Tier, results: ActionResultStore, blobs: TieredBlobStore, referencesOf: ReferencesOf) {
    this.name = tier.name;
    this.mode = tier.mode;
    this.required = tier.required;
    this.results = results;
    this.#blobs = blobs;
    this.#referencesOf = referencesOf;
    this.#own = blobs.tiers.find((access) => access.name === tier.name);
    const takesAll = this.#own !== undefined && tier.maxBlobBytes === undefined;
    this.#others = takesAll ? [] : blobs.tiers.filter((access) => access !== this.#own && access.mode === tier.mode);
  }

  /**
   * Writes a result, after the blobs that it names.
   *
   * @throws BlobDamagedError when one of the blobs is nowhere to be had; the result is not written then
   */
  async bring(key: string, value: Buffer, options: OperationOptions | undefined): Promise<void> {
    const digests = await this.#referencesOf(key, value, options);
    const elsewhere = digests.filter((digest) => !this.#own?.takes(digest));
    const { writes } = this.#blobs;
    if (this.#own) await writes.ensure(this.#own, digests, options);
    for (const other of this.#others) await writes.ensure(other, elsewhere, options);
    await this.results.set(key, value, options);
  }

  /** Writes a result that a slower tier had, if the tier has its blobs or they are here. */
  async promote(key: string, value: Buffer, options: OperationOptions): Promise<void> {
    if (this.#own) {
      const digests = await this.#referencesOf(key, value, options);
      const wanted = digests.filter((digest) => this.#own?.takes(digest));
      const missing = await this.#own.findMissing(wanted, options);
      if (!(await this.#blobs.writes.areHere(missing, options))) return;
      await this.#blobs.writes.ensure(this.#own, missing, options);
    }
    await this.results.set(key, value, options);
  }

  /** How a failure of the tier is told to those who can't do without it. */
  unavailable(error: unknown): TierUnavailableError {
    return tierUnavailable(this.name, error);
  }
}
