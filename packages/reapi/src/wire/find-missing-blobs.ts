import type { Digest, DigestFunction } from '@granary/blobs';
import { HASH_BYTES } from '@granary/blobs';
import {
  checkDigestCount,
  DigestArena,
  DigestSpan,
  digestSize,
  resolveDigestFunction,
  writeDigest,
} from './digest-fields.js';
import { digestFunctionNumber } from './digest-functions.js';
import type { FindMissingBlobsRequest, FindMissingBlobsResponse } from './messages.js';
import { WireReader } from './wire-reader.js';
import { delimitedSize, numberSize, optionalSize, WireWriter } from './wire-writer.js';

const INSTANCE_NAME = 0x0a;
const BLOB_DIGESTS = 0x12;
const DIGEST_FUNCTION = 0x18;

/**
 * Two passes: the digest function stands behind the digests that need it, and their count makes one allocation of
 * all hashes (benchmark `FindMissingBlobs`, 1000 digests).
 *
 * @throws WireFormatError, InvalidDigestError
 */
export function decodeFindMissingBlobsRequest(bytes: Buffer): FindMissingBlobsRequest {
  const reader = new WireReader(bytes);
  const span = new DigestSpan();
  let instanceName = '';
  let functionNumber = 0;
  let count = 0;
  let first = 0;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === BLOB_DIGESTS) {
      if (count++ === 0) first = span.read(reader).hashLength;
      else reader.skip(tag);
    } else if (tag === INSTANCE_NAME) instanceName = reader.string();
    else if (tag === DIGEST_FUNCTION) functionNumber = reader.int32();
    else reader.skip(tag);
  }
  const digestFunction = resolveDigestFunction(functionNumber, first);
  const blobDigests = digestFunction ? readDigests(bytes, BLOB_DIGESTS, digestFunction, count, span) : [];
  return { instanceName, digestFunction, blobDigests };
}

/** @param fn the digest function of the request, which the response does not repeat */
export function decodeFindMissingBlobsResponse(bytes: Buffer, fn: DigestFunction): FindMissingBlobsResponse {
  const reader = new WireReader(bytes);
  let count = 0;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === BLOB_DIGESTS) count++;
    reader.skip(tag);
  }
  return { missingBlobDigests: readDigests(bytes, BLOB_DIGESTS, fn, count, new DigestSpan()) };
}

/** All digests in a repeated field of a message that was found well-formed before. */
function readDigests(bytes: Buffer, field: number, fn: DigestFunction, count: number, span: DigestSpan): Digest[] {
  checkDigestCount(count, HASH_BYTES[fn] * 2, bytes);
  const arena = new DigestArena(fn, bytes, count);
  const digests = new Array<Digest>(count);
  const reader = new WireReader(bytes);
  for (let i = 0; i < count; ) {
    const tag = reader.tag();
    if (tag === field) digests[i++] = arena.digest(span.clear().read(reader));
    else reader.skip(tag);
  }
  return digests;
}

export function encodeFindMissingBlobsRequest(request: FindMissingBlobsRequest): Buffer {
  const { instanceName, digestFunction, blobDigests } = request;
  const instanceLength = Buffer.byteLength(instanceName);
  const functionNumber = digestFunction ? digestFunctionNumber(digestFunction) : 0;
  const writer = new WireWriter(optionalSize(instanceLength) + digestsSize(blobDigests) + numberSize(functionNumber));
  writer.text(INSTANCE_NAME, instanceName, instanceLength);
  writeDigests(writer, blobDigests);
  writer.number(DIGEST_FUNCTION, functionNumber);
  return writer.finish();
}

export function encodeFindMissingBlobsResponse(response: FindMissingBlobsResponse): Buffer {
  const writer = new WireWriter(digestsSize(response.missingBlobDigests));
  writeDigests(writer, response.missingBlobDigests);
  return writer.finish();
}

function digestsSize(digests: readonly Digest[]): number {
  let size = 0;
  for (const digest of digests) size += delimitedSize(digestSize(digest));
  return size;
}

function writeDigests(writer: WireWriter, digests: readonly Digest[]): void {
  for (const digest of digests) {
    writer.header(BLOB_DIGESTS, digestSize(digest));
    writeDigest(writer, digest);
  }
}
