import { toMaybePromise } from '@granary/resilience';
import { isContentOf } from '../blob-source.js';
import type { BlobReader, BlobStore, GetOptions, MaybePromise, ReadOptions } from '../blob-store.js';
import { iterateReader } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import { createHasher, type Hasher } from '../digest-function.js';
import { BlobDamagedError } from '../errors.js';
import { StoreDecorator } from './store-decorator.js';

/** Told of each blob that the store behind got wrong. */
export type MismatchListener = (digest: Digest, reason: string) => void;

/**
 * Trusts nothing that the store behind delivers: for stores on other machines, which others write to. What is wrong
 * counts as missing; a stream that turns out wrong ends with an error before its last chunk, so that nobody ever has
 * all of it.
 *
 * A part of a blob can't be compared with a hash: its length is checked, nothing else.
 */
class VerifiedStore extends StoreDecorator {
  readonly #onMismatch: MismatchListener;

  constructor(inner: BlobStore, onMismatch: MismatchListener) {
    super(inner);
    this.#onMismatch = onMismatch;
  }

  override get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined> {
    const bytes = toMaybePromise(this.inner.get(digest, options));
    return bytes instanceof Promise ? bytes.then((late) => this.#check(digest, late)) : this.#check(digest, bytes);
  }

  override async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    const reader = await this.inner.read(digest, options);
    if (!reader) return undefined;
    const offset = Math.min(options?.offset ?? 0, digest.size);
    const length = Math.min(options?.limit ?? Number.POSITIVE_INFINITY, digest.size - offset);
    if (reader.length === length) return new VerifiedReader(reader, digest, length === digest.size, this.#onMismatch);
    await reader.close();
    this.#onMismatch(digest, `${reader.length} bytes were offered instead of ${length}`);
    return undefined;
  }

  #check(digest: Digest, bytes: Buffer | undefined): Buffer | undefined {
    if (!bytes) return undefined;
    if (isContentOf(digest, bytes)) return bytes;
    this.#onMismatch(digest, `${bytes.length} bytes with another hash`);
    return undefined;
  }
}

class VerifiedReader implements BlobReader {
  readonly length: number;
  readonly #inner: BlobReader;
  readonly #digest: Digest;
  readonly #hasher: Hasher | undefined;
  readonly #onMismatch: MismatchListener;
  #seen = 0;

  constructor(inner: BlobReader, digest: Digest, whole: boolean, onMismatch: MismatchListener) {
    this.length = inner.length;
    this.#inner = inner;
    this.#digest = digest;
    this.#hasher = whole ? createHasher(digest.function) : undefined;
    this.#onMismatch = onMismatch;
  }

  get lasting(): boolean {
    return this.#inner.lasting === true;
  }

  async next(): Promise<Buffer | undefined> {
    const chunk = await this.#inner.next();
    if (!chunk) {
      if (this.#seen < this.length && this.#seen >= 0) await this.#wrong(`it ended after ${this.#seen} bytes`);
      return undefined;
    }
    this.#seen += chunk.length;
    if (this.#seen > this.length) await this.#wrong('it has more bytes than its digest names');
    this.#hasher?.update(chunk);
    // The hash is complete when the last chunk has come in and has not gone out.
    if (this.#seen === this.length && this.#hasher) {
      const hash = this.#hasher.digest();
      if (!hash.equals(this.#digest.bytes)) await this.#wrong(`its hash is ${hash.toString('hex')}`);
    }
    return chunk;
  }

  close(): Promise<void> {
    this.#seen = Number.NEGATIVE_INFINITY;
    return this.#inner.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  async #wrong(reason: string): Promise<never> {
    await this.close();
    this.#onMismatch(this.#digest, reason);
    throw new BlobDamagedError(`${this.#digest} was delivered damaged: ${reason}`);
  }
}

/** @param onMismatch told of each blob that was wrong */
export function withVerification(store: BlobStore, onMismatch: MismatchListener = () => {}): BlobStore {
  return new VerifiedStore(store, onMismatch);
}
