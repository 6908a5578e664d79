import type { HttpClient, HttpResponse } from '@granary/http';
import type { Timers } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import { Authenticator } from '../auth/authenticator.js';
import { SourceError } from '../errors.js';
import { type NuGetMetrics, noopNuGetMetrics } from '../metrics.js';
import { shownUrl } from '../protocol/endpoint-url.js';
import type {
  CallOptions,
  DocumentRequest,
  Feed,
  PackageStream,
  SendRequest,
  StreamOptions,
} from '../protocol/feed.js';
import { isAnswered } from './answered.js';
import { DocumentRequests } from './documents/document-requests.js';
import { FeedDocuments } from './documents/feed-documents.js';
import { headersFor, restOfPackage, wholePackage } from './packages/package-answer.js';
import { isWebPage, oneLine, refusalReason, secretsIn } from './refusal-reason.js';
import type { SourceCache } from './source-cache.js';
import { DEFAULT_NOT_FOUND_TTL_MS, SourceCacheContext } from './source-cache-context.js';
import { statusFailure } from './source-failures.js';
import { drain, SourceRequests } from './source-requests.js';
import { plainSourceUrl } from './source-url.js';

/** A source for `HttpFeed`, what it is reached and cached by, and how long answers count. */
export interface HttpFeedOptions {
  /** Name of the source: a metric label, and what errors call it. */
  readonly name: string;
  /** Its URL as it was configured; credentials within it are taken out. */
  readonly url: string;
  readonly client: HttpClient;
  readonly cache: SourceCache;
  /** Default: one that knows the credentials within the URL, if any. */
  readonly authenticator?: Authenticator | undefined;
  /** Default: that of the client. */
  readonly userAgent?: string | undefined;
  /** How long "it isn't there" is remembered, in milliseconds. Default 30,000; 0 for not at all. */
  readonly notFoundTtlMs?: number | undefined;
  /** How old what is cached may be when the source fails, in milliseconds. Default 7 days; 0 for never. */
  readonly staleIfErrorMs?: number | undefined;
  /** How long a source that failed is left alone where there is something stale, in milliseconds. Default 30,000. */
  readonly restAfterErrorMs?: number | undefined;
  /** Longest time for a package, its body included, in milliseconds. Default 15 minutes. */
  readonly downloadTimeoutMs?: number | undefined;
  readonly metrics?: NuGetMetrics | undefined;
  readonly logger?: Logger | undefined;
  /** Milliseconds since 1970; what ages are measured against. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  /** For the waits before a broken body is asked for again. */
  readonly timers?: Timers | undefined;
}

const DEFAULT_STALE_IF_ERROR_MS = 7 * 24 * 60 * 60_000;
const DEFAULT_REST_MS = 30_000;
const NO_CONTENT = 204;
const DEFAULT_DOWNLOAD_TIMEOUT_MS = 15 * 60_000;

/** A source over HTTP: its documents through the caches, its packages and what is sent to it straight. */
export class HttpFeed implements Feed, AsyncDisposable {
  readonly name: string;
  readonly url: string;
  /** What calls go by that bring none: one session for all of them. */
  readonly cacheContext = new SourceCacheContext();
  readonly #requests: SourceRequests;
  readonly #documents: FeedDocuments;
  readonly #downloadTimeoutMs: number;
  readonly #clock: () => number;
  readonly #logger: Logger;
  #closed = false;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(options: HttpFeedOptions) {
    const { name, client, userAgent, timers, clock = Date.now, logger = nullLogger } = options;
    this.name = name;
    // Not the authenticator's: one may be for several sources on a host.
    this.url = plainSourceUrl(name, options.url);
    const authenticator = options.authenticator ?? new Authenticator({ source: name, url: options.url });
    this.#logger = logger;
    this.#clock = clock;
    this.#downloadTimeoutMs = options.downloadTimeoutMs ?? DEFAULT_DOWNLOAD_TIMEOUT_MS;
    this.#requests = new SourceRequests({ name, client, authenticator, userAgent });
    this.#documents = new FeedDocuments({
      source: name,
      documents: options.cache.documents(this.url),
      requests: new DocumentRequests({ source: name, requests: this.#requests, clock, timers }),
      notFoundTtlMs: options.notFoundTtlMs ?? DEFAULT_NOT_FOUND_TTL_MS,
      staleIfErrorMs: options.staleIfErrorMs ?? DEFAULT_STALE_IF_ERROR_MS,
      restAfterErrorMs: options.restAfterErrorMs ?? DEFAULT_REST_MS,
      metrics: options.metrics ?? noopNuGetMetrics,
      logger,
      clock,
    });
  }

  async document<T>(url: string, request: DocumentRequest<T>): Promise<T | undefined> {
    this.#check(request);
    return this.#documents.get({ url, request, context: request.cacheContext ?? this.cacheContext });
  }

  async stream(url: string, options: StreamOptions = {}): Promise<PackageStream | undefined> {
    this.#check(options);
    const { rest } = options;
    const {
      response,
      url: from,
      credentials,
    } = await this.#requests.send(url, {
      method: 'GET',
      headers: { accept: 'application/octet-stream, */*;q=0.5', ...(rest && headersFor(rest)) },
      sessionId: (options.cacheContext ?? this.cacheContext).sessionId,
      signal: options.signal,
      span: options.span,
      timeoutMs: this.#downloadTimeoutMs,
    });
    if (isAnswered(response.statusCode)) return { ...wholePackage(response), url: from };
    if (response.statusCode === 206 && rest !== undefined) {
      const part = restOfPackage(response, rest);
      if (part !== undefined) return { ...part, url: from };
      response.body.destroy();
      throw new SourceError('PROTOCOL', this.name, `${shownUrl(from)} gave another part than was asked for`);
    }
    if (response.statusCode === 404 || response.statusCode === NO_CONTENT) {
      await drain(response);
      return undefined;
    }
    // Feeds that hold back packages with known vulnerabilities say here which ones, and whom to ask.
    const reason = await refusalReason(response, secretsIn({ ...credentials }));
    throw statusFailure(this.name, from, response, this.#clock(), { reason });
  }

  async send(url: string, request: SendRequest): Promise<number> {
    this.#check(request);
    const { method, headers, body, timeoutMs, signal, span } = request;
    const sessionId = (request.cacheContext ?? this.cacheContext).sessionId;
    // Some sources look at a package for minutes before they say anything; sent again meanwhile, it would be there already.
    const sent = { method, headers, body, timeoutMs, headersTimeoutMs: timeoutMs, signal, span, sessionId };
    const { response, url: from, credentials, attempts } = await this.#requests.send(url, sent);
    const { statusCode } = response;
    const secrets = secretsIn({ ...headers, ...credentials });
    if (statusCode !== 404 && (statusCode < 200 || statusCode > 299)) {
      const reason = await refusalReason(response, secrets);
      throw statusFailure(this.name, from, response, this.#clock(), { reason, attempts });
    }
    if (isAnswered(statusCode) && (await isWebPage(response)))
      throw new SourceError('PROTOCOL', this.name, `${shownUrl(from)} answered with a web page`, { statusCode });
    await drain(response);
    if (statusCode === 404) return statusCode;
    this.#tellWarnings(response, secrets);
    await this.#documents.sourceChanged();
    return statusCode;
  }

  /** Takes no more calls, ends those that wait for documents, and lets go of its part of the cache. May be called twice. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#documents.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Sources that took a package may have something to say about it, as of a licence that is named in an old way. */
  #tellWarnings({ headers }: HttpResponse, secrets: readonly string[]): void {
    const warnings = headers['x-nuget-warning'];
    if (warnings === undefined) return;
    const text = oneLine([warnings].flat().join('; '), secrets);
    this.#logger.warning('{Source} took it, and warns: {Warning}', this.name, text);
  }

  #check({ signal }: CallOptions): void {
    signal?.throwIfAborted();
    if (this.#closed) throw new SourceError('CLOSED', this.name, 'it is closed');
  }
}
