import type { ActionResultStore, BlobStore, SizeLookup } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { DamagedBlobs } from '../remote/damaged-blobs.js';
import { QUESTIONS_IN_TURN } from '../remote/missing-blobs.js';
import type { Tier, TierMode } from '../tiered/tier.js';
import { Bucket } from './bucket.js';
import { type ResolvedS3Options, resolveS3Options, type S3TierOptions } from './options.js';
import { S3ActionResultStore } from './s3-action-result-store.js';
import { S3BlobStore } from './s3-blob-store.js';

const CHECK_TIMEOUT_MS = 10_000;

/**
 * A bucket of AWS S3 or of any store that speaks its protocol. Makes no connection until it is used. Failures are
 * `RemoteStoreError`s; there are no retries, no breaker and no limit on the time of a request as a whole here: those are
 * for whoever decorates its stores.
 */
export class S3Tier implements Tier, AsyncDisposable {
  readonly name: string;
  readonly mode: TierMode;
  readonly required: boolean;
  readonly blobs: BlobStore;
  readonly checksAtOnce: number;
  readonly maxCalls: number;
  readonly sizes: SizeLookup;
  readonly actionResults: ActionResultStore;
  readonly #bucket: Bucket;
  readonly #damaged: DamagedBlobs;

  /** @throws RangeError that names the option which is wrong, and never quotes credentials */
  constructor(options: S3TierOptions, resolved: ResolvedS3Options = resolveS3Options(options)) {
    this.name = options.name;
    this.mode = options.mode;
    this.required = options.required ?? false;
    this.#bucket = new Bucket(resolved);
    const blobs = new S3BlobStore(this.#bucket, resolved);
    this.blobs = blobs;
    this.maxCalls = resolved.connections;
    this.checksAtOnce = QUESTIONS_IN_TURN * resolved.parallelChecks;
    this.sizes = blobs;
    this.#damaged = new DamagedBlobs(blobs, resolved.logger);
    this.actionResults = new S3ActionResultStore(this.#bucket, resolved);
  }

  /** Asks for the bucket; 10 s at most. */
  async check(signal: AbortSignal): Promise<void> {
    const late = AbortSignal.timeout(CHECK_TIMEOUT_MS);
    await this.#bucket.check(AbortSignal.any([signal, late]));
  }

  /** Removes the blob from the bucket if it is damaged there, unless nothing may be written. */
  onDamaged(digest: Digest): void {
    if (this.mode !== 'read-only') this.#damaged.report(digest);
  }

  /** Ends what is under way, which fails with `STORE_CLOSED`, throws parts away and closes the connections. */
  async close(): Promise<void> {
    await this.#damaged.close();
    await this.blobs.close();
    await this.actionResults.close();
    this.#bucket.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
