import type { Logger } from '@granary/telemetry';
import { NuGetError, SourceError } from '../../errors.js';
import { shownUrl } from '../endpoint-url.js';
import type { CallOptions, Feed } from '../feed.js';
import { parseJson } from '../json.js';
import type { FeedEntry } from './feed-entry.js';
import { type FeedPage, parseFeed } from './feed-parser.js';
import { parseODataMetadata } from './odata-metadata.js';
import type { V2Capabilities } from './v2-capabilities.js';

export interface V2Limits {
  /** Most pages of one answer. Default 1000. */
  readonly maxPages?: number | undefined;
  /** Most versions or packages of one answer. Default 100,000. */
  readonly maxEntries?: number | undefined;
  /** Longest page, decompressed. Default 32 MiB. */
  readonly maxDocumentBytes?: number | undefined;
}

/** Where an answer of several pages begins, and how much of it is wanted. */
export interface ListRequest {
  /** Below the feed's URL. */
  readonly path: string;
  /** Name of the kept pages, to which their number is added; undefined for answers that aren't kept. */
  readonly cacheKey?: string | undefined;
  /** The id of entries that don't say theirs. */
  readonly id?: string | undefined;
  /** When there are so many, no further page is asked for. */
  readonly enough?: number | undefined;
  readonly options: CallOptions;
}

export interface ListAnswer {
  readonly entries: readonly FeedEntry[];
  /** How many there are in all, where the source tells. */
  readonly count: number | undefined;
  /** Whether there is anything at its URL. */
  readonly isThere: boolean;
}

const ACCEPT = 'application/atom+xml, application/xml';

/**
 * The documents of a source of protocol 2: lists in pages, which are followed by their links until one has no next, one
 * is named twice or there are too many, and the few that are something else.
 */
export class V2Source {
  readonly feed: Feed;
  /** URL of the feed without a slash at its end. */
  readonly base: string;
  readonly #logger: Logger;
  readonly #limits: { readonly [K in keyof V2Limits]-?: number };

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(feed: Feed, limits: V2Limits, logger: Logger, baseUrl = feed.url) {
    const { maxPages = 1000, maxEntries = 100_000, maxDocumentBytes = 32 * 1024 * 1024 } = limits;
    for (const [name, value] of Object.entries({ maxPages, maxEntries, maxDocumentBytes })) checkLimit(name, value);
    this.feed = feed;
    this.#logger = logger;
    this.#limits = { maxPages, maxEntries, maxDocumentBytes };
    this.base = baseOf(baseUrl);
  }

  /** Undefined when the source doesn't describe itself. */
  capabilities(options: CallOptions): Promise<V2Capabilities | undefined> {
    return this.feed.document(`${this.base}/$metadata`, {
      ...options,
      cacheKey: 'odata_metadata',
      accept: 'application/xml',
      maxBytes: this.#limits.maxDocumentBytes,
      parse: (body, url) => parseODataMetadata(body, { source: this.feed.name, url }),
    });
  }

  /** All pages of a list. One that isn't there is empty. */
  async list(request: ListRequest): Promise<ListAnswer> {
    const { maxPages, maxEntries } = this.#limits;
    const enough = request.enough ?? Number.POSITIVE_INFINITY;
    const first = this.base + request.path;
    const seen = new Set<string>();
    const entries: FeedEntry[] = [];
    let isThere = false;
    let count: number | undefined;
    let skipped = 0;
    for (let next: string | undefined = first; next !== undefined && entries.length < enough; ) {
      const name = new URL(next).href;
      if (seen.has(name)) throw this.error('PROTOCOL', `${shownUrl(first)} names a page twice`);
      if (seen.size === maxPages) throw this.error('LIMIT', `${shownUrl(first)} has more than ${maxPages} pages`);
      seen.add(name);
      const page: FeedPage | undefined = await this.#page(next, seen.size, request);
      if (seen.size === 1) isThere = page !== undefined;
      // What is on it would seem not to exist.
      else if (page === undefined) {
        throw this.error('PROTOCOL', `${shownUrl(next)} isn't there, though ${shownUrl(first)} has it as a page`);
      }
      count ??= page?.count;
      skipped += page?.skipped ?? 0;
      for (const entry of page?.entries ?? []) entries.push(entry);
      if (entries.length > maxEntries) {
        throw this.error('LIMIT', `${shownUrl(first)} has more than ${maxEntries} entries`);
      }
      next = page?.next;
    }
    if (skipped > 0) {
      const text = '{Count} entries in {Url} are left out: their versions are none';
      this.#logger.debug(text, skipped, shownUrl(first));
      // That is no way to say that there is no such package.
      if (entries.length === 0) throw this.error('PROTOCOL', `${shownUrl(first)} has no entry whose version is one`);
    }
    return { entries, count, isThere };
  }

  /** A list of texts in JSON; undefined when it isn't there. */
  names(path: string, options: CallOptions): Promise<readonly string[] | undefined> {
    return this.feed.document(this.base + path, {
      ...options,
      cacheKey: undefined,
      accept: 'application/json',
      maxBytes: this.#limits.maxDocumentBytes,
      parse: (body, url) => {
        const value = parseJson(body, this.feed.name, url);
        if (Array.isArray(value) && value.every((name) => typeof name === 'string')) return value;
        throw this.error('PROTOCOL', `${shownUrl(url)} answered with something else than a list of texts`);
      },
    });
  }

  error(code: 'PROTOCOL' | 'LIMIT', message: string, cause?: unknown): SourceError {
    return new SourceError(code, this.feed.name, message, { cause });
  }

  unsupported(what: string, statusCode?: number): SourceError {
    return new SourceError('UNSUPPORTED', this.feed.name, `${shownUrl(this.base)} doesn't offer ${what}`, {
      statusCode,
    });
  }

  #page(url: string, number: number, { cacheKey, id, options }: ListRequest): Promise<FeedPage | undefined> {
    return this.feed.document(url, {
      ...options,
      cacheKey: cacheKey === undefined ? undefined : `${cacheKey}_page${number}`,
      accept: ACCEPT,
      maxBytes: this.#limits.maxDocumentBytes,
      parse: (body, from) => parseFeed(body, { source: this.feed.name, url: from }, id),
    });
  }
}

/** What paths are added to: a URL without query, and without a slash at its end. */
export function baseOf(text: string): string {
  const url = new URL(text);
  url.search = url.hash = '';
  return url.href.replace(/\/+$/, '');
}

/** @throws {@link NuGetError} `INVALID_OPTION` */
export function checkLimit(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new NuGetError('INVALID_OPTION', `${name} must be a whole number from 1, not ${value}`);
}
