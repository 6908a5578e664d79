import { Digest, type DigestFunction, HASH_BYTES } from '@granary/blobs';
import {
  checkDigestCount,
  DigestArena,
  DigestSpan,
  requestedDigestSize,
  resolveDigestFunction,
  writeRequestedDigest,
} from './digest-fields.js';
import { digestFunctionNumber } from './digest-functions.js';
import type { BatchReadBlobsRequest, BatchReadBlobsResponse, RequestedDigest, WireStatus } from './messages.js';
import { OK_STATUS, readStatus, statusSize, writeStatus } from './status.js';
import { NO_BYTES, WireReader } from './wire-reader.js';
import { delimitedSize, numberSize, optionalSize, varintSize, WireWriter } from './wire-writer.js';

const INSTANCE_NAME = 0x0a;
const DIGESTS = 0x12;
const ACCEPTABLE_COMPRESSOR = 0x18;
const ACCEPTABLE_COMPRESSORS = 0x1a;
const DIGEST_FUNCTION = 0x20;

const RESPONSES = 0x0a;
const DIGEST = 0x0a;
const DATA = 0x12;
const STATUS = 0x1a;
const COMPRESSOR = 0x20;

type BlobAnswer = BatchReadBlobsResponse['responses'][number];

/**
 * @throws WireFormatError
 * @throws InvalidDigestError when the message has more entries than valid digests would fit
 */
export function decodeBatchReadBlobsRequest(bytes: Buffer): BatchReadBlobsRequest {
  const reader = new WireReader(bytes);
  const span = new DigestSpan();
  const acceptableCompressors: number[] = [];
  let instanceName = '';
  let functionNumber = 0;
  let count = 0;
  let first = 0;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === DIGESTS) {
      if (count++ === 0) first = span.read(reader).hashLength;
      else reader.skip(tag);
    } else if (tag === INSTANCE_NAME) instanceName = reader.string();
    else if (tag === ACCEPTABLE_COMPRESSOR) acceptableCompressors.push(reader.int32());
    else if (tag === ACCEPTABLE_COMPRESSORS) {
      const outer = reader.enter();
      while (reader.pos < reader.end) acceptableCompressors.push(reader.int32());
      reader.leave(outer);
    } else if (tag === DIGEST_FUNCTION) functionNumber = reader.int32();
    else reader.skip(tag);
  }
  const digestFunction = resolveDigestFunction(functionNumber, first);
  const digests = digestFunction ? readDigests(bytes, digestFunction, count, span) : [];
  return { instanceName, digestFunction, digests, acceptableCompressors };
}

function readDigests(bytes: Buffer, fn: DigestFunction, count: number, span: DigestSpan): RequestedDigest[] {
  checkDigestCount(count, HASH_BYTES[fn] * 2, bytes);
  const arena = new DigestArena(fn, bytes, count);
  const digests = new Array<RequestedDigest>(count);
  const reader = new WireReader(bytes);
  for (let i = 0; i < count; ) {
    const tag = reader.tag();
    if (tag === DIGESTS) digests[i++] = arena.requested(reader, span.clear().read(reader));
    else reader.skip(tag);
  }
  return digests;
}

export function encodeBatchReadBlobsRequest(request: BatchReadBlobsRequest): Buffer {
  const { instanceName, digestFunction, digests, acceptableCompressors } = request;
  const instanceLength = Buffer.byteLength(instanceName);
  const functionNumber = digestFunction ? digestFunctionNumber(digestFunction) : 0;
  let compressorsLength = 0;
  for (const compressor of acceptableCompressors) compressorsLength += varintSize(compressor);
  let size = optionalSize(instanceLength) + optionalSize(compressorsLength) + numberSize(functionNumber);
  for (const digest of digests) size += delimitedSize(requestedDigestSize(digest));

  const writer = new WireWriter(size);
  writer.text(INSTANCE_NAME, instanceName, instanceLength);
  for (const digest of digests) {
    writer.header(DIGESTS, requestedDigestSize(digest));
    writeRequestedDigest(writer, digest);
  }
  if (compressorsLength > 0) {
    writer.header(ACCEPTABLE_COMPRESSORS, compressorsLength);
    for (const compressor of acceptableCompressors) writer.varint(compressor);
  }
  writer.number(DIGEST_FUNCTION, functionNumber);
  return writer.finish();
}

/**
 * The data of each blob is a view of `bytes`.
 *
 * @param fn the digest function of the request, which the response does not repeat
 */
export function decodeBatchReadBlobsResponse(bytes: Buffer, fn: DigestFunction): BatchReadBlobsResponse {
  const reader = new WireReader(bytes);
  const span = new DigestSpan();
  const arena = new DigestArena(fn, bytes);
  const responses: BlobAnswer[] = [];
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === RESPONSES) responses.push(readAnswer(reader, span.clear(), arena));
    else reader.skip(tag);
  }
  return { responses };
}

function readAnswer(reader: WireReader, span: DigestSpan, arena: DigestArena): BlobAnswer {
  let data = NO_BYTES;
  let compressor = 0;
  let status: WireStatus = OK_STATUS;
  const outer = reader.enter();
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === DIGEST) span.read(reader);
    else if (tag === DATA) data = reader.view();
    else if (tag === STATUS) status = readStatus(reader, status);
    else if (tag === COMPRESSOR) compressor = reader.int32();
    else reader.skip(tag);
  }
  reader.leave(outer);
  return { digest: arena.requested(reader, span), data, compressor, status };
}

export function encodeBatchReadBlobsResponse({ responses }: BatchReadBlobsResponse): Buffer {
  const writer = new BatchReadBlobsResponseWriter([]);
  for (const answer of responses) writer.add(answer);
  return writer.finish();
}

export interface ResponseRoom {
  /** Room that is made at once at most, since the sizes are what a client claims. Default 0: it grows as it must. */
  readonly maxBytes?: number;
  /** Bytes in front of the message. Default 0. */
  readonly headroom?: number;
  /** Gives the memory, which may have been used before. */
  readonly allocate?: (bytes: number) => Buffer;
}

/**
 * Builds a response while its blobs are being read, so that a store can put their bytes right where they travel from
 * (benchmark `BatchReadBlobs`).
 */
export class BatchReadBlobsResponseWriter {
  private writer: WireWriter;
  private placed: Buffer | undefined;
  private placedEnd = 0;

  /**
   * @param requested has room made for it, as if every blob were there; it grows when that is not enough
   */
  constructor(requested: readonly RequestedDigest[], options: ResponseRoom = {}) {
    const { maxBytes = 0, headroom = 0, allocate = Buffer.allocUnsafe } = options;
    let size = headroom;
    for (const digest of requested) {
      const found = digest instanceof Digest ? digest.size : 0;
      size += delimitedSize(answerSize(digest, found, OK_STATUS, 0));
    }
    this.writer = new WireWriter(allocate(Math.max(headroom, Math.min(size, maxBytes))));
    this.writer.pos = headroom;
  }

  /**
   * Memory for a blob's bytes, in the place that they have if the next answer is of this digest and hands in this very
   * buffer as its data, uncompressed.
   */
  place(digest: RequestedDigest, bytes: number): Buffer {
    const size = answerSize(digest, bytes, OK_STATUS, 0);
    this.makeRoom(delimitedSize(size));
    const { writer } = this;
    const start = writer.pos;
    this.begin(size, digest, bytes, OK_STATUS, 0);
    this.placedEnd = writer.pos + bytes;
    this.placed = writer.bytes.subarray(writer.pos, this.placedEnd);
    writer.pos = start;
    return this.placed;
  }

  add({ digest, data, status, compressor }: BlobAnswer): void {
    const { placed } = this;
    this.placed = undefined;
    if (data === placed) {
      this.writer.pos = this.placedEnd;
      return;
    }
    const size = answerSize(digest, data.length, status, compressor);
    this.makeRoom(delimitedSize(size));
    this.begin(size, digest, data.length, status, compressor);
    this.writer.bytes.set(data, this.writer.pos);
    this.writer.pos += data.length;
  }

  /** The memory that the message lies in, which may be larger than the one that was given. */
  get memory(): Buffer {
    return this.writer.bytes;
  }

  /** The headroom and the message. */
  finish(): Buffer {
    return this.writer.bytes.subarray(0, this.writer.pos);
  }

  /** Writes everything of an answer that comes before its bytes. */
  private begin(size: number, digest: RequestedDigest, bytes: number, status: WireStatus, compressor: number): void {
    const { writer } = this;
    writer.header(RESPONSES, size);
    writer.header(DIGEST, requestedDigestSize(digest));
    writeRequestedDigest(writer, digest);
    writer.header(STATUS, statusSize(status));
    writeStatus(writer, status);
    writer.number(COMPRESSOR, compressor);
    if (bytes > 0) writer.header(DATA, bytes);
  }

  private makeRoom(size: number): void {
    const { bytes, pos } = this.writer;
    if (pos + size <= bytes.length) return;
    this.writer = new WireWriter(Buffer.allocUnsafe(Math.max(bytes.length * 2, pos + size)));
    this.writer.bytes.set(bytes.subarray(0, pos));
    this.writer.pos = pos;
  }
}

function answerSize(digest: RequestedDigest, bytes: number, status: WireStatus, compressor: number): number {
  return (
    delimitedSize(requestedDigestSize(digest)) +
    optionalSize(bytes) +
    delimitedSize(statusSize(status)) +
    numberSize(compressor)
  );
}
