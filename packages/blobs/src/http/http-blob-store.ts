import zlib from 'node:zlib';
import type { HttpResponse } from '@granary/http';
import { checkBytes } from '../blob-source.js';
import {
  type BlobReader,
  type BlobSource,
  type BlobStore,
  CHUNK_BYTES,
  type GetOptions,
  type OperationOptions,
  type ReadOptions,
  type SizeLookup,
} from '../blob-store.js';
import { BufferReader, readAll, readRange } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';
import { StoreClosedError } from '../errors.js';
import { missingBlobs } from '../remote/missing-blobs.js';
import { RemoteReader } from '../remote/remote-reader.js';
import { UploadBody } from '../remote/upload-body.js';
import { type CacheServer, discard, headerOf } from './cache-server.js';
import { parseContentRange, parseLength } from './content-range.js';
import type { ResolvedHttpOptions } from './options.js';

/** A server's answer to HEAD that it doesn't know it. */
const NO_HEAD = [405, 501];
const UNSATISFIABLE = 416;

/** What is said of a blob that is there. */
interface Found {
  /** Undefined where the server doesn't say. */
  readonly size: number | undefined;
}

/** Bytes of a blob. */
interface Part {
  readonly offset: number;
  readonly length: number;
}

/** An answer with a blob, or with a part of it. */
interface Opened {
  readonly response: HttpResponse;
  /** Bytes of the body that come before those that were asked for. */
  readonly skip: number;
  /** Whether the body ends with those. */
  readonly isTail: boolean;
}

/** What is compressed has no length, by which a blob of another size could be told before it comes. */
const WORTH_COMPRESSING_BYTES = 16 * 1024;

/**
 * Another cache's content, under `/cas/HASH`. Of what it gives only sizes are checked here: whoever reads compares the
 * hash; what it is sent is right. Nothing can be deleted, since the protocol has no call for it.
 */
export class HttpBlobStore implements BlobStore, SizeLookup {
  readonly name: string;
  readonly #server: CacheServer;
  readonly #functions: ReadonlySet<DigestFunction>;
  readonly #parallelChecks: number;
  /** What a whole blob may come as; parts come as they are, since ranges of something compressed are no use. */
  readonly #encodings: string;
  #knowsHead = true;
  #closed = false;

  constructor(server: CacheServer, options: ResolvedHttpOptions) {
    this.name = server.name;
    this.#server = server;
    this.#functions = options.digestFunctions;
    this.#parallelChecks = options.parallelChecks;
    this.#encodings = options.compression && 'createZstdDecompress' in zlib ? 'zstd' : 'identity';
  }

  /** Asks for each blob with HEAD; a server that doesn't know it, with GET for as much as the headers. */
  async findMissing(digests: readonly Digest[], options?: OperationOptions): Promise<Digest[]> {
    this.#checkUsable(options);
    return missingBlobs(digests, this.#parallelChecks, options?.signal, (digest, signal) =>
      this.#has(digest, { ...options, signal }),
    );
  }

  async get(digest: Digest, options?: GetOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    const opened = await this.#open(digest, 0, digest.size, options);
    return opened && readAll(this.#reader(digest, digest.size, opened));
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    this.#checkUsable(options);
    const { offset, length } = readRange(digest.size, options);
    if (length === 0) return (await this.#has(digest, options)) ? BufferReader.copyOf(new Uint8Array(0)) : undefined;
    const opened = await this.#open(digest, offset, length, options);
    return opened && this.#reader(digest, length, opened);
  }

  async sizeOf(fn: DigestFunction, hash: Uint8Array, options?: OperationOptions): Promise<number | undefined> {
    this.#checkUsable(options);
    if (!this.#functions.has(fn)) return undefined;
    return (await this.#find(`/cas/${Buffer.from(hash).toString('hex')}`, options))?.size;
  }

  /**
   * Bytes in memory are sent at once; before a stream the server is asked whether it has the blob.
   *
   * @throws RemoteStoreError `refused` for a digest function that the server isn't used for
   */
  async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    this.#checkUsable(options);
    if (!this.#functions.has(digest.function))
      throw this.#server.failure('refused', `it is not used for blobs of ${digest.function}`, { unfit: true });
    if (source instanceof Uint8Array) {
      checkBytes(digest, source);
      return this.#put(digest, source, options);
    }
    if (!(await this.#has(digest, options))) await this.#stream(digest, source, options);
  }

  /** The protocol has no call for it. */
  async delete(): Promise<boolean> {
    return false;
  }

  /** Refuses what comes; what is under way ends with the tier. */
  async close(): Promise<void> {
    this.#closed = true;
  }

  async #has(digest: Digest, options: OperationOptions | undefined): Promise<boolean> {
    if (!this.#functions.has(digest.function)) return false;
    const found = await this.#find(pathOf(digest), options);
    return found !== undefined && (found.size ?? digest.size) === digest.size;
  }

  async #find(path: string, options: OperationOptions | undefined): Promise<Found | undefined> {
    if (this.#knowsHead) {
      const headers = { 'accept-encoding': 'identity' };
      const response = await this.#server.send({ method: 'HEAD', path, headers, accept: NO_HEAD }, options);
      if (!response) return undefined;
      await discard(response);
      if (!NO_HEAD.includes(response.statusCode)) {
        this.#refusePage(response, `HEAD ${path}`);
        return { size: parseLength(headerOf(response, 'content-length')) };
      }
      this.#knowsHead = false;
    }
    const headers = { 'accept-encoding': 'identity', range: 'bytes=0-0' };
    const accept = [UNSATISFIABLE];
    const response = await this.#server.send({ method: 'GET', path, headers, accept }, options);
    if (!response) return undefined;
    response.body.destroy();
    this.#refusePage(response, `GET ${path}`);
    // There is no first byte of an empty blob.
    if (response.statusCode === UNSATISFIABLE) return { size: 0 };
    if (response.statusCode === 206) return { size: parseContentRange(headerOf(response, 'content-range'))?.size };
    return { size: parseLength(headerOf(response, 'content-length')) };
  }

  /** Asks for bytes of a blob; undefined when it isn't there, or when there is another one with this hash. */
  async #open(
    digest: Digest,
    offset: number,
    length: number,
    options: OperationOptions | undefined,
  ): Promise<Opened | undefined> {
    if (!this.#functions.has(digest.function)) return undefined;
    const isWhole = length === digest.size;
    const headers: Record<string, string> = isWhole
      ? { 'accept-encoding': digest.size > WORTH_COMPRESSING_BYTES ? this.#encodings : 'identity' }
      : { 'accept-encoding': 'identity', range: `bytes=${offset}-${offset + length - 1}` };
    const accept = isWhole ? [] : [UNSATISFIABLE];
    const response = await this.#server.send({ method: 'GET', path: pathOf(digest), headers, accept }, options);
    if (!response) return undefined;
    try {
      const opened = this.#opened(digest, { offset, length }, response);
      if (opened === undefined) response.body.destroy();
      return opened;
    } catch (error) {
      response.body.destroy();
      throw error;
    }
  }

  #opened(digest: Digest, part: Part, response: HttpResponse): Opened | undefined {
    const { statusCode } = response;
    const isPart = part.length < digest.size;
    if (isPart && statusCode === 206) return this.#openedPart(digest, part, response);
    if (isPart && statusCode === UNSATISFIABLE) return undefined;
    if (statusCode === 200 || (statusCode === 204 && digest.size === 0))
      return this.#openedWhole(digest, part, response);
    throw this.#server.failure('invalid', `GET ${pathOf(digest)}: status ${statusCode} has no meaning here`);
  }

  #openedPart(digest: Digest, { offset, length }: Part, response: HttpResponse): Opened | undefined {
    const { first, last, size = digest.size } = parseContentRange(headerOf(response, 'content-range')) ?? {};
    if (size !== digest.size) return undefined;
    if (first === offset && last === offset + length - 1) return { response, skip: 0, isTail: true };
    const what = 'other bytes were sent than those that were asked for';
    throw this.#server.failure('invalid', `GET ${pathOf(digest)}: ${what}`);
  }

  /** A server may send all of a blob of which a part was asked for. */
  #openedWhole(digest: Digest, { offset, length }: Part, response: HttpResponse): Opened | undefined {
    const size = parseLength(headerOf(response, 'content-length'));
    // What is handed out before its hash is known must not begin with a login.
    const isSuspect = size === undefined && digest.size > CHUNK_BYTES && isPage(response);
    if ((size ?? digest.size) === digest.size && !isSuspect)
      return { response, skip: offset, isTail: offset + length === digest.size };
    this.#refusePage(response, `GET ${pathOf(digest)}`);
    return undefined;
  }

  #reader(digest: Digest, length: number, { response, skip, isTail }: Opened): RemoteReader {
    const path = pathOf(digest);
    return new RemoteReader(response.body, {
      length,
      skip,
      isTail,
      wrong: (what) => this.#server.failure('invalid', `GET ${path}: the body ${what}`),
      explain: this.#server.explain(path),
    });
  }

  async #put(digest: Digest, body: Uint8Array | UploadBody, options: OperationOptions | undefined): Promise<void> {
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(digest.size) };
    const response = await this.#server.send({ method: 'PUT', path: pathOf(digest), headers, body }, options);
    if (response) await discard(response);
  }

  async #stream(
    digest: Digest,
    source: AsyncIterable<Uint8Array>,
    options: OperationOptions | undefined,
  ): Promise<void> {
    const signal = options?.signal;
    const body = new UploadBody();
    const stop = new AbortController();
    const abort = () => stop.abort(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true });
    // Whatever ends the request ends the source.
    const answer = this.#put(digest, body, options).finally(() => UploadBody.leave(stop));
    answer.catch(() => {});
    try {
      await body.feed(digest, source, stop.signal);
    } finally {
      signal?.removeEventListener('abort', abort);
    }
    await answer;
    // A server that knows the blob may say so before it has everything; another one has not understood.
    if (body.isComplete || (await this.#has(digest, options))) return;
    throw this.#server.failure('unavailable', `PUT ${pathOf(digest)}: was answered before everything had been sent`);
  }

  /** A page in place of a blob is from something in between, such as a login. */
  #refusePage(response: HttpResponse, what: string): void {
    if (isPage(response)) throw this.#server.failure('invalid', `${what}: a web page came, so this is no cache`);
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}

/** Whether the answer is for people. */
export function isPage(response: HttpResponse): boolean {
  return /^(text\/html|application\/xhtml)/i.test(headerOf(response, 'content-type') ?? '');
}

function pathOf(digest: Digest): string {
  return `/cas/${digest.hash}`;
}
