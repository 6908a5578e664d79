import { checkBytes, collectSource } from '../blob-source.js';
import type {
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  OperationOptions,
  ReadOptions,
  SizeLookup,
} from '../blob-store.js';
import { BufferReader, readRange } from '../buffer-reader.js';
import { type Digest, isEmptyDigest } from '../digest.js';
import { type DigestFunction, hashBytes } from '../digest-function.js';
import { BlobTooLargeError, StoreClosedError } from '../errors.js';
import { RemoteStoreError } from '../remote/remote-store-error.js';
import type { CommandBatches, KeyCommand } from './command-batches.js';
import { type Lifetime, storing, using } from './lifetime.js';
import type { StoredNames } from './stored-names.js';

/** Existence checks that are one turn of waiting; more of one caller follow when these are answered. */
const CHECKS_AT_ONCE = 5000;
/** What an existence check takes in memory, about. */
const CHECK_BYTES = 100;

export interface RedisBlobStoreOptions {
  readonly name: string;
  readonly maxBlobBytes: number;
  readonly lifetime: Lifetime;
  readonly names: StoredNames;
  readonly batches: CommandBatches;
}

/**
 * Small blobs in Redis, each as a value of its own. A blob above `maxBlobBytes` is never here: it is missing for every
 * question, and writing it fails. The empty blob is always here.
 *
 * Content is verified when it is written, and its size when it is read; whoever reads compares the hash.
 */
export class RedisBlobStore implements BlobStore, SizeLookup {
  readonly name: string;
  readonly #maxBlobBytes: number;
  readonly #lifetime: Lifetime;
  readonly #names: StoredNames;
  readonly #batches: CommandBatches;
  #closed = false;

  constructor({ name, maxBlobBytes, lifetime, names, batches }: RedisBlobStoreOptions) {
    this.name = name;
    this.#maxBlobBytes = maxBlobBytes;
    this.#lifetime = lifetime;
    this.#names = names;
    this.#batches = batches;
  }

  /** A blob counts as here only in its full length. */
  async findMissing(digests: readonly Digest[], options?: OperationOptions): Promise<Digest[]> {
    this.#checkUsable(options);
    const here = new Set<Digest>(digests.filter(isEmptyDigest));
    const asked = digests.filter((digest) => digest.size > 0 && digest.size <= this.#maxBlobBytes);
    for (let from = 0; from < asked.length; from += CHECKS_AT_ONCE) {
      const piece = asked.slice(from, from + CHECKS_AT_ONCE);
      const lengths = await this.#lengthsOf(piece, options?.signal);
      for (const [i, digest] of piece.entries()) if (lengths[i] === digest.size) here.add(digest);
    }
    return digests.filter((digest) => !here.has(digest));
  }

  async sizeOf(fn: DigestFunction, hash: Uint8Array, options?: OperationOptions): Promise<number | undefined> {
    this.#checkUsable(options);
    const command: KeyCommand = ['strlen', this.#names.blobWithHash(fn, hash)];
    const size = Number((await this.#batches.send([command], CHECK_BYTES, options?.signal))[0]);
    return size > 0 && size <= this.#maxBlobBytes ? size : undefined;
  }

  /** @throws RemoteStoreError `invalid` when what Redis has isn't this blob, by its length */
  async get(digest: Digest, options?: GetOptions): Promise<Buffer | undefined> {
    this.#checkUsable(options);
    if (digest.size === 0) return isEmptyDigest(digest) ? Buffer.alloc(0) : undefined;
    if (digest.size > this.#maxBlobBytes) return undefined;
    const key = this.#names.blob(digest);
    // A range, because a value can be of any length: one byte too many tells of more.
    const commands: KeyCommand[] = [['getrangeBuffer', key, 0, this.#maxBlobBytes]];
    if (this.#lifetime.refresh) commands.push(using(key, this.#lifetime));
    const [bytes] = (await this.#batches.send(commands, digest.size, options?.signal)) as [Buffer];
    // Memory of its own, since the answer lies in a larger piece of the connection's stream.
    if (bytes.length === digest.size) return Buffer.from(bytes);
    if (bytes.length > 0) this.#checkLength(digest, bytes);
    return undefined;
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    const bytes = await this.get(digest, options);
    if (!bytes) return undefined;
    const { offset, length } = readRange(bytes.length, options);
    return BufferReader.copyOf(bytes, offset, length);
  }

  /**
   * Resolves when Redis has it in memory. Bytes in memory are sent at once; for a stream Redis is asked first whether it
   * has the blob.
   *
   * @throws BlobTooLargeError above `maxBlobBytes`, before anything is read
   */
  async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    this.#checkUsable(options);
    if (digest.size > this.#maxBlobBytes) throw new BlobTooLargeError(digest.size, this.#maxBlobBytes);
    if (!(source instanceof Uint8Array) && (await this.findMissing([digest], options)).length === 0) return;
    const bytes = await collectSource(source, digest.size, options?.signal);
    checkBytes(digest, bytes);
    if (digest.size === 0) return;
    // A copy of the caller's memory, which may still be on its way after he gave up and has it back.
    const value = bytes === source ? Buffer.from(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const command = storing(this.#names.blob(digest), value, this.#lifetime);
    await this.#batches.send([command], digest.size, options?.signal);
  }

  async delete(digest: Digest): Promise<boolean> {
    this.#checkUsable(undefined);
    if (digest.size === 0 || digest.size > this.#maxBlobBytes) return false;
    if ((await this.findMissing([digest])).length > 0) return false;
    const [removed] = await this.#batches.send([['unlink', this.#names.blob(digest)]], CHECK_BYTES, undefined);
    return Number(removed) > 0;
  }

  /** Refuses what comes; the connection belongs to the tier. */
  async close(): Promise<void> {
    this.#closed = true;
  }

  async #lengthsOf(digests: readonly Digest[], signal: AbortSignal | undefined): Promise<unknown[]> {
    const keys = digests.map((digest) => this.#names.blob(digest));
    const commands: KeyCommand[] = keys.map((key) => ['strlen', key]);
    if (this.#lifetime.refresh) for (const key of keys) commands.push(using(key, this.#lifetime));
    return this.#batches.send(commands, CHECK_BYTES, signal);
  }

  /** The digest may have a wrong size, which is nobody's failure but its own. */
  #checkLength(digest: Digest, bytes: Buffer): void {
    if (bytes.length > this.#maxBlobBytes || hashBytes(digest.function, bytes).equals(digest.bytes)) return;
    throw new RemoteStoreError(this.name, 'invalid', `Redis sent ${bytes.length} bytes for ${digest}`);
  }

  #checkUsable(options: OperationOptions | undefined): void {
    if (this.#closed) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
  }
}
