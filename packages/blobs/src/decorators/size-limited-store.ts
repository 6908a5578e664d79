import type { BlobSource, BlobStore, OperationOptions } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { BlobTooLargeError } from '../errors.js';
import { StoreDecorator } from './store-decorator.js';

/** Refuses blobs over a size before a byte of them is read, so that one client can't fill the store by itself. */
class SizeLimitedStore extends StoreDecorator {
  readonly #maxBytes: number;

  constructor(inner: BlobStore, maxBytes: number) {
    super(inner);
    this.#maxBytes = maxBytes;
  }

  override async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    if (digest.size > this.#maxBytes) throw new BlobTooLargeError(digest.size, this.#maxBytes);
    return this.inner.write(digest, source, options);
  }
}

/** @param maxBytes size of the largest blob that is taken */
export function withSizeLimit(store: BlobStore, maxBytes: number): BlobStore {
  return new SizeLimitedStore(store, maxBytes);
}
