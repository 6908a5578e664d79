import {
  type BlobReader,
  type BlobSource,
  type BlobStore,
  BlobTooLargeError,
  BufferReader,
  type Digest,
  DigestMismatchError,
  type GetOptions,
  hashBytes,
  type OperationOptions,
  type ReadOptions,
  type RemoteStoreError,
  readAll,
  readRange,
  StoreClosedError,
} from '@granary/blobs';
import { status as CODES } from '@grpc/grpc-js';
import { availableEngines } from '../zstd/engines.js';
import { zstdSupport } from '../zstd/index.js';
import { BatchReads } from './blobs/batch-reads.js';
import { BatchSizes } from './blobs/batch-sizes.js';
import { BatchUpdates } from './blobs/batch-updates.js';
import { openDownload } from './blobs/blob-download.js';
import { upload } from './blobs/blob-upload.js';
import { ExistenceChecks } from './blobs/existence-checks.js';
import { UploadSource } from './blobs/upload-source.js';
import { hasStatus } from './connection/call-failure.js';
import type { Peer } from './connection/peer.js';
import type { ResolvedGrpcOptions } from './options.js';

/**
 * Another cache's content. Nothing here is verified but sizes: whoever reads compares the hash. Nothing can be deleted,
 * since the protocol has no call for it.
 */
export class GrpcBlobStore implements BlobStore {
  readonly name: string;
  readonly #peer: Peer;
  readonly #sizes: BatchSizes;
  readonly #checks: ExistenceChecks;
  readonly #reads: BatchReads;
  readonly #updates: BatchUpdates;
  readonly #zstdDown: boolean;
  readonly #zstdUp: boolean;
  #closed = false;

  constructor(peer: Peer, options: ResolvedGrpcOptions) {
    this.name = options.name;
    this.#peer = peer;
    this.#sizes = new BatchSizes(peer, options);
    this.#checks = new ExistenceChecks(peer, options);
    this.#reads = new BatchReads(peer, this.#sizes, options);
    this.#updates = new BatchUpdates(peer, this.#sizes, options);
    const { compression } = options;
    this.#zstdDown = compression === 'on' || (compression === 'auto' && availableEngines().node !== undefined);
    this.#zstdUp = compression !== 'off' && zstdSupport().compress;
  }

  async findMissing(digests: readonly Digest[], options?: OperationOptions): Promise<Digest[]> {
    this.#checkUsable(options);
    return this.#checks.missing(digests, options);
  }

  async get(digest: Digest, options?: GetOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    const { digestFunctions } = await this.#peer.capabilities(options?.signal);
    if (!digestFunctions.has(digest.function)) return undefined;
    if (this.#sizes.takes(digest.size)) return this.#reads.get(digest, options);
    const reader = await this.read(digest, options);
    return reader && readAll(reader);
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    this.#checkUsable(options);
    const { digestFunctions, zstd } = await this.#peer.capabilities(options?.signal);
    if (!digestFunctions.has(digest.function)) return undefined;
    const range = readRange(digest.size, options);
    if (range.length === 0) {
      const missing = await this.#checks.missing([digest], options);
      return missing.length > 0 ? undefined : BufferReader.copyOf(new Uint8Array(0));
    }
    const isWhole = range.length === digest.size;
    if (isWhole && this.#sizes.takes(digest.size)) {
      const bytes = await this.#reads.get(digest, options);
      return bytes && BufferReader.copyOf(bytes);
    }
    return openDownload(this.#peer, digest, range, isWhole && zstd && this.#zstdDown, options);
  }

  /**
   * Bytes in memory are sent at once; for a stream the peer is asked first whether it has the blob.
   *
   * @throws DigestMismatchError also when the peer refuses complete content as invalid
   * @throws RemoteStoreError `refused` when the peer doesn't know the digest function
   */
  async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    this.#checkUsable(options);
    const { digestFunctions, maxBlobBytes, zstd } = await this.#peer.capabilities(options?.signal);
    if (!digestFunctions.has(digest.function))
      throw this.#peer.failure('refused', `the peer does not know the digest function ${digest.function}`, {
        unfit: true,
      });
    if (maxBlobBytes > 0 && digest.size > maxBlobBytes) throw new BlobTooLargeError(digest.size, maxBlobBytes);
    if (source instanceof Uint8Array) {
      if (source.length !== digest.size)
        throw new DigestMismatchError(`the content has ${source.length} bytes, and its digest names ${digest.size}`);
    } else if ((await this.#checks.missing([digest], options)).length === 0) return;
    if (this.#sizes.takes(digest.size)) return this.#writeSmall(digest, source, options);
    const { refusal } = await upload(this.#peer, digest, source, zstd && this.#zstdUp, options);
    if (refusal) throw contentRefused(digest, source, refusal);
  }

  async #writeSmall(digest: Digest, source: BlobSource, options: OperationOptions | undefined): Promise<void> {
    const bytes = source instanceof Uint8Array ? source : await collect(source, digest.size, options?.signal);
    try {
      await this.#updates.put(digest, bytes, options);
    } catch (error) {
      throw hasStatus(error, CODES.INVALID_ARGUMENT) ? contentRefused(digest, bytes, error) : error;
    }
  }

  /** The protocol has no call for it. */
  async delete(): Promise<boolean> {
    return false;
  }

  /** Ends the batches under way and refuses what comes; streams end with the tier. */
  async close(): Promise<void> {
    this.#closed = true;
    const reason = new StoreClosedError();
    for (const batches of [this.#checks, this.#reads, this.#updates]) batches.close(reason);
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}

/**
 * A peer that has all of the content and calls it invalid says that it has another hash. Where the bytes are still here
 * that is looked at; those of a stream are gone.
 */
function contentRefused(digest: Digest, source: BlobSource, refusal: RemoteStoreError): Error {
  if (source instanceof Uint8Array && hashBytes(digest.function, source).equals(digest.bytes)) return refusal;
  return new DigestMismatchError(`the content of ${digest} was refused: ${refusal.message}`);
}

async function collect(
  source: AsyncIterable<Uint8Array>,
  size: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const content = new UploadSource(source, size);
  const stop = () => content.stop(signal?.reason);
  signal?.addEventListener('abort', stop);
  try {
    const bytes = Buffer.allocUnsafe(size);
    let filled = 0;
    for await (const chunk of content) {
      bytes.set(chunk, filled);
      filled += chunk.length;
    }
    return bytes;
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}
