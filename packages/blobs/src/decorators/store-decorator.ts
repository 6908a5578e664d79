import type {
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  MaybePromise,
  OperationOptions,
  ReadOptions,
} from '../blob-store.js';
import type { Digest } from '../digest.js';

/** A store around a store that hands everything on: a decorator overrides what it is about. */
export abstract class StoreDecorator implements BlobStore {
  protected readonly inner: BlobStore;

  constructor(inner: BlobStore) {
    this.inner = inner;
  }

  get name(): string {
    return this.inner.name;
  }

  findMissing(digests: readonly Digest[], options?: OperationOptions): MaybePromise<Digest[]> {
    return this.inner.findMissing(digests, options);
  }

  get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined> {
    return this.inner.get(digest, options);
  }

  read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    return this.inner.read(digest, options);
  }

  write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    return this.inner.write(digest, source, options);
  }

  delete(digest: Digest): Promise<boolean> {
    return this.inner.delete(digest);
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
