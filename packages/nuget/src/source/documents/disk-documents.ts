import type { Layer } from '@granary/cache';
import type { HttpCache } from '../../http-cache/http-cache.js';
import { FeedDocument } from './document.js';

/** Longest document that is taken from disk: more than any limit of a request. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Documents of one source in the HTTP cache. It gives them however old they are: they know their age. */
export class DiskDocuments implements Layer<FeedDocument> {
  readonly name = 'disk';
  readonly shared = true;
  readonly #cache: HttpCache;
  readonly #source: string;

  constructor(cache: HttpCache, source: string) {
    this.#cache = cache;
    this.#source = source;
  }

  async get(key: string): Promise<FeedDocument | undefined> {
    const file = await this.#cache.open(this.#source, key);
    if (file === undefined) return undefined;
    if (file.size > MAX_BYTES) {
      await file.close();
      return undefined;
    }
    const [body, validators] = await Promise.all([file.bytes(), this.#cache.validators(this.#source, key, file)]);
    const isFromTheFuture = this.#cache.ageOf(file.modifiedAt) === Number.POSITIVE_INFINITY;
    return new FeedDocument({
      url: validators?.url,
      etag: validators?.etag,
      lastModified: validators?.lastModified,
      body,
      size: body.length,
      fetchedAt: isFromTheFuture ? 0 : file.modifiedAt,
    });
  }

  async set(key: string, document: FeedDocument): Promise<void> {
    const { body, fetchedAt, validators } = document;
    if (body !== undefined) {
      await this.#cache.set(this.#source, key, body, undefined, { validators, modifiedAt: fetchedAt });
    } else if (validators !== undefined && (await this.#has(key, document))) {
      await this.#cache.renew(this.#source, key, fetchedAt, validators);
    }
  }

  delete(key: string): Promise<boolean> {
    return this.#cache.delete(this.#source, key);
  }

  clear(): Promise<void> {
    return this.#cache.clear(this.#source);
  }

  /** The cache belongs to whoever made it. */
  close(): void {}

  /** Whether what lies there is this document: another program may have put another one in its place. */
  async #has(key: string, { url, size }: FeedDocument): Promise<boolean> {
    const file = await this.#cache.open(this.#source, key);
    if (file === undefined) return false;
    await file.close();
    return file.size === size && (await this.#cache.validators(this.#source, key, file))?.url === url;
  }
}
