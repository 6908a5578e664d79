import { once } from 'node:events';
import {
  type BlobReader,
  type BlobStore,
  Digest,
  type DigestFunction,
  emptyDigest,
  HASH_BYTES,
  type SizeLookup,
} from '@granary/blobs';
import { compressStream, zstdSupport } from '../zstd/index.js';
import { parseRange } from './byte-range.js';
import type { CachePath } from './cache-path.js';
import type { Exchange } from './exchange.js';
import { HttpError } from './http-error.js';
import { acceptsCoding } from './negotiation.js';
import { requestBody } from './request-body.js';
import type { Spool } from './spool.js';

/** A blob up to this size is answered in one piece. */
const WHOLE_BYTES = 256 * 1024;
const TYPE = { 'Content-Type': 'application/octet-stream' };

type BlobPath = Extract<CachePath, { readonly kind: 'ac' | 'cas' }>;

export interface BlobsOptions {
  readonly blobs: BlobStore;
  /** The protocol names content by its hash alone. */
  readonly sizes: SizeLookup;
  /** Functions that are on; a hash may be of any of them that has its length. */
  readonly digestFunctions: readonly DigestFunction[];
  readonly maxBlobBytes: number;
  readonly spool: Spool;
}

/** `/cas/`: content by hash. */
export class Blobs {
  readonly #options: BlobsOptions;

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  async get(exchange: Exchange, path: BlobPath): Promise<void> {
    const digest = await this.#find(path);
    if (!digest) throw new HttpError(404, 'there is no such blob');
    if (digest.size === 0) return exchange.answer(200, TYPE);
    const { headers } = exchange.request;
    const range = parseRange(headers.range, digest.size);
    if (range) return this.#sendRange(exchange, digest, range);
    if (acceptsCoding(headers['accept-encoding'], 'zstd') && zstdSupport().compress)
      return this.#sendCompressed(exchange, digest);
    if (digest.size > WHOLE_BYTES) {
      const reader = await this.#read(exchange, digest, {});
      exchange.begin(200, { ...TYPE, 'Accept-Ranges': 'bytes', 'Content-Length': digest.size });
      return send(exchange, reader);
    }
    const found = this.#options.blobs.get(digest, exchange);
    const bytes = found instanceof Promise ? await found : found;
    if (!bytes) throw new HttpError(404, 'there is no such blob');
    exchange.answer(200, { ...TYPE, 'Accept-Ranges': 'bytes' }, bytes);
  }

  async head(exchange: Exchange, path: BlobPath): Promise<void> {
    const digest = await this.#find(path);
    // Asking for a blob is a use of it: a client that hears that it is here will not upload it.
    const missing = digest?.size && (await this.#options.blobs.findMissing([digest], exchange)).length > 0;
    if (!digest || missing) throw new HttpError(404, 'there is no such blob');
    exchange.answerHead(200, { ...TYPE, 'Accept-Ranges': 'bytes', 'Content-Length': digest.size });
  }

  async put(exchange: Exchange, path: BlobPath): Promise<void> {
    const { blobs, maxBlobBytes, spool, digestFunctions } = this.#options;
    if (!digestFunctions.includes(path.fn)) throw new HttpError(400, `${path.fn} is not on (cas.digest_functions)`);
    const body = requestBody(exchange, maxBlobBytes);
    if (body.size !== undefined) {
      await blobs.write(Digest.fromBytes(path.fn, path.hash, body.size), body.chunks, exchange);
    } else {
      const spooled = await spool.take(body.chunks);
      try {
        await blobs.write(Digest.fromBytes(path.fn, path.hash, spooled.size), spooled.source, exchange);
      } finally {
        await spooled.discard();
      }
    }
    exchange.answer(200, {});
  }

  /** The digest behind a hash: of the function that its length stands for, or of another one with that length. */
  async #find({ hash }: BlobPath): Promise<Digest | undefined> {
    for (const fn of this.#options.digestFunctions) {
      if (HASH_BYTES[fn] !== hash.length) continue;
      if (emptyDigest(fn).bytes.equals(hash)) return emptyDigest(fn);
      const found = this.#options.sizes.sizeOf(fn, hash);
      const size = found instanceof Promise ? await found : found;
      if (size !== undefined) return Digest.fromBytes(fn, hash, size);
    }
    return undefined;
  }

  async #sendRange(exchange: Exchange, digest: Digest, range: { offset: number; length: number }): Promise<void> {
    const { offset, length } = range;
    const reader = await this.#read(exchange, digest, { offset, limit: length });
    exchange.begin(206, {
      ...TYPE,
      'Accept-Ranges': 'bytes',
      'Content-Range': `bytes ${offset}-${offset + length - 1}/${digest.size}`,
      'Content-Length': length,
    });
    await send(exchange, reader);
  }

  async #sendCompressed(exchange: Exchange, digest: Digest): Promise<void> {
    const reader = await this.#read(exchange, digest, {});
    exchange.begin(200, { ...TYPE, 'Content-Encoding': 'zstd', Vary: 'Accept-Encoding' });
    await send(exchange, compressStream(reader));
  }

  async #read(exchange: Exchange, digest: Digest, part: { offset?: number; limit?: number }): Promise<BlobReader> {
    const reader = await this.#options.blobs.read(digest, { ...part, signal: exchange.signal });
    if (!reader) throw new HttpError(404, 'there is no such blob');
    return reader;
  }
}

/** Sends chunks one at a time: a reader uses a chunk's memory again as soon as the next one is asked for. */
async function send(exchange: Exchange, chunks: AsyncIterable<Buffer>): Promise<void> {
  const { response, signal } = exchange;
  for await (const chunk of chunks) {
    if (response.destroyed) signal.throwIfAborted();
    exchange.bytesOut += chunk.length;
    await written(exchange, chunk);
  }
  response.end();
  if (!response.writableFinished) await once(response, 'close').catch(() => {});
}

/** Resolves when the chunk has left the process. */
function written({ response }: Exchange, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = () => reject(new HttpError(499, 'the client went away'));
    response.once('close', gone);
    response.write(chunk, (error) => {
      response.off('close', gone);
      if (error) reject(error);
      else resolve();
    });
  });
}
