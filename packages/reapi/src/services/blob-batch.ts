import {
  type BlobStore,
  BlobTooLargeError,
  Digest,
  type GetOptions,
  type MaybePromise,
  type OperationOptions,
} from '@granary/blobs';
import type { Span } from '@granary/telemetry';
import { type BlobUpload, COMPRESSOR, type RequestedDigest, validDigest } from '../wire/index.js';
import { compress, decompress, zstdSupport } from '../zstd/index.js';
import type { CacheLimits } from './limits.js';
import { isPending } from './pending.js';
import { invalidRequest, ProtocolError } from './protocol-error.js';

/** Compressed blobs of one batch that are unpacked at a time, so that a batch can't take memory for all of them. */
const UNPACKING = 4;

/**
 * Blobs of one batch that a store works on at a time, where it takes its time: the last of tens of thousands would wait for
 * too long for a tier.
 */
const AT_ONCE = 2000;

/** Blobs below this size are not worth compressing one by one. */
const MIN_COMPRESSED_BYTES = 1024;

type BatchLimits = Pick<CacheLimits, 'maxBatchTotalBytes' | 'maxBlobBytes'>;

/**
 * Stores the blobs of one batch; each succeeds or fails by itself.
 *
 * @returns for each upload, in order, undefined or why it failed
 * @throws ProtocolError when the batch as a whole is over its limit
 */
export async function updateBlobs(
  blobs: BlobStore,
  uploads: readonly BlobUpload[],
  limits: BatchLimits,
  options?: OperationOptions,
): Promise<unknown[]> {
  let total = 0;
  for (const { data } of uploads) total += data.length;
  checkTotal(total, limits);

  const failures = new Array<unknown>(uploads.length).fill(undefined);
  const plain: number[] = [];
  const packed: number[] = [];
  for (const [i, { compressor }] of uploads.entries()) (compressor === COMPRESSOR.zstd ? packed : plain).push(i);
  await Promise.all([eachOf(plain, AT_ONCE, store), eachOf(packed, UNPACKING, store)]);
  return failures;

  async function store(i: number): Promise<void> {
    try {
      const upload = uploads[i] as BlobUpload;
      const digest = validDigest(upload.digest);
      if (limits.maxBlobBytes > 0 && digest.size > limits.maxBlobBytes)
        throw new BlobTooLargeError(digest.size, limits.maxBlobBytes);
      await blobs.write(digest, await plainData(upload, digest, limits), options);
    } catch (error) {
      failures[i] = error;
    }
  }
}

/** Takes the answers of a batch, in the order of the request. */
export interface BlobAnswers {
  /**
   * Memory for the bytes of a blob that is being read. They count once they are handed to {@link found}, which comes
   * next unless the blob turned out not to be there.
   */
  place(requested: RequestedDigest, bytes: number): Buffer;
  found(requested: RequestedDigest, data: Buffer, compressor: number): void;
  failed(requested: RequestedDigest, error: unknown): void;
}

/**
 * Reads the blobs of one batch; each is found or not by itself. Ends at once when the store answers at once.
 *
 * @param compressors what the client takes besides plain bytes
 * @throws ProtocolError when the blobs asked for are over the limit together
 */
export function readBlobs(
  blobs: BlobStore,
  requested: readonly RequestedDigest[],
  compressors: readonly number[],
  limits: BatchLimits,
  answers: BlobAnswers,
  options?: OperationOptions,
): MaybePromise<void> {
  let total = 0;
  for (const each of requested) if (each instanceof Digest) total += each.size;
  checkTotal(total, limits);

  const zstd = compressors.includes(COMPRESSOR.zstd) && zstdSupport().compress;
  const getting = new Getting(answers, options);
  for (let i = 0; i < requested.length; i++) {
    const each = requested[i] as RequestedDigest;
    try {
      const found = blobs.get(validDigest(each), zstd ? options : getting.of(each));
      if (zstd || isPending(found)) return readRest(blobs, requested.slice(i), found, zstd, answers, options);
      if (found) answers.found(each, found, COMPRESSOR.identity);
      else answers.failed(each, notHere(each));
    } catch (error) {
      answers.failed(each, error);
    }
  }
  return undefined;
}

/** Goes on where a store does not answer at once, or where the bytes are to be compressed. */
async function readRest(
  blobs: BlobStore,
  requested: readonly RequestedDigest[],
  first: MaybePromise<Buffer | undefined>,
  zstd: boolean,
  answers: BlobAnswers,
  options: OperationOptions | undefined,
): Promise<void> {
  const read = async (each: RequestedDigest, found: MaybePromise<Buffer | undefined>) => {
    const data = await found;
    if (!data) throw notHere(each);
    const packed = zstd && data.length >= MIN_COMPRESSED_BYTES ? await compress(data) : data;
    return packed.length < data.length
      ? { data: packed, compressor: COMPRESSOR.zstd }
      : { data, compressor: COMPRESSOR.identity };
  };
  const outcomes: (() => void)[] = [];
  await eachOf([...requested.keys()], AT_ONCE, async (i) => {
    const each = requested[i] as RequestedDigest;
    try {
      const { data, compressor } = await read(each, i === 0 ? first : blobs.get(validDigest(each), options));
      outcomes[i] = () => answers.found(each, data, compressor);
    } catch (error) {
      outcomes[i] = () => answers.failed(each, error);
    }
  });
  for (const tell of outcomes) tell();
}

/** Does something with each, some at a time; what it does must not fail. */
async function eachOf(indexes: readonly number[], atOnce: number, work: (i: number) => Promise<void>): Promise<void> {
  const next = indexes.values();
  const worker = async () => {
    for (const i of next) await work(i);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, indexes.length) }, worker));
}

/** Options for one `get` after the other, made once: an object for each would cost a good part of the `get`. */
class Getting implements GetOptions {
  readonly allocate: (bytes: number) => Buffer;
  readonly #options: OperationOptions | undefined;
  #requested: RequestedDigest | undefined;

  constructor(answers: BlobAnswers, options: OperationOptions | undefined) {
    this.#options = options;
    this.allocate = (bytes) => answers.place(this.#requested as RequestedDigest, bytes);
  }

  get signal(): AbortSignal | undefined {
    return this.#options?.signal;
  }

  get span(): Span | undefined {
    return this.#options?.span;
  }

  of(requested: RequestedDigest): this {
    this.#requested = requested;
    return this;
  }
}

function notHere(digest: RequestedDigest): ProtocolError {
  return new ProtocolError('NOT_FOUND', `the blob ${digest} is not here`);
}

function checkTotal(total: number, { maxBatchTotalBytes }: BatchLimits): void {
  if (total > maxBatchTotalBytes)
    throw invalidRequest(
      `the batch has ${total} bytes; the limit is ${maxBatchTotalBytes} (max_batch_total_size_bytes)`,
    );
}

async function plainData({ data, compressor }: BlobUpload, digest: Digest, limits: BatchLimits): Promise<Buffer> {
  if (compressor === COMPRESSOR.identity) return data;
  if (compressor !== COMPRESSOR.zstd) throw invalidRequest(`the compressor ${compressor} is not one of this server's`);
  if (digest.size > limits.maxBatchTotalBytes)
    throw invalidRequest(`a blob of ${digest.size} bytes is too large for a batch, compressed or not; use ByteStream`);
  return decompress(data, digest.size);
}
