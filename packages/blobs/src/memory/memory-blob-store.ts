import { checkBytes, collectSource } from '../blob-source.js';
import type { BlobReader, BlobSource, BlobStore, OperationOptions, ReadOptions, SizeLookup } from '../blob-store.js';
import { BufferReader, readRange } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';
import { NoSpaceError, StoreClosedError } from '../errors.js';

/** Content in a map, for tests and small jobs: the shortest thing that keeps the contract of a {@link BlobStore}. */
export class MemoryBlobStore implements BlobStore, SizeLookup {
  readonly name: string;
  readonly #maxBytes: number;
  readonly #blobs = new Map<string, Buffer>();
  #bytes = 0;
  #closed = false;

  /** @param options.maxBytes when the blobs would take more, writes fail; nothing is evicted. Default 64 MiB. */
  constructor(options: { readonly name?: string; readonly maxBytes?: number } = {}) {
    this.name = options.name ?? 'memory';
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
  }

  findMissing(digests: readonly Digest[]): Digest[] {
    return digests.filter((digest) => !this.#find(digest));
  }

  sizeOf(fn: DigestFunction, hash: Uint8Array): number | undefined {
    return this.#open().get(`${fn}/${Buffer.from(hash).toString('hex')}`)?.length;
  }

  get(digest: Digest): Buffer | undefined {
    const bytes = this.#find(digest);
    return bytes && Buffer.from(bytes);
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    options?.signal?.throwIfAborted();
    const bytes = this.#find(digest);
    if (!bytes) return undefined;
    const { offset, length } = readRange(bytes.length, options);
    return BufferReader.copyOf(bytes, offset, length);
  }

  async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    options?.signal?.throwIfAborted();
    if (this.#find(digest)) return;
    if (this.#bytes + digest.size > this.#maxBytes) throw this.#full(digest);
    const bytes = await collectSource(source, digest.size, options?.signal);
    checkBytes(digest, bytes);
    if (this.#find(digest)) return;
    if (this.#bytes + digest.size > this.#maxBytes) throw this.#full(digest);
    this.#blobs.set(keyOf(digest), Buffer.from(bytes));
    this.#bytes += digest.size;
  }

  async delete(digest: Digest): Promise<boolean> {
    if (!this.#find(digest)) return false;
    this.#bytes -= digest.size;
    return this.#blobs.delete(keyOf(digest));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#blobs.clear();
  }

  #find(digest: Digest): Buffer | undefined {
    const bytes = this.#open().get(keyOf(digest));
    return bytes?.length === digest.size ? bytes : undefined;
  }

  #open(): Map<string, Buffer> {
    if (this.#closed) throw new StoreClosedError();
    return this.#blobs;
  }

  #full(digest: Digest): NoSpaceError {
    return new NoSpaceError(`no room for ${digest.size} bytes: ${this.#bytes} of ${this.#maxBytes} are taken`);
  }
}

function keyOf(digest: Digest): string {
  return `${digest.function}/${digest.hash}`;
}
