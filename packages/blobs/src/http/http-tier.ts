import type { ActionResultStore, BlobStore, SizeLookup } from '../blob-store.js';
import { emptyDigest } from '../digest.js';
import { QUESTIONS_IN_TURN } from '../remote/missing-blobs.js';
import type { Tier, TierMode } from '../tiered/tier.js';
import { CacheServer, discard } from './cache-server.js';
import { HttpActionResultStore } from './http-action-result-store.js';
import { HttpBlobStore } from './http-blob-store.js';
import { type HttpTierOptions, resolveHttpOptions } from './options.js';

const CHECK_TIMEOUT_MS = 10_000;

/**
 * Another cache that speaks Bazel's HTTP cache protocol: nginx, bazel-remote, another Granary. Makes no connection until
 * it is used. Failures are `RemoteStoreError`s; there are no retries, no breaker and no limit on the time of a request
 * as a whole here: those are for whoever decorates its stores.
 */
export class HttpTier implements Tier, AsyncDisposable {
  readonly name: string;
  readonly mode: TierMode;
  readonly required: boolean;
  readonly blobs: BlobStore;
  readonly checksAtOnce: number;
  readonly maxCalls: number;
  readonly sizes: SizeLookup;
  readonly actionResults: ActionResultStore;
  readonly #server: CacheServer;

  /** @throws RangeError that names the option which is wrong, and never quotes credentials */
  constructor(options: HttpTierOptions) {
    const resolved = resolveHttpOptions(options);
    this.name = options.name;
    this.mode = options.mode;
    this.required = options.required ?? false;
    this.#server = new CacheServer(resolved);
    const blobs = new HttpBlobStore(this.#server, resolved);
    this.blobs = blobs;
    this.maxCalls = resolved.connections;
    this.checksAtOnce = QUESTIONS_IN_TURN * resolved.parallelChecks;
    this.sizes = blobs;
    this.actionResults = new HttpActionResultStore(this.#server, resolved);
  }

  /** Where the server is, without credentials. */
  get target(): string {
    return this.#server.display;
  }

  /** Asks for a blob that needn't be there; 10 s at most. */
  async check(signal: AbortSignal): Promise<void> {
    const response = await this.#server.send(
      {
        method: 'HEAD',
        path: `/cas/${emptyDigest('sha256').hash}`,
        headers: { 'accept-encoding': 'identity' },
        accept: [405, 501],
        signal,
        timeoutMs: CHECK_TIMEOUT_MS,
      },
      undefined,
    );
    if (response) await discard(response);
  }

  /** Ends what is under way, which fails with `STORE_CLOSED`, and closes the connections. */
  async close(): Promise<void> {
    await this.blobs.close();
    await this.actionResults.close();
    await this.#server.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
