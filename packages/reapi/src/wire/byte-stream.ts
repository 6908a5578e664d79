import type {
  QueryWriteStatusRequest,
  QueryWriteStatusResponse,
  ReadRequest,
  WriteRequest,
  WriteResponse,
} from './messages.js';
import { WireFormatError } from './wire-format-error.js';
import { NO_BYTES, WireReader } from './wire-reader.js';
import { numberSize, optionalSize, varintSize, WireWriter } from './wire-writer.js';

const RESOURCE_NAME = 0x0a;
const READ_OFFSET = 0x10;
const READ_LIMIT = 0x18;
const WRITE_OFFSET = 0x10;
const FINISH_WRITE = 0x18;
const DATA = 0x52;
const COMMITTED_SIZE = 0x08;
const COMPLETE = 0x10;

/** @throws WireFormatError */
export function decodeReadRequest(bytes: Buffer): ReadRequest {
  const reader = new WireReader(bytes);
  let resourceName = '';
  let readOffset = 0;
  let readLimit = 0;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === RESOURCE_NAME) resourceName = reader.string();
    else if (tag === READ_OFFSET) readOffset = reader.position();
    else if (tag === READ_LIMIT) readLimit = reader.position();
    else reader.skip(tag);
  }
  return { resourceName, readOffset, readLimit };
}

export function encodeReadRequest({ resourceName, readOffset, readLimit }: ReadRequest): Buffer {
  const nameLength = Buffer.byteLength(resourceName);
  const writer = new WireWriter(optionalSize(nameLength) + numberSize(readOffset) + numberSize(readLimit));
  writer.text(RESOURCE_NAME, resourceName, nameLength);
  writer.number(READ_OFFSET, readOffset);
  writer.number(READ_LIMIT, readLimit);
  return writer.finish();
}

/** The data of a ReadResponse: a view of `bytes`. */
export function decodeReadResponse(bytes: Buffer): Buffer {
  const reader = new WireReader(bytes);
  let data = NO_BYTES;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === DATA) data = reader.view();
    else reader.skip(tag);
  }
  return data;
}

/**
 * A ReadResponse around a chunk of a `BlobReader`, without a copy: the header goes into the free bytes that lie in
 * front of such a chunk (`CHUNK_HEADROOM`), and the result is a view of the same memory.
 *
 * @param room bytes that the result begins with, for the header of its frame; together at most 9
 */
export function encodeReadResponse(chunk: Buffer, room = 0): Buffer {
  const { length } = chunk;
  if (length === 0) return NO_BYTES;
  const header = room + 1 + varintSize(length);
  const frame = Buffer.from(chunk.buffer, chunk.byteOffset - header, header + length);
  let pos = room;
  frame[pos++] = DATA;
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) frame[pos++] = (rest & 0x7f) | 0x80;
  frame[pos] = rest;
  return frame;
}

/** A ReadResponse around bytes that nothing is known of: they are copied. */
export function copyReadResponse(data: Uint8Array): Buffer {
  const writer = new WireWriter(optionalSize(data.length));
  writer.data(DATA, data);
  return writer.finish();
}

/**
 * Name and data are views of `bytes`.
 *
 * @throws WireFormatError
 */
export function decodeWriteRequest(bytes: Buffer): WriteRequest {
  const reader = new WireReader(bytes);
  let resourceName = NO_BYTES;
  let writeOffset = 0;
  let finishWrite = false;
  let data = NO_BYTES;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === DATA) data = reader.view();
    else if (tag === WRITE_OFFSET) writeOffset = reader.int64();
    else if (tag === RESOURCE_NAME) resourceName = reader.view();
    else if (tag === FINISH_WRITE) finishWrite = reader.bool();
    else reader.skip(tag);
  }
  return { resourceName, writeOffset, finishWrite, data };
}

export function encodeWriteRequest({ resourceName, writeOffset, finishWrite, data }: WriteRequest): Buffer {
  const finish = finishWrite ? 1 : 0;
  const writer = new WireWriter(
    optionalSize(resourceName.length) + numberSize(writeOffset) + numberSize(finish) + optionalSize(data.length),
  );
  writer.data(RESOURCE_NAME, resourceName);
  writer.number(WRITE_OFFSET, writeOffset);
  writer.number(FINISH_WRITE, finish);
  writer.data(DATA, data);
  return writer.finish();
}

/** What a WriteRequest begins with when its data comes last. */
export interface WriteRequestHead extends Omit<WriteRequest, 'data'> {
  /** Where the data begins. */
  readonly dataAt: number;
  readonly dataLength: number;
}

/** The head of a WriteRequest of which only the beginning is there; undefined where it is not to be seen yet or at all. */
export function decodeWriteRequestHead(bytes: Buffer): WriteRequestHead | undefined {
  const reader = new WireReader(bytes);
  let resourceName = NO_BYTES;
  let writeOffset = 0;
  let finishWrite = false;
  try {
    for (;;) {
      const tag = reader.tag();
      if (tag === DATA) {
        const dataLength = reader.int32();
        return { resourceName, writeOffset, finishWrite, dataAt: reader.pos, dataLength };
      }
      if (tag === WRITE_OFFSET) writeOffset = reader.int64();
      else if (tag === RESOURCE_NAME) resourceName = reader.view();
      else if (tag === FINISH_WRITE) finishWrite = reader.bool();
      else return undefined;
    }
  } catch (error) {
    if (error instanceof WireFormatError) return undefined;
    throw error;
  }
}

/** A WriteRequest up to where its data begins, behind `room` bytes for the header of its frame. */
export function encodeWriteRequestHead(
  { resourceName, writeOffset, finishWrite }: Omit<WriteRequest, 'data'>,
  dataLength: number,
  room: number,
): Buffer {
  const finish = finishWrite ? 1 : 0;
  const writer = new WireWriter(
    room +
      optionalSize(resourceName.length) +
      numberSize(writeOffset) +
      numberSize(finish) +
      1 +
      varintSize(dataLength),
  );
  writer.pos = room;
  writer.data(RESOURCE_NAME, resourceName);
  writer.number(WRITE_OFFSET, writeOffset);
  writer.number(FINISH_WRITE, finish);
  writer.header(DATA, dataLength);
  return writer.finish();
}

export function decodeWriteResponse(bytes: Buffer): WriteResponse {
  return { committedSize: decodeQueryWriteStatusResponse(bytes).committedSize };
}

export function encodeWriteResponse({ committedSize }: WriteResponse): Buffer {
  return encodeQueryWriteStatusResponse({ committedSize, complete: false });
}

/** @throws WireFormatError */
export function decodeQueryWriteStatusRequest(bytes: Buffer): QueryWriteStatusRequest {
  return { resourceName: decodeReadRequest(bytes).resourceName };
}

export function encodeQueryWriteStatusRequest({ resourceName }: QueryWriteStatusRequest): Buffer {
  return encodeReadRequest({ resourceName, readOffset: 0, readLimit: 0 });
}

export function decodeQueryWriteStatusResponse(bytes: Buffer): QueryWriteStatusResponse {
  const reader = new WireReader(bytes);
  let committedSize = 0;
  let complete = false;
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (tag === COMMITTED_SIZE) committedSize = reader.int64();
    else if (tag === COMPLETE) complete = reader.bool();
    else reader.skip(tag);
  }
  return { committedSize, complete };
}

export function encodeQueryWriteStatusResponse({ committedSize, complete }: QueryWriteStatusResponse): Buffer {
  const flag = complete ? 1 : 0;
  const writer = new WireWriter(numberSize(committedSize) + numberSize(flag));
  writer.number(COMMITTED_SIZE, committedSize);
  writer.number(COMPLETE, flag);
  return writer.finish();
}
