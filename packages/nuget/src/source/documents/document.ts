import type { Validators } from '../../http-cache/validators.js';

export interface DocumentInit {
  /** URL that it came from; undefined where another program cached it and didn't note that. */
  readonly url: string | undefined;
  /** Where redirects led from there, which is what the links in it are seen from. Default: they led nowhere. */
  readonly base?: string | undefined;
  readonly body: Buffer | undefined;
  readonly size: number;
  readonly etag?: string | undefined;
  readonly lastModified?: string | undefined;
  /** When the source gave it or confirmed it, in milliseconds since 1970. */
  readonly fetchedAt: number;
  /** Whether the source said that what it gave before is still good. */
  readonly isConfirmed?: boolean | undefined;
}

/** What the body says, once it was read: shared by all copies of a document. */
interface Meaning {
  parsed: { readonly value: unknown } | undefined;
}

/** A document of a feed, as the caches keep it. */
export class FeedDocument {
  readonly url: string | undefined;
  readonly base: string | undefined;
  /** Undefined in memory, where what it says is enough. */
  readonly body: Buffer | undefined;
  readonly size: number;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  readonly fetchedAt: number;
  /** Whether the caches have it already, and only have to know that it is younger than they think. */
  readonly isConfirmed: boolean;
  readonly #meaning: Meaning;

  constructor(init: DocumentInit, meaning: Meaning = { parsed: undefined }) {
    this.url = init.url;
    this.base = init.base;
    this.body = init.body;
    this.size = init.size;
    this.etag = init.etag;
    this.lastModified = init.lastModified;
    this.fetchedAt = init.fetchedAt;
    this.isConfirmed = init.isConfirmed ?? false;
    this.#meaning = meaning;
  }

  /** What a source can be asked with whether it is still good, and what else is noted beside it. */
  get validators(): Validators | undefined {
    const { url, base, etag, lastModified } = this;
    if (url === undefined || (etag ?? lastModified ?? base) === undefined) return undefined;
    return { url, base, etag, lastModified };
  }

  /** Whether what it says can be told. */
  get isReadable(): boolean {
    return this.body !== undefined || this.#meaning.parsed !== undefined;
  }

  /** What it says: whoever reads it first makes that of the body. */
  read<T>(parse: (body: Buffer, url: string) => T, url: string): T {
    const meaning = this.#meaning;
    meaning.parsed ??= { value: parse(this.body ?? Buffer.alloc(0), this.base ?? url) };
    return meaning.parsed.value as T;
  }

  /** The same for memory, without the bytes. */
  withoutBody(): FeedDocument {
    return this.body === undefined ? this : new FeedDocument({ ...this, body: undefined }, this.#meaning);
  }

  /**
   * The same, after the source said that it is still good. Its own validators stay: others, which a source in error says,
   * are those of another document, and asked with them it would confirm this one for ever.
   */
  confirmed(fetchedAt: number, validators: { etag?: string | undefined; lastModified?: string | undefined }) {
    const etag = this.etag ?? validators.etag;
    const lastModified = this.lastModified ?? validators.lastModified;
    return new FeedDocument({ ...this, etag, lastModified, fetchedAt, isConfirmed: true }, this.#meaning);
  }
}
