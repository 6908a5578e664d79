import type { ActionResultStore, BlobStore, Tier, TierMode } from '@granary/blobs';
import { Peer } from './connection/peer.js';
import { GrpcActionResultStore } from './grpc-action-result-store.js';
import { GrpcBlobStore } from './grpc-blob-store.js';
import { type GrpcTierOptions, type ResolvedGrpcOptions, resolveOptions } from './options.js';

/**
 * Another cache that speaks the Remote Execution API, over gRPC: bazel-remote, Buildbarn, NativeLink, BuildBuddy, another
 * Granary. Makes no connection until it is used. Failures are {@link RemoteStoreError}s.
 */
export class GrpcTier implements Tier, AsyncDisposable {
  readonly name: string;
  readonly mode: TierMode;
  readonly required: boolean;
  readonly blobs: BlobStore;
  /** A peer with a slow tier of its own behind it takes its time for each. */
  readonly checksAtOnce: number;
  readonly actionResults: ActionResultStore;
  readonly #peer: Peer;

  /** @throws RangeError that names the option which is wrong, and never quotes credentials */
  constructor(options: GrpcTierOptions, resolved: ResolvedGrpcOptions = resolveOptions(options)) {
    this.name = options.name;
    this.mode = options.mode;
    this.required = options.required ?? false;
    this.#peer = new Peer(resolved);
    this.blobs = new GrpcBlobStore(this.#peer, resolved);
    this.checksAtOnce = resolved.maxBatchBlobs;
    this.actionResults = new GrpcActionResultStore(this.#peer);
  }

  /** Where the peer is, without credentials. */
  get target(): string {
    return this.#peer.target.display;
  }

  /** Asks for the peer's capabilities; 10 s at most. */
  check(signal: AbortSignal): Promise<void> {
    return this.#peer.check(signal);
  }

  /** Ends what is under way, which fails with `STORE_CLOSED`, and closes the connections. */
  async close(): Promise<void> {
    await this.blobs.close();
    await this.actionResults.close();
    this.#peer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
