import type { Readable } from 'node:stream';
import type { Span } from '@granary/telemetry';
import type { PackageHash } from '../source/packages/package-hash.js';
import type { SourceCacheContext } from '../source/source-cache-context.js';

/** What goes with every call. */
export interface CallOptions {
  /** Ends the call, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  readonly span?: Span | undefined;
  /** How old answers may be. Default: `new SourceCacheContext()`. */
  readonly cacheContext?: SourceCacheContext | undefined;
}

/** A question to a `Feed` that is answered by a document, from a cache or from the source. */
export interface DocumentRequest<T> extends CallOptions {
  /** Name of the file that keeps it in the HTTP cache, without `.dat`: `list_{id}`; undefined is never kept. */
  readonly cacheKey: string | undefined;
  readonly accept?: string | undefined;
  /** Whether what is sent to the source leaves it as it is: then it isn't asked for again after that. Default false. */
  readonly outlivesChanges?: boolean | undefined;
  /** Longest document, decompressed. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
  /**
   * Makes of the document what it says. What throws a `PROTOCOL` error was no such document, and is not kept; what it
   * returns may be given to others too, so it is never changed, and for one key and URL it is always the same kind of
   * thing, whoever asks.
   */
  readonly parse: (body: Buffer, url: string) => T;
}

/** Something that changes what a source has. Never cached; what comes back counts when it is 2xx or 404. */
export interface SendRequest extends CallOptions {
  readonly method: 'PUT' | 'POST' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Makes the body anew for each attempt. */
  readonly body?: (() => Readable) | undefined;
  readonly timeoutMs?: number | undefined;
}

/** What is missing of a package that broke off on the way. */
export interface PackageRest {
  /** Where it begins: how many bytes are here. */
  readonly offset: number;
  /** What these are part of: {@link PackageStream.etag}. */
  readonly etag: string;
}

/** What goes with a question for a package. */
export interface StreamOptions extends CallOptions {
  /** Asks for that only. A source that can't, or that has another package by now, gives the whole. */
  readonly rest?: PackageRest | undefined;
}

/** What comes when a package is asked for: read it to its end or destroy it. */
export interface PackageStream {
  readonly body: Readable;
  /** Bytes of the whole package, where the source says so. */
  readonly length: number | undefined;
  readonly url: string;
  /** Where in the package the body begins. Default 0. */
  readonly offset?: number | undefined;
  /** Tells these bytes from all others that the source ever gives in their place; undefined where it doesn't say. */
  readonly etag?: string | undefined;
  /** Of the whole package, where the source says it along with it. */
  readonly hash?: PackageHash | undefined;
}

/**
 * A source as its protocol sees it: something that gives documents and packages by URL and takes requests. Limits,
 * retries, credentials, headers and caches are its business, and it says `undefined` for what isn't there (404). All
 * else that fails is a `SourceError`.
 */
export interface Feed {
  /** Name of the source: a metric label, and what errors call it. */
  readonly name: string;
  /** URL of the source as it was configured. */
  readonly url: string;
  document<T>(url: string, request: DocumentRequest<T>): Promise<T | undefined>;
  /** Neither cached nor verified. */
  stream(url: string, options?: StreamOptions): Promise<PackageStream | undefined>;
  /** Answers with the status where it is 2xx or 404, and throws otherwise. */
  send(url: string, request: SendRequest): Promise<number>;
}
