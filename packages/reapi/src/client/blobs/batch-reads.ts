import type { Digest, OperationOptions } from '@granary/blobs';
import { status as CODES } from '@grpc/grpc-js';
import {
  type BatchReadBlobsResponse,
  COMPRESSOR,
  decodeBatchReadBlobsResponse,
  encodeBatchReadBlobsRequest,
} from '../../wire/index.js';
import { decompress } from '../../zstd/index.js';
import type { Peer } from '../connection/peer.js';
import type { ResolvedGrpcOptions } from '../options.js';
import { answered } from './answered.js';
import { type BatchSizes, ENTRY_BYTES, MAX_WAITING_BLOBS } from './batch-sizes.js';
import { type Batch, Batcher, laneOf } from './batcher.js';

const METHOD = 'BatchReadBlobs';
const PATH = `/build.bazel.remote.execution.v2.ContentAddressableStorage/${METHOD}`;

type Answer = BatchReadBlobsResponse['responses'][number];
/** A blob's bytes, that it isn't there, or what is wrong with it alone. */
type Outcome = Buffer | undefined | Error;

/** `BatchReadBlobs`: small blobs of many callers in one call. */
export class BatchReads {
  readonly #peer: Peer;
  readonly #compressed: boolean;
  readonly #batcher: Batcher<Digest, Buffer | undefined>;

  constructor(peer: Peer, sizes: BatchSizes, options: ResolvedGrpcOptions) {
    this.#peer = peer;
    this.#compressed = options.compression !== 'off';
    this.#batcher = new Batcher({
      limits: sizes.limits,
      send: (batch) => this.#read(batch),
      delayMs: options.batchDelayMs,
      maxWaiting: MAX_WAITING_BLOBS,
      onFull: () => peer.failure('exhausted', 'too many small reads wait for their turn'),
    });
  }

  /** A blob that fits into a batch, in memory of its own; undefined when it is not there. */
  get(digest: Digest, options: OperationOptions | undefined): Promise<Buffer | undefined> {
    const bytes = digest.size + ENTRY_BYTES;
    return this.#batcher.submit({ item: digest, lane: laneOf(digest.function, options), count: 1, bytes }, options);
  }

  close(reason: unknown): void {
    this.#batcher.close(reason);
  }

  async #read({ items, options }: Batch<Digest>): Promise<Outcome[]> {
    const peer = this.#peer;
    const { zstd } = await peer.capabilities(options.signal);
    const digestFunction = (items[0] as Digest).function;
    const keys = items.map(String);
    const asked = new Map(items.map((digest, i) => [keys[i] as string, digest]));
    const request = encodeBatchReadBlobsRequest({
      instanceName: peer.instance,
      digestFunction,
      digests: [...asked.values()],
      acceptableCompressors: zstd && this.#compressed ? [COMPRESSOR.zstd] : [],
    });
    const response = await peer.unary(PATH, request, options);
    const { responses } = answered(peer, METHOD, () => decodeBatchReadBlobsResponse(response, digestFunction));
    const outcomes = new Map<string, Outcome>();
    for (const answer of responses) {
      const key = String(answer.digest);
      const digest = asked.get(key);
      if (!digest) throw peer.failure('invalid', `${METHOD} was answered with a blob that nobody asked for`);
      if (outcomes.has(key)) throw peer.failure('invalid', `${METHOD} was answered with ${digest} twice`);
      const outcome = this.#outcome(digest, answer);
      outcomes.set(key, outcome instanceof Promise ? await outcome : outcome);
    }
    const taken = new Set<string>();
    return keys.map((key) => {
      if (!outcomes.has(key)) return peer.failure('invalid', `${METHOD} was answered without ${key}`);
      const outcome = outcomes.get(key);
      // Everyone who asked for it gets memory of his own.
      if (!(outcome instanceof Buffer) || !taken.has(key)) {
        taken.add(key);
        return outcome;
      }
      return Buffer.from(outcome);
    });
  }

  #outcome(digest: Digest, { status, data, compressor }: Answer): Outcome | Promise<Outcome> {
    if (status.code === CODES.NOT_FOUND) return undefined;
    if (status.code !== CODES.OK) return this.#peer.statusFailure(PATH, { code: status.code, details: status.message });
    if (compressor === COMPRESSOR.zstd) return this.#decompress(digest, data);
    if (compressor !== COMPRESSOR.identity)
      return this.#wrong(digest, `is compressed with ${compressor}, which nobody asked for`);
    // A copy: a view would keep the whole answer in memory.
    return data.length === digest.size ? Buffer.from(data) : this.#wrong(digest, `has ${data.length} bytes`);
  }

  async #decompress(digest: Digest, data: Uint8Array): Promise<Outcome> {
    try {
      const bytes = await decompress(data, digest.size);
      return bytes.length === digest.size ? bytes : this.#wrong(digest, `has ${bytes.length} bytes`);
    } catch (error) {
      return this.#wrong(digest, error instanceof Error ? error.message : String(error));
    }
  }

  #wrong(digest: Digest, why: string): Error {
    return this.#peer.failure('invalid', `${METHOD}: what came for ${digest} ${why}`);
  }
}
