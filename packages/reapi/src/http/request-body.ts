import type { IncomingMessage } from 'node:http';
import { BlobTooLargeError } from '@granary/blobs';
import { decompressStream } from '../zstd/index.js';
import type { Exchange } from './exchange.js';
import { HttpError } from './http-error.js';

/** A request's body, decoded. */
export interface RequestBody {
  /** Bytes of the decoded body, where the request says so. */
  readonly size: number | undefined;
  readonly chunks: AsyncIterable<Buffer>;
}

/**
 * The body of an upload. Nothing is read before somebody iterates, and a client that asks first (`Expect:
 * 100-continue`) is told to go on only then.
 *
 * @throws HttpError 400 for a part of a value, 413 when the announced size is over the limit, 415 for a coding other than
 *   zstd, 501 for a transfer coding other than chunked
 */
export function requestBody(exchange: Exchange, maxBytes: number): RequestBody {
  const { request } = exchange;
  if (request.headers['content-range'] !== undefined)
    throw new HttpError(400, 'a part of a value is not taken: leave Content-Range out and send all of it');
  // Node takes the chunks apart, and leaves what lies in them as it is.
  const transfer = request.headers['transfer-encoding']?.trim().toLowerCase();
  if (transfer !== undefined && transfer !== 'chunked')
    throw new HttpError(501, 'the only transfer coding that is understood is chunked');
  const coding = request.headers['content-encoding']?.trim().toLowerCase() || 'identity';
  if (coding !== 'identity' && coding !== 'zstd') {
    throw new HttpError(415, `content coding "${coding.slice(0, 64)}" is not understood`, {
      'Accept-Encoding': 'zstd',
    });
  }
  const announced = announcedLength(request);
  if (announced !== undefined && announced > maxBytes) throw new BlobTooLargeError(announced, maxBytes);
  const received = receive(exchange, announced);
  if (coding === 'zstd') return { size: undefined, chunks: decompressStream(received, maxBytes) };
  return { size: announced, chunks: limited(received, maxBytes) };
}

/** Undefined when the body comes in chunks. A request with neither header has no body. */
function announcedLength({ headers }: IncomingMessage): number | undefined {
  if (headers['transfer-encoding'] !== undefined) return undefined;
  return Number(headers['content-length'] ?? 0);
}

async function* receive(exchange: Exchange, announced: number | undefined): AsyncGenerator<Buffer> {
  const { request } = exchange;
  if (announced === 0) return;
  exchange.askForBody();
  // A body that is refused half-way must not take the connection with it before the answer is sent.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    exchange.bytesIn += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  if (!request.complete) throw new HttpError(400, 'the body ended before its announced length');
}

async function* limited(chunks: AsyncIterable<Buffer>, maxBytes: number): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new BlobTooLargeError(bytes, maxBytes);
    yield chunk;
  }
}

/** The start of a body, and all of it again where that isn't the whole. */
export interface BodyStart {
  readonly start: Buffer;
  /** The whole body, the start included; undefined when the start is the whole. */
  readonly whole: AsyncIterable<Buffer> | undefined;
  /** Ends the reading of a body whose rest nobody wants. */
  leave(): Promise<void>;
}

/** Reads a body into memory until it ends or is larger than so many bytes. */
export async function takeUpTo(maxBytes: number, chunks: AsyncIterable<Buffer>): Promise<BodyStart> {
  const iterator = chunks[Symbol.asyncIterator]();
  const leave = async () => void (await iterator.return?.());
  const taken: Buffer[] = [];
  for (let bytes = 0; bytes <= maxBytes; ) {
    const { done, value } = await iterator.next();
    if (done) return { start: joined(taken), whole: undefined, leave };
    taken.push(value);
    bytes += value.length;
  }
  return { start: joined(taken), whole: chain(taken, iterator), leave };
}

function joined(chunks: readonly Buffer[]): Buffer {
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

async function* chain(taken: Buffer[], iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield* taken.splice(0);
  for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value;
}
