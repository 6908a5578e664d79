import type { BlobReader, BlobStore, Digest, MaybePromise, OperationOptions } from '@granary/blobs';
import { parseBlobName } from '../../resource-name.js';
import { isPending } from '../../services/pending.js';
import { invalidRequest, ProtocolError } from '../../services/protocol-error.js';
import { copyReadResponse, encodeReadResponse, type ReadRequest } from '../../wire/index.js';
import { compressStream } from '../../zstd/index.js';
import { FRAME_HEADER_BYTES } from '../calls/framed-response.js';
import type { OutgoingMessages } from '../calls/outgoing-messages.js';
import type { RunningCall } from '../calls/running-call.js';
import type { CacheParts } from './cache-parts.js';

/** Blobs up to this size are sent in one message, without a reader; others in chunks as the store has them. */
const WHOLE_BYTES = 64 * 1024;

interface Range {
  readonly digest: Digest;
  /** In bytes of the plain content. */
  readonly offset: number;
  readonly limit: number;
}

/**
 * `ByteStream.Read`. The offset counts plain bytes, for compressed content too, which has no limit: the client could
 * not tell where in the content a compressed part ends.
 */
export function readBlob(
  { blobs, digests }: CacheParts,
  request: ReadRequest,
  call: RunningCall,
  out: OutgoingMessages,
): MaybePromise<Buffer | undefined> {
  if (call.wantsDetails) call.subject = request.resourceName;
  const { digest, compressor } = parseBlobName(request.resourceName);
  digests.require(digest.function);
  const range = rangeOf(request, digest, compressor);
  const { options } = call;

  if (compressor === 'zstd') return readRange(blobs, range, options, (reader) => sendCompressed(reader, out));
  if (digest.size > WHOLE_BYTES) return readRange(blobs, range, options, (reader) => sendChunks(reader, out));
  const whole = blobs.get(digest, options);
  return isPending(whole) ? whole.then((bytes) => part(bytes, range)) : part(whole, range);
}

/** Closes the reader, however the sending ends. */
async function readRange(
  blobs: BlobStore,
  { digest, offset, limit }: Range,
  { signal, span, via }: OperationOptions,
  send: (reader: BlobReader) => Promise<void>,
): Promise<undefined> {
  const reader = await blobs.read(digest, { offset, limit, signal, span, via });
  if (!reader) throw missing(digest);
  try {
    await send(reader);
  } finally {
    await reader.close();
  }
}

async function sendChunks(reader: BlobReader, out: OutgoingMessages): Promise<void> {
  let sent: Promise<void> | undefined;
  let lasting = true;
  for (;;) {
    // Where the next chunk comes into the same memory, this one has to have left; elsewhere both happen at once.
    if (!lasting) await sent;
    const chunk = await reader.next();
    if (!chunk) break;
    lasting = reader.lasting === true;
    await sent;
    sent = out.sendFramed(encodeReadResponse(chunk, FRAME_HEADER_BYTES));
  }
  await sent;
}

async function sendCompressed(reader: BlobReader, out: OutgoingMessages): Promise<void> {
  for await (const bytes of compressStream(reader)) await out.send(copyReadResponse(bytes));
}

function rangeOf({ readOffset, readLimit }: ReadRequest, digest: Digest, compressor: string): Range {
  if (readLimit < 0) throw invalidRequest(`read_limit is ${readLimit}; it can't be negative`);
  if (readLimit > 0 && compressor !== 'identity') throw invalidRequest('a compressed read has no read_limit');
  if (readOffset < 0 || readOffset > digest.size)
    throw new ProtocolError('OUT_OF_RANGE', `read_offset ${readOffset} lies outside of the ${digest.size} bytes`);
  const rest = digest.size - readOffset;
  return { digest, offset: readOffset, limit: readLimit === 0 ? rest : Math.min(readLimit, rest) };
}

/** A response with a part of a small blob; nothing at all for no bytes. */
function part(bytes: Buffer | undefined, { digest, offset, limit }: Range): Buffer | undefined {
  if (!bytes) throw missing(digest);
  return limit === 0 ? undefined : copyReadResponse(bytes.subarray(offset, offset + limit));
}

function missing(digest: Digest): ProtocolError {
  return new ProtocolError('NOT_FOUND', `the blob ${digest} is not here`);
}
