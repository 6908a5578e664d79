import { checkBytes, collectSource } from '../blob-source.js';
import type {
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  MaybePromise,
  OperationOptions,
  ReadOptions,
} from '../blob-store.js';
import { BufferReader } from '../buffer-reader.js';
import { type Digest, isEmptyDigest } from '../digest.js';
import { StoreDecorator } from './store-decorator.js';

const EMPTY = new Uint8Array(0);

/**
 * Answers for the empty blob without asking the store behind. Clients take it for granted: Bazel never uploads it,
 * yet names it in its trees, so a store that can miss it (or evict it) breaks builds.
 */
class EmptyBlobStore extends StoreDecorator {
  override findMissing(digests: readonly Digest[], options?: OperationOptions): MaybePromise<Digest[]> {
    const others = digests.some((digest) => digest.size === 0)
      ? digests.filter((digest) => !isEmptyDigest(digest))
      : digests;
    return others.length === 0 ? [] : this.inner.findMissing(others, options);
  }

  override get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined> {
    return isEmptyDigest(digest) ? Buffer.alloc(0) : this.inner.get(digest, options);
  }

  override async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    return isEmptyDigest(digest) ? BufferReader.copyOf(EMPTY) : this.inner.read(digest, options);
  }

  override async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    if (!isEmptyDigest(digest)) return this.inner.write(digest, source, options);
    checkBytes(digest, await collectSource(source, 0, options?.signal));
  }

  override async delete(digest: Digest): Promise<boolean> {
    return isEmptyDigest(digest) ? false : this.inner.delete(digest);
  }
}

/** A store that has the empty blob of every digest function, and asks the one behind about all others. */
export function withEmptyBlob(store: BlobStore): BlobStore {
  return new EmptyBlobStore(store);
}
