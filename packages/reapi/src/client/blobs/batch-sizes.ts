import type { Peer } from '../connection/peer.js';
import type { ResolvedGrpcOptions } from '../options.js';
import type { BatchLimits } from './batcher.js';

/** Bytes of a batch's message beside its blobs: the instance name, the digest function, framing. */
export const MESSAGE_ROOM = 16 * 1024;

/** Bytes of a blob's entry beside its data, at most: a hash of 128 digits, a size, a status without text, headers. */
export const ENTRY_BYTES = 192;

/** Blobs of each kind of batch that wait to be sent, at most. */
export const MAX_WAITING_BLOBS = 65_536;

/** What goes into a batch, by our limits and by the peer's. */
export class BatchSizes {
  readonly #peer: Peer;
  readonly #maxBlobBytes: number;
  readonly #messageBytes: number;
  #limits: BatchLimits;

  constructor(peer: Peer, options: ResolvedGrpcOptions) {
    this.#peer = peer;
    this.#maxBlobBytes = options.maxBatchBlobBytes;
    this.#messageBytes = options.maxMessageBytes - MESSAGE_ROOM;
    this.#limits = { maxCount: options.maxBatchBlobs, maxBytes: this.#messageBytes };
  }

  /** Entries with their frames stay below the peer's limit for the data alone, and within one message. */
  readonly limits = (): BatchLimits => {
    const maxBytes = Math.min(this.#messageBytes, this.#peer.known.maxBatchBytes || Number.POSITIVE_INFINITY);
    if (maxBytes !== this.#limits.maxBytes) this.#limits = { maxCount: this.#limits.maxCount, maxBytes };
    return this.#limits;
  };

  /** Whether a blob of this size travels in a batch, once the peer's capabilities are known. */
  takes(size: number): boolean {
    return size <= this.#maxBlobBytes && size + ENTRY_BYTES <= this.limits().maxBytes;
  }
}
