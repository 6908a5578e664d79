import { createHash } from 'node:crypto';
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
    return (await this.#read(key))?.document;
  }

  async set(key: string, document: FeedDocument): Promise<void> {
    const { body, fetchedAt, validators, isConfirmed } = document;
    const there = isConfirmed && validators !== undefined ? await this.#read(key) : undefined;
    // Another program may have put something else in its place.
    if (there?.sha512 !== undefined && there.document.url === document.url && validators !== undefined) {
      await this.#cache.renew(this.#source, key, fetchedAt, { ...validators, sha512: there.sha512 });
    } else if (body !== undefined) {
      await this.#cache.set(this.#source, key, body, undefined, { validators, modifiedAt: fetchedAt });
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

  /** The document, with the hash of its content where that is the one that its validators are for. */
  async #read(key: string): Promise<{ document: FeedDocument; sha512: string | undefined } | undefined> {
    const file = await this.#cache.open(this.#source, key);
    if (file === undefined) return undefined;
    if (file.size > MAX_BYTES) {
      await file.close();
      return undefined;
    }
    const [body, stored] = await Promise.all([file.bytes(), this.#cache.validators(this.#source, key)]);
    const sha512 = stored && createHash('sha512').update(body).digest('base64');
    const { url, base, etag, lastModified } = (stored?.sha512 === sha512 && stored) || NO_VALIDATORS;
    const isFromTheFuture = this.#cache.ageOf(file.modifiedAt) === Number.POSITIVE_INFINITY;
    const fetchedAt = isFromTheFuture ? 0 : file.modifiedAt;
    const document = new FeedDocument({ url, base, etag, lastModified, body, size: body.length, fetchedAt });
    return { document, sha512: url === undefined ? undefined : sha512 };
  }
}

const NO_VALIDATORS = { url: undefined, base: undefined, etag: undefined, lastModified: undefined };
