import { once } from 'node:events';
import {
  type BlobReader,
  type BlobStore,
  createHasher,
  Digest,
  type DigestFunction,
  emptyDigest,
  HASH_BYTES,
  type Hasher,
  isEmptyDigest,
  type MaybePromise,
  type SizeLookup,
} from '@granary/blobs';
import type { Tracer } from '@granary/telemetry';
import { isPending } from '../services/pending.js';
import { compress, compressStream, zstdSupport } from '../zstd/index.js';
import { type ByteRange, parseRange } from './byte-range.js';
import type { CachePath } from './cache-path.js';
import type { Exchange, HeaderList } from './exchange.js';
import { HttpError } from './http-error.js';
import { acceptsCoding } from './negotiation.js';
import { requestBody } from './request-body.js';
import type { Spool } from './spool.js';

/** A blob up to this size is answered in one piece. */
const WHOLE_BYTES = 256 * 1024;
const TYPE: HeaderList = ['Content-Type', 'application/octet-stream'];
const RANGED: HeaderList = [...TYPE, 'Accept-Ranges', 'bytes'];
const COMPRESSED: HeaderList = [...TYPE, 'Content-Encoding', 'zstd', 'Vary', 'Accept-Encoding'];

type BlobPath = Extract<CachePath, { readonly kind: 'ac' | 'cas' }>;

export interface BlobsOptions {
  readonly blobs: BlobStore;
  /** The protocol names content by its hash alone. */
  readonly sizes: SizeLookup;
  /** Told of a blob that was asked for and whose size nobody knows. */
  readonly onUnknown: ((asked: 'get' | 'find') => void) | undefined;
  readonly tracer: Tracer;
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

  /** Answers at once when the store does. */
  get(exchange: Exchange, path: BlobPath): MaybePromise<void> {
    const digest = this.#find(exchange, path);
    return isPending(digest)
      ? digest.then((found) => this.#answer(exchange, path, found))
      : this.#answer(exchange, path, digest);
  }

  #answer(exchange: Exchange, path: BlobPath, digest: Digest | undefined): MaybePromise<void> {
    if (!digest) throw this.#unknown(exchange, path, 'get');
    return this.#send(exchange, digest);
  }

  /** Answers GET and HEAD with a blob that is known by its digest. */
  async serve(exchange: Exchange, digest: Digest): Promise<void> {
    if (exchange.request.method === 'HEAD') await this.#head(exchange, digest);
    else await this.#send(exchange, digest);
  }

  #send(exchange: Exchange, digest: Digest): MaybePromise<void> {
    if (isEmptyDigest(digest)) return exchange.answer(200, TYPE);
    const { headers } = exchange.request;
    // A store may say that another blob has no bytes: it lost them, and finds that out when it is asked for the blob.
    const range = headers.range === undefined || digest.size === 0 ? undefined : parseRange(headers.range, digest.size);
    if (range) return this.#sendRange(exchange, digest, range);
    const coding = headers['accept-encoding'];
    const compressed = coding !== undefined && acceptsCoding(coding, 'zstd') && zstdSupport().compress;
    if (digest.size > WHOLE_BYTES)
      return compressed ? this.#streamCompressed(exchange, digest) : this.#stream(exchange, digest);
    // Nobody gains by cancelling what takes microseconds, and a signal costs about as much.
    const bytes = this.#options.blobs.get(digest, exchange.spanOnly);
    if (compressed) return this.#sendCompressed(exchange, bytes);
    return isPending(bytes) ? bytes.then((found) => sendWhole(exchange, found)) : sendWhole(exchange, bytes);
  }

  async head(exchange: Exchange, path: BlobPath): Promise<void> {
    const digest = await this.#find(exchange, path);
    if (!digest) throw this.#unknown(exchange, path, 'find');
    await this.#head(exchange, digest);
  }

  async #head(exchange: Exchange, digest: Digest): Promise<void> {
    // Asking for a blob is a use of it: a client that hears that it is here will not upload it.
    if (!isEmptyDigest(digest)) {
      const isMissing = digest.size === 0 || (await this.#options.blobs.findMissing([digest], exchange)).length > 0;
      if (isMissing) throw missing();
    }
    exchange.answerHead(200, [...RANGED, 'Content-Length', digest.size]);
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
    // Of a blob that is here already nothing was read.
    await exchange.answerUpload();
  }

  /** Stores content that nobody has hashed yet, and says what its digest is. */
  async store(exchange: Exchange, fn: DigestFunction, chunks: AsyncIterable<Buffer>): Promise<Digest> {
    const hasher = createHasher(fn);
    const spooled = await this.#options.spool.take(hashed(chunks, hasher));
    try {
      const digest = Digest.fromBytes(fn, hasher.digest(), spooled.size);
      await this.#options.blobs.write(digest, spooled.source, exchange);
      return digest;
    } finally {
      await spooled.discard();
    }
  }

  /** No store is asked for such a blob, so that neither its metrics nor its spans would tell of it. */
  #unknown({ span: parent }: Exchange, { hash }: BlobPath, asked: 'get' | 'find'): HttpError {
    const { blobs, onUnknown, tracer } = this.#options;
    onUnknown?.(asked);
    if (parent.recording) {
      const attributes = {
        'cache.tier': blobs.name,
        'cache.digest': Buffer.from(hash).toString('hex'),
        'cache.hit': false,
      };
      tracer.startSpan(asked === 'get' ? 'proxy.Get' : 'proxy.FindMissing', { parent, attributes }).end();
    }
    return missing();
  }

  /** The digest behind a hash: of the function that its length stands for, or of another one with that length. */
  #find(exchange: Exchange, path: BlobPath): MaybePromise<Digest | undefined> {
    const { fn, hash } = path;
    const { digestFunctions, sizes } = this.#options;
    const size = digestFunctions.includes(fn) ? sizes.sizeOf(fn, hash, exchange) : undefined;
    if (isPending(size)) return size.then((found) => asDigest(fn, hash, found) ?? this.#findOther(exchange, path));
    return asDigest(fn, hash, size) ?? this.#findOther(exchange, path);
  }

  async #findOther(exchange: Exchange, { fn: first, hash }: BlobPath): Promise<Digest | undefined> {
    for (const fn of this.#options.digestFunctions) {
      if (HASH_BYTES[fn] !== hash.length) continue;
      if (emptyDigest(fn).bytes.equals(hash)) return emptyDigest(fn);
      const digest =
        fn === first ? undefined : asDigest(fn, hash, await this.#options.sizes.sizeOf(fn, hash, exchange));
      if (digest) return digest;
    }
    return undefined;
  }

  async #sendRange(exchange: Exchange, digest: Digest, { offset, length }: ByteRange): Promise<void> {
    const reader = await this.#read(exchange, digest, { offset, limit: length });
    const range = `bytes ${offset}-${offset + length - 1}/${digest.size}`;
    exchange.begin(206, [...RANGED, 'Content-Range', range, 'Content-Length', length]);
    await send(exchange, reader);
  }

  async #stream(exchange: Exchange, digest: Digest): Promise<void> {
    const reader = await this.#read(exchange, digest, {});
    exchange.begin(200, [...RANGED, 'Content-Length', digest.size]);
    await send(exchange, reader);
  }

  async #streamCompressed(exchange: Exchange, digest: Digest): Promise<void> {
    const reader = await this.#read(exchange, digest, {});
    exchange.begin(200, COMPRESSED);
    await send(exchange, compressStream(reader));
  }

  async #sendCompressed(exchange: Exchange, found: MaybePromise<Buffer | undefined>): Promise<void> {
    const bytes = await found;
    if (!bytes) throw missing();
    exchange.answer(200, COMPRESSED, await compress(bytes));
  }

  async #read(exchange: Exchange, digest: Digest, part: { offset?: number; limit?: number }): Promise<BlobReader> {
    const reader = await this.#options.blobs.read(digest, {
      ...part,
      signal: exchange.signal,
      span: exchange.span,
      via: exchange.via,
    });
    if (!reader) throw missing();
    return reader;
  }
}

function asDigest(fn: DigestFunction, hash: Buffer, size: number | undefined): Digest | undefined {
  return size === undefined ? undefined : Digest.fromBytes(fn, hash, size);
}

async function* hashed(chunks: AsyncIterable<Buffer>, hasher: Hasher): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    hasher.update(chunk);
    yield chunk;
  }
}

function missing(): HttpError {
  return new HttpError(404, 'there is no such blob');
}

function sendWhole(exchange: Exchange, bytes: Buffer | undefined): void {
  if (!bytes) throw missing();
  exchange.answer(200, RANGED, bytes);
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
