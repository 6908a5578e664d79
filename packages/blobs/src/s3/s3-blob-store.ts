import { PutObjectCommand } from '@aws-sdk/client-s3';
import type { Logger } from '@granary/telemetry';
import { checkBytes, collectSource } from '../blob-source.js';
import type {
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  OperationOptions,
  ReadOptions,
  SizeLookup,
  WriteOptions,
} from '../blob-store.js';
import { BufferReader, readAll, readRange } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';
import { StoreClosedError } from '../errors.js';
import { missingBlobs } from '../remote/missing-blobs.js';
import { RemoteReader } from '../remote/remote-reader.js';
import type { Bucket } from './bucket.js';
import { ByteBudget } from './byte-budget.js';
import { ConditionalWrites } from './conditional-writes.js';
import { deleteObject } from './delete-object.js';
import { ObjectKeys } from './object-keys.js';
import type { ResolvedS3Options } from './options.js';
import type { OnProgress } from './traffic.js';
import { type PartsContext, UploadInParts } from './upload-in-parts.js';

/** Uploads that wait for memory, at most. */
const MOST_WAITING = 10_000;
/** For the end of an upload that failed, which nobody waits for. */
const DISCARD_TIMEOUT_MS = 10_000;

/**
 * Content in a bucket, an object for each blob, as it is. Of what is read only sizes are checked here: whoever reads
 * compares the hash; what is written is right.
 */
export class S3BlobStore implements BlobStore, SizeLookup {
  readonly name: string;
  readonly #bucket: Bucket;
  readonly #keys: ObjectKeys;
  readonly #logger: Logger;
  readonly #parallelChecks: number;
  readonly #memory: ByteBudget;
  readonly #conditional: ConditionalWrites;
  readonly #parts: PartsContext;
  readonly #uploads = new Map<UploadInParts, Promise<boolean>>();
  /** What is being thrown away. */
  readonly #discarding = new Set<Promise<void>>();
  #closed = false;

  constructor(bucket: Bucket, options: ResolvedS3Options) {
    this.name = bucket.name;
    this.#bucket = bucket;
    this.#keys = new ObjectKeys(options.prefix);
    this.#logger = options.logger;
    this.#parallelChecks = options.parallelChecks;
    this.#memory = new ByteBudget(options.maxUploadBytes, MOST_WAITING, () =>
      bucket.failure('exhausted', 'too many uploads wait for memory'),
    );
    this.#conditional = new ConditionalWrites(bucket);
    const { partBytes, parallelParts } = options;
    this.#parts = { bucket, conditional: this.#conditional, memory: this.#memory, partBytes, parallelParts };
  }

  /** Asks for each blob by itself: S3 has no other way. */
  async findMissing(digests: readonly Digest[], options?: OperationOptions): Promise<Digest[]> {
    this.#checkUsable(options);
    return missingBlobs(digests, this.#parallelChecks, options?.signal, (digest, signal) => this.#has(digest, signal));
  }

  async get(digest: Digest, options?: GetOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    const reader = await this.#open(digest, 0, digest.size, options?.signal);
    return reader && readAll(reader);
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    this.#checkUsable(options);
    const { offset, length } = readRange(digest.size, options);
    if (length > 0) return this.#open(digest, offset, length, options?.signal);
    return (await this.#has(digest, options?.signal)) ? BufferReader.copyOf(new Uint8Array(0)) : undefined;
  }

  async sizeOf(fn: DigestFunction, hash: Uint8Array, options?: OperationOptions): Promise<number | undefined> {
    this.#checkUsable(options);
    return this.#bucket.sizeAt(this.#keys.blobOfHash(fn, hash), options?.signal);
  }

  /** Bytes in memory are sent at once; before a stream the store is asked whether it has the blob. */
  async write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    this.#checkUsable(options);
    const signal = options?.signal;
    if (source instanceof Uint8Array) {
      checkBytes(digest, source);
      return this.#put(digest, source, options);
    }
    if (await this.#has(digest, signal, options?.onProgress)) return;
    if (digest.size > this.#parts.partBytes) return this.#putInParts(digest, source, options);
    const release = await this.#bucket.traffic.wait(this.#memory.take(digest.size, signal), options?.onProgress);
    try {
      const bytes = await collectSource(source, digest.size, signal);
      checkBytes(digest, bytes);
      await this.#put(digest, bytes, options);
    } finally {
      release();
    }
  }

  async delete(digest: Digest): Promise<boolean> {
    this.#checkUsable(undefined);
    return deleteObject(this.#bucket, this.#keys.blob(digest), digest.size);
  }

  /** Refuses what comes, ends uploads in parts and throws their parts away; other requests end with the tier. */
  async close(): Promise<void> {
    this.#closed = true;
    const reason = new StoreClosedError();
    for (const upload of this.#uploads.keys()) upload.stop(reason);
    await Promise.allSettled(this.#uploads.values());
    await Promise.all(this.#discarding);
  }

  async #has(digest: Digest, signal: AbortSignal | undefined, onProgress?: OnProgress): Promise<boolean> {
    return (await this.#bucket.sizeAt(this.#keys.blob(digest), signal, onProgress)) === digest.size;
  }

  /** Undefined also when there is an object of another size. */
  async #open(
    digest: Digest,
    offset: number,
    length: number,
    signal: AbortSignal | undefined,
  ): Promise<RemoteReader | undefined> {
    const key = this.#keys.blob(digest);
    const isWhole = length === digest.size;
    const range = isWhole ? undefined : `bytes=${offset}-${offset + length - 1}`;
    const found = await this.#bucket.open(key, range, signal);
    if (!found) return undefined;
    const { head, body } = found;
    const size = isWhole ? head.ContentLength : Number(head.ContentRange?.replace(/^.*\//, ''));
    if (size !== digest.size || head.ContentLength !== length) {
      body.destroy();
      if (size !== digest.size && Number.isSafeInteger(size)) return undefined;
      throw this.#bucket.failure('invalid', `GET ${key}: other bytes were sent than those that were asked for`);
    }
    return new RemoteReader(body, {
      length,
      isTail: true,
      signal,
      wrong: (what) => this.#bucket.failure('invalid', `GET ${key}: the body ${what}`),
      explain: (error) => this.#bucket.explain(`GET ${key}`, error),
    });
  }

  async #put(digest: Digest, bytes: Uint8Array, { signal, onProgress }: WriteOptions = {}): Promise<void> {
    const key = this.#keys.blob(digest);
    const { bucket, client, encryption, traffic } = this.#bucket;
    const input = { Bucket: bucket, Key: key, Body: bytes, ContentLength: bytes.length, ...encryption };
    await this.#conditional.run(key, digest.size, signal, (IfNoneMatch) =>
      this.#bucket.run(
        `PUT ${key}`,
        signal,
        (options) => client.send(traffic.watched(new PutObjectCommand({ ...input, IfNoneMatch }), onProgress), options),
        onProgress,
      ),
    );
  }

  async #putInParts(digest: Digest, source: BlobSource, options: WriteOptions | undefined): Promise<void> {
    const upload = new UploadInParts(this.#parts, this.#keys.blob(digest), digest, options?.onProgress);
    const sending = upload.send(source, options?.signal);
    this.#uploads.set(upload, sending);
    let isObject = false;
    try {
      isObject = await sending;
    } finally {
      this.#uploads.delete(upload);
      if (!isObject) this.#discard(upload, digest);
    }
  }

  /** Not waited for: whoever gave up has gone, and whoever found the blob there has what he wanted. */
  #discard(upload: UploadInParts, digest: Digest): void {
    const discarding = upload
      .discard(AbortSignal.timeout(DISCARD_TIMEOUT_MS))
      .catch((error: unknown) =>
        this.#logger.warning('Parts of {Digest} may be left in {Bucket}', String(digest), this.#bucket.bucket, error),
      )
      .finally(() => this.#discarding.delete(discarding));
    this.#discarding.add(discarding);
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}
