import type { Digest, OperationOptions } from '@granary/blobs';
import { status as CODES } from '@grpc/grpc-js';
import {
  type BlobUpload,
  COMPRESSOR,
  decodeBatchUpdateBlobsResponse,
  encodeBatchUpdateBlobsRequest,
} from '../../wire/index.js';
import { compress, zstdSupport } from '../../zstd/index.js';
import type { Peer } from '../connection/peer.js';
import type { ResolvedGrpcOptions } from '../options.js';
import { answered } from './answered.js';
import { type BatchSizes, ENTRY_BYTES, MAX_WAITING_BLOBS } from './batch-sizes.js';
import { type Batch, Batcher, laneOf } from './batcher.js';

const METHOD = 'BatchUpdateBlobs';
const PATH = `/build.bazel.remote.execution.v2.ContentAddressableStorage/${METHOD}`;

/** Below this size compressing saves nothing. */
const MIN_COMPRESSED_BYTES = 1024;

/** `BatchUpdateBlobs`: small blobs of many callers in one call. */
export class BatchUpdates {
  readonly #peer: Peer;
  readonly #compress: boolean;
  readonly #batcher: Batcher<BlobUpload, true>;

  constructor(peer: Peer, sizes: BatchSizes, options: ResolvedGrpcOptions) {
    this.#peer = peer;
    this.#compress = options.compression !== 'off' && zstdSupport().compress;
    this.#batcher = new Batcher({
      limits: sizes.limits,
      send: (batch) => this.#update(batch),
      delayMs: options.batchDelayMs,
      maxWaiting: MAX_WAITING_BLOBS,
      onFull: () => peer.failure('exhausted', 'too many small writes wait for their turn'),
    });
  }

  /**
   * Uploads a blob that fits into a batch. Its bytes must not change meanwhile.
   *
   * @throws GrpcStatusError when the peer refuses this blob
   */
  async put(digest: Digest, bytes: Uint8Array, options: OperationOptions | undefined): Promise<void> {
    const upload = await this.#pack(digest, bytes, options);
    const lane = laneOf(digest.function, options);
    // By the plain size: peers count it as they like.
    await this.#batcher.submit({ item: upload, lane, count: 1, bytes: digest.size + ENTRY_BYTES }, options);
  }

  close(reason: unknown): void {
    this.#batcher.close(reason);
  }

  async #pack(digest: Digest, bytes: Uint8Array, options: OperationOptions | undefined): Promise<BlobUpload> {
    const plain = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const { zstdUpdates } = await this.#peer.capabilities(options?.signal);
    if (this.#compress && zstdUpdates && bytes.length >= MIN_COMPRESSED_BYTES) {
      const data = await compress(plain);
      if (data.length < plain.length) return { digest, data, compressor: COMPRESSOR.zstd };
    }
    return { digest, data: plain, compressor: COMPRESSOR.identity };
  }

  async #update({ items, options }: Batch<BlobUpload>): Promise<(true | Error)[]> {
    const results = new Map<BlobUpload, true | Error>();
    for (let rest = items; rest.length > 0; ) {
      const uploads = new Map<string, BlobUpload>();
      // A blob is sent once; the same digest with other bytes, of which one is wrong, is another caller's matter.
      const others: BlobUpload[] = [];
      for (const upload of rest) {
        const key = String(upload.digest);
        const first = uploads.get(key);
        if (!first) uploads.set(key, upload);
        else if (!first.data.equals(upload.data)) others.push(upload);
      }
      const statuses = await this.#send(uploads, options);
      for (const upload of rest)
        if (!others.includes(upload)) results.set(upload, statuses.get(String(upload.digest)) as true | Error);
      rest = others;
    }
    return items.map((upload) => results.get(upload) as true | Error);
  }

  async #send(
    uploads: ReadonlyMap<string, BlobUpload>,
    options: OperationOptions,
  ): Promise<ReadonlyMap<string, true | Error>> {
    const peer = this.#peer;
    const requests = [...uploads.values()];
    const { function: digestFunction } = (requests[0] as BlobUpload).digest as Digest;
    const request = encodeBatchUpdateBlobsRequest({ instanceName: peer.instance, digestFunction, requests });
    const response = await peer.unary(PATH, request, options);
    const { responses } = answered(peer, METHOD, () => decodeBatchUpdateBlobsResponse(response, digestFunction));
    const statuses = new Map<string, true | Error>();
    for (const { digest, status } of responses) {
      const key = String(digest);
      if (!uploads.has(key)) throw peer.failure('invalid', `${METHOD} was answered with a blob that nobody sent`);
      if (statuses.has(key)) throw peer.failure('invalid', `${METHOD} was answered with ${key} twice`);
      const { code, message } = status;
      const isThere = code === CODES.OK || code === CODES.ALREADY_EXISTS;
      statuses.set(key, isThere || peer.statusFailure(PATH, { code, details: message }));
    }
    for (const key of uploads.keys())
      if (!statuses.has(key)) statuses.set(key, peer.failure('invalid', `${METHOD} was answered without ${key}`));
    return statuses;
  }
}
