import { type DigestFunction, HASH_BYTES } from '@granary/blobs';
import {
  checkDigestCount,
  DigestArena,
  DigestSpan,
  requestedDigestSize,
  resolveDigestFunction,
  writeRequestedDigest,
} from './digest-fields.js';
import { digestFunctionNumber } from './digest-functions.js';
import type { BatchUpdateBlobsRequest, BatchUpdateBlobsResponse, BlobUpload, WireStatus } from './messages.js';
import { OK_STATUS, readStatus, statusSize, writeStatus } from './status.js';
import { NO_BYTES, WireReader } from './wire-reader.js';
import { delimitedSize, numberSize, optionalSize, WireWriter } from './wire-writer.js';

const INSTANCE_NAME = 0x0a;
const REQUESTS = 0x12;
const DIGEST_FUNCTION = 0x28;

const REQUEST_DIGEST = 0x0a;
const REQUEST_DATA = 0x12;
const REQUEST_COMPRESSOR = 0x18;

const RESPONSES = 0x0a;
const RESPONSE_DIGEST = 0x0a;
const RESPONSE_STATUS = 0x12;

/**
 * The data of each blob is a view of `bytes`. A malformed digest is that blob's own matter.
 *
 * @throws WireFormatError
 * @throws InvalidDigestError when the message has more entries than valid digests would fit
 */
export function decodeBatchUpdateBlobsRequest(bytes: Buffer): BatchUpdateBlobsRequest {
  const reader = new WireReader(bytes);
  const span = new DigestSpan();
  let instanceName = '';
  let functionNumber = 0;
  let count = 0;
  let first = 0;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === REQUESTS) {
      const before = reader.pos;
      if (count++ === 0) first = hashLengthOf(reader, span);
      reader.pos = before;
      reader.skip(tag);
    } else if (tag === INSTANCE_NAME) instanceName = reader.string();
    else if (tag === DIGEST_FUNCTION) functionNumber = reader.int32();
    else reader.skip(tag);
  }
  const digestFunction = resolveDigestFunction(functionNumber, first);
  const requests = digestFunction ? readUploads(bytes, digestFunction, count, span) : [];
  return { instanceName, digestFunction, requests };
}

function hashLengthOf(reader: WireReader, span: DigestSpan): number {
  const outer = reader.enter();
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === REQUEST_DIGEST) span.read(reader);
    else reader.skip(tag);
  }
  reader.leave(outer);
  return span.hashLength;
}

function readUploads(bytes: Buffer, fn: DigestFunction, count: number, span: DigestSpan): BlobUpload[] {
  checkDigestCount(count, HASH_BYTES[fn] * 2, bytes);
  const arena = new DigestArena(fn, bytes, count);
  const uploads = new Array<BlobUpload>(count);
  const reader = new WireReader(bytes);
  for (let i = 0; i < count; ) {
    const tag = reader.tag();
    if (tag === REQUESTS) uploads[i++] = readUpload(reader, span.clear(), arena);
    else reader.skip(tag);
  }
  return uploads;
}

function readUpload(reader: WireReader, span: DigestSpan, arena: DigestArena): BlobUpload {
  let data = NO_BYTES;
  let compressor = 0;
  const outer = reader.enter();
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === REQUEST_DIGEST) span.read(reader);
    else if (tag === REQUEST_DATA) data = reader.view();
    else if (tag === REQUEST_COMPRESSOR) compressor = reader.int32();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { digest: arena.requested(reader, span), data, compressor };
}

export function encodeBatchUpdateBlobsRequest(request: BatchUpdateBlobsRequest): Buffer {
  const { instanceName, digestFunction, requests } = request;
  const instanceLength = Buffer.byteLength(instanceName);
  const functionNumber = digestFunction ? digestFunctionNumber(digestFunction) : 0;
  let size = optionalSize(instanceLength) + numberSize(functionNumber);
  for (const upload of requests) size += delimitedSize(uploadSize(upload));

  const writer = new WireWriter(size);
  writer.text(INSTANCE_NAME, instanceName, instanceLength);
  for (const upload of requests) {
    writer.header(REQUESTS, uploadSize(upload));
    writer.header(REQUEST_DIGEST, requestedDigestSize(upload.digest));
    writeRequestedDigest(writer, upload.digest);
    writer.data(REQUEST_DATA, upload.data);
    writer.number(REQUEST_COMPRESSOR, upload.compressor);
  }
  writer.number(DIGEST_FUNCTION, functionNumber);
  return writer.finish();
}

function uploadSize({ digest, data, compressor }: BlobUpload): number {
  return delimitedSize(requestedDigestSize(digest)) + optionalSize(data.length) + numberSize(compressor);
}

/** @param fn the digest function of the request, which the response does not repeat */
export function decodeBatchUpdateBlobsResponse(bytes: Buffer, fn: DigestFunction): BatchUpdateBlobsResponse {
  const reader = new WireReader(bytes);
  const span = new DigestSpan();
  const arena = new DigestArena(fn, bytes);
  const responses: BatchUpdateBlobsResponse['responses'][number][] = [];
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag !== RESPONSES) {
      reader.skip(tag);
      continue;
    }
    let status: WireStatus = OK_STATUS;
    span.clear();
    const outer = reader.enter();
    while (reader.pos < reader.end) {
      const inner = reader.tag();
      if (inner === RESPONSE_DIGEST) span.read(reader);
      else if (inner === RESPONSE_STATUS) status = readStatus(reader, status);
      else reader.skip(inner);
    }
    reader.leave(outer);
    responses.push({ digest: arena.requested(reader, span), status });
  }
  return { responses };
}

export function encodeBatchUpdateBlobsResponse({ responses }: BatchUpdateBlobsResponse): Buffer {
  let size = 0;
  for (const { digest, status } of responses) size += delimitedSize(responseSize(digest, status));

  const writer = new WireWriter(size);
  for (const { digest, status } of responses) {
    writer.header(RESPONSES, responseSize(digest, status));
    writer.header(RESPONSE_DIGEST, requestedDigestSize(digest));
    writeRequestedDigest(writer, digest);
    writer.header(RESPONSE_STATUS, statusSize(status));
    writeStatus(writer, status);
  }
  return writer.finish();
}

function responseSize(digest: BlobUpload['digest'], status: WireStatus): number {
  return delimitedSize(requestedDigestSize(digest)) + delimitedSize(statusSize(status));
}
