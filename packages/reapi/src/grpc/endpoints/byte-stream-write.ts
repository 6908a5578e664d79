import { BlobTooLargeError, type Digest, isEmptyDigest, isStoreError, type OperationOptions } from '@granary/blobs';
import { parseUploadName } from '../../resource-name.js';
import { encodeQueryWriteStatusResponse, encodeWriteResponse, type QueryWriteStatusRequest } from '../../wire/index.js';
import { decompressStream } from '../../zstd/index.js';
import type { IncomingMessages } from '../calls/incoming-messages.js';
import type { RunningCall } from '../calls/running-call.js';
import type { CacheParts } from './cache-parts.js';
import { UploadData } from './upload-data.js';

/** What a compressed upload is answered when its blob was here before its end: the client's own count is unknown. */
const NOT_NEEDED = -1;

/**
 * `ByteStream.Write`. A blob that is here is answered at once, while the client may still be sending: it has then
 * nothing to gain from going on. The answer counts the bytes as they travelled.
 *
 * Whether the blob is here says the store that writes it, which doesn't read the source then: that somebody has the
 * blob is not enough for a store that also brings it to others.
 */
export async function writeBlob(
  { blobs, digests, limits }: CacheParts,
  messages: IncomingMessages,
  call: RunningCall,
): Promise<Buffer> {
  const data = await UploadData.begin(messages);
  const name = data.resourceName;
  if (call.wantsDetails) call.subject = name;
  const { digest, compressor } = parseUploadName(name);
  digests.require(digest.function);
  if (limits.maxBlobBytes > 0 && digest.size > limits.maxBlobBytes)
    throw new BlobTooLargeError(digest.size, limits.maxBlobBytes);

  const early = encodeWriteResponse({ committedSize: compressor === 'identity' ? digest.size : NOT_NEEDED });
  if (isEmptyDigest(digest)) return early;

  await blobs.write(digest, compressor === 'identity' ? data : decompressStream(data, digest.size), call.options);
  data.checkEnd();
  // The store had the blob, or got it from someone else meanwhile, and did not want the rest of this one.
  return data.complete ? encodeWriteResponse({ committedSize: data.received }) : early;
}

/** `ByteStream.QueryWriteStatus`: an upload can't be taken up in its middle, so it is either done or not begun. */
export async function queryWriteStatus(
  { blobs, digests }: CacheParts,
  { resourceName }: QueryWriteStatusRequest,
  call: RunningCall,
): Promise<Buffer> {
  if (call.wantsDetails) call.subject = resourceName;
  const { digest } = parseUploadName(resourceName);
  digests.require(digest.function);
  const complete = await isKnownToBeHere(blobs, digest, call.options);
  return encodeQueryWriteStatusResponse({ committedSize: complete ? digest.size : 0, complete });
}

/** A tier that is gone is no reason not to begin: the upload tells whether it may do without. */
async function isKnownToBeHere(
  blobs: CacheParts['blobs'],
  digest: Digest,
  options: OperationOptions,
): Promise<boolean> {
  try {
    return (await blobs.findMissing([digest], options)).length === 0;
  } catch (error) {
    if (isStoreError(error) && error.code === 'TIER_UNAVAILABLE') return false;
    throw error;
  }
}
