import { type BlobStore, BlobTooLargeError, Digest, type MaybePromise, type OperationOptions } from '@granary/blobs';
import { type BlobUpload, COMPRESSOR, type RequestedDigest } from '../wire/index.js';
import { compress, decompress, zstdSupport } from '../zstd/index.js';
import type { CacheLimits } from './limits.js';
import { isPending } from './pending.js';
import { invalidRequest, ProtocolError } from './protocol-error.js';

/** Compressed blobs of one batch that are unpacked at a time, so that a batch can't take memory for all of them. */
const UNPACKING = 4;

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
  const writes: Promise<void>[] = [];
  const packed: number[] = [];
  for (const [i, upload] of uploads.entries()) {
    if (upload.compressor === COMPRESSOR.zstd) packed.push(i);
    else writes.push(attempt(i, upload));
  }
  const next = packed.values();
  for (let i = 0; i < Math.min(UNPACKING, packed.length); i++) writes.push(unpack());
  await Promise.all(writes);
  return failures;

  async function unpack(): Promise<void> {
    for (const i of next) await attempt(i, uploads[i] as BlobUpload);
  }

  async function attempt(i: number, upload: BlobUpload): Promise<void> {
    try {
      const digest = validDigest(upload.digest);
      if (limits.maxBlobBytes > 0 && digest.size > limits.maxBlobBytes)
        throw new BlobTooLargeError(digest.size, limits.maxBlobBytes);
      await blobs.write(digest, await plainData(upload, digest, limits), options);
    } catch (error) {
      failures[i] = error;
    }
  }
}

/** What one blob of a batch came to. */
export type BlobAnswer =
  | { readonly data: Buffer; readonly compressor: number; readonly error?: undefined }
  | { readonly error: unknown };

/**
 * Reads the blobs of one batch; each is found or not by itself. Answers at once when the store does.
 *
 * @param compressors what the client takes besides plain bytes
 * @throws ProtocolError when the blobs asked for are over the limit together
 */
export function readBlobs(
  blobs: BlobStore,
  requested: readonly RequestedDigest[],
  compressors: readonly number[],
  limits: BatchLimits,
  options?: OperationOptions,
): MaybePromise<BlobAnswer[]> {
  let total = 0;
  for (const { digest } of requested) if (digest instanceof Digest) total += digest.size;
  checkTotal(total, limits);

  const zstd = compressors.includes(COMPRESSOR.zstd) && zstdSupport().compress;
  const answers = new Array<BlobAnswer>(requested.length);
  const pending: Promise<void>[] = [];
  for (const [i, { digest }] of requested.entries()) {
    if (!(digest instanceof Digest)) {
      answers[i] = { error: digest };
      continue;
    }
    const answer = attempt(() => readOne(digest));
    if (isPending(answer))
      pending.push(
        answer.then(
          (value) => {
            answers[i] = value;
          },
          (error: unknown) => {
            answers[i] = { error };
          },
        ),
      );
    else answers[i] = answer;
  }
  return pending.length === 0 ? answers : Promise.all(pending).then(() => answers);

  function attempt(read: () => MaybePromise<BlobAnswer>): MaybePromise<BlobAnswer> {
    try {
      return read();
    } catch (error) {
      return { error };
    }
  }

  function readOne(digest: Digest): MaybePromise<BlobAnswer> {
    const found = blobs.get(digest, options);
    return isPending(found) ? found.then((data) => pack(digest, data)) : pack(digest, found);
  }

  function pack(digest: Digest, data: Buffer | undefined): MaybePromise<BlobAnswer> {
    if (!data) return { error: new ProtocolError('NOT_FOUND', `the blob ${digest} is not here`) };
    const plain = { data, compressor: COMPRESSOR.identity };
    if (!zstd || data.length < MIN_COMPRESSED_BYTES) return plain;
    return compress(data).then((packed) =>
      packed.length < data.length ? { data: packed, compressor: COMPRESSOR.zstd } : plain,
    );
  }
}

function checkTotal(total: number, { maxBatchTotalBytes }: BatchLimits): void {
  if (total > maxBatchTotalBytes)
    throw invalidRequest(
      `the batch has ${total} bytes; the limit is ${maxBatchTotalBytes} (max_batch_total_size_bytes)`,
    );
}

function validDigest({ digest }: RequestedDigest): Digest {
  if (digest instanceof Digest) return digest;
  throw digest;
}

async function plainData({ data, compressor }: BlobUpload, digest: Digest, limits: BatchLimits): Promise<Buffer> {
  if (compressor === COMPRESSOR.identity) return data;
  if (compressor !== COMPRESSOR.zstd) throw invalidRequest(`the compressor ${compressor} is not one of this server's`);
  if (digest.size > limits.maxBatchTotalBytes)
    throw invalidRequest(`a blob of ${digest.size} bytes is too large for a batch, compressed or not; use ByteStream`);
  return decompress(data, digest.size);
}
