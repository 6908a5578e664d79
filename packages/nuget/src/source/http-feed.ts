import type { HttpClient, HttpResponse } from '@granary/http';
import { Flight, nodeTimers, retry, type Timers } from '@granary/resilience';
import { type Logger, nullLogger } from '@granary/telemetry';
import { Authenticator } from '../auth/authenticator.js';
import { isNuGetError, NuGetError, SourceError } from '../errors.js';
import { boundedKey } from '../http-cache/cache-names.js';
import { type CacheType, type NuGetMetrics, noopNuGetMetrics } from '../metrics.js';
import type { CallOptions, DocumentRequest, Feed, PackageStream, SendRequest } from '../protocol/feed.js';
import { shownUrl } from '../protocol/v3/endpoint-url.js';
import { FeedDocument } from './documents/document.js';
import { quietly } from './quietly.js';
import { RecentKeys } from './recent-keys.js';
import type { SourceCache, SourceDocuments } from './source-cache.js';
import { SourceCacheContext } from './source-cache-context.js';
import { failureOf, isTemporary, statusFailure } from './source-failures.js';
import { drain, SourceRequests, textOf } from './source-requests.js';

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

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
const DEFAULT_NOT_FOUND_TTL_MS = 30_000;
const DEFAULT_STALE_IF_ERROR_MS = 7 * 24 * 60 * 60_000;
const DEFAULT_REST_MS = 30_000;
const DEFAULT_DOWNLOAD_TIMEOUT_MS = 15 * 60_000;
const MAX_REMEMBERED = 10_000;
/** Clocks of machines that share a cache may differ by so much. */
const MAX_CLOCK_SKEW_MS = 60_000;
/** A body that broke off is asked for so many times more; what failed before that, the HTTP client has repeated. */
export const BODY_RETRIES = 2;
export const BODY_RETRY_DELAY_MS = 250;
const NO_CONTENT = 204;

/** One request for a document, as it goes through the feed. */
interface Asked<T> {
  readonly url: string;
  readonly request: DocumentRequest<T>;
  readonly context: SourceCacheContext;
}

/**
 * A source over HTTP. Documents come from memory, disk or a shared layer as long as they are as young as the caller wants
 * them; then the source is asked whether they are still good, and when it fails, what there is is good enough. All who
 * want the same document at once cause one request.
 */
export class HttpFeed implements Feed, AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly #options: HttpFeedOptions;
  readonly #documents: SourceDocuments;
  readonly #requests: SourceRequests;
  readonly #metrics: NuGetMetrics;
  readonly #logger: Logger;
  readonly #clock: () => number;
  readonly #flights = new Map<string, Flight<FeedDocument | undefined>>();
  readonly #missing: RecentKeys;
  readonly #resting: RecentKeys;
  readonly #firstSeen = new WeakMap<SourceCacheContext, number>();
  readonly #defaultContext = new SourceCacheContext();
  /** Documents from before are asked for again: something was pushed or deleted since. */
  #validSince = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** @throws {@link NuGetError} `INVALID_OPTION` */
  constructor(options: HttpFeedOptions) {
    const { name, client, userAgent, clock = Date.now } = options;
    if (!PLAIN.test(options.url)) throw new NuGetError('INVALID_OPTION', `${name}: the URL has control characters`);
    const authenticator = options.authenticator ?? new Authenticator({ source: name, url: options.url });
    this.name = name;
    this.url = authenticator.url;
    this.#options = options;
    this.#clock = clock;
    this.#metrics = options.metrics ?? noopNuGetMetrics;
    this.#logger = options.logger ?? nullLogger;
    this.#requests = new SourceRequests({ name, client, authenticator, userAgent });
    this.#documents = options.cache.documents(this.url);
    this.#missing = new RecentKeys(MAX_REMEMBERED, clock);
    this.#resting = new RecentKeys(MAX_REMEMBERED, clock);
  }

  async document<T>(url: string, request: DocumentRequest<T>): Promise<T | undefined> {
    request.signal?.throwIfAborted();
    this.#checkOpen();
    const context = request.cacheContext ?? this.#defaultContext;
    const asked = { url, request, context };
    if (request.cacheKey === undefined || context.directDownload) {
      const answer = await this.#fetch(asked, undefined, request.signal);
      return answer?.read(request.parse, url);
    }
    const key = boundedKey(request.cacheKey);
    const cached = context.noCache ? undefined : await this.#cached(key, asked);
    if (cached !== undefined && this.#isGood(cached, key, asked)) {
      this.#count('metadata', true);
      return cached.read(request.parse, url);
    }
    if (context.effectiveMaxAgeMs > 0 && this.#missing.has(flightKey(key, url))) {
      this.#count('metadata', true);
      return undefined;
    }
    this.#count('metadata', false);
    const answer = await this.#refresh(key, asked, cached);
    return answer?.read(request.parse, url);
  }

  async stream(url: string, options: CallOptions = {}): Promise<PackageStream | undefined> {
    options.signal?.throwIfAborted();
    this.#checkOpen();
    const { response, url: from } = await this.#requests.send(url, {
      method: 'GET',
      headers: { accept: 'application/octet-stream, */*;q=0.5' },
      sessionId: (options.cacheContext ?? this.#defaultContext).sessionId,
      signal: options.signal,
      span: options.span,
      timeoutMs: this.#options.downloadTimeoutMs ?? DEFAULT_DOWNLOAD_TIMEOUT_MS,
    });
    if (response.statusCode === 200) return { body: response.body, length: lengthOf(response), url: from };
    await drain(response);
    if (response.statusCode === 404) return undefined;
    throw statusFailure(this.name, from, response.statusCode);
  }

  async send(url: string, request: SendRequest): Promise<number> {
    request.signal?.throwIfAborted();
    this.#checkOpen();
    const { method, headers, body, timeoutMs, signal, span } = request;
    const sessionId = (request.cacheContext ?? this.#defaultContext).sessionId;
    const sent = { method, headers, body, timeoutMs, signal, span, sessionId };
    const { response, url: from } = await this.#requests.send(url, sent);
    await drain(response);
    const { statusCode } = response;
    if (statusCode === 404) return statusCode;
    if (statusCode < 200 || statusCode > 299) throw statusFailure(this.name, from, statusCode);
    this.#missing.clear();
    this.#validSince = this.#clock();
    return statusCode;
  }

  /** Takes no more calls, and lets go of its part of the cache. Calls under way end when their requests do. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const closed = new NuGetError('CLOSED', `${this.name} is closed`);
    for (const flight of this.#flights.values()) {
      flight.stop(closed);
      flight.fail(closed);
    }
    await this.#documents.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The document that the caches have, however old, when it is from this URL and makes sense. */
  async #cached<T>(key: string, { url, request, context }: Asked<T>): Promise<FeedDocument | undefined> {
    const { chain, memory } = this.#documents;
    if (context.refreshMemoryCache) memory.forgetUntil(key, this.#firstUse(context));
    const document = await chain.get(key, { signal: request.signal, span: request.span });
    if (document === undefined || (document.url !== undefined && document.url !== url)) return undefined;
    try {
      document.read(request.parse, url);
      return document;
    } catch (error) {
      this.#logger.warning('Removed {CacheKey} of {Source} from the cache: it makes no sense', key, this.name, error);
      await chain.delete(key);
      return undefined;
    }
  }

  /** Whether a document that is cached is the answer, without a word to the source. */
  #isGood<T>(document: FeedDocument, key: string, { url, context }: Asked<T>): boolean {
    const ageMs = this.#ageOf(document);
    if (ageMs < context.effectiveMaxAgeMs && document.fetchedAt > this.#validSince) return true;
    return this.#mayBeStale(document) && this.#resting.has(flightKey(key, url));
  }

  #mayBeStale(document: FeedDocument): boolean {
    return this.#ageOf(document) < (this.#options.staleIfErrorMs ?? DEFAULT_STALE_IF_ERROR_MS);
  }

  #ageOf({ fetchedAt }: FeedDocument): number {
    const ageMs = this.#clock() - fetchedAt;
    return ageMs < -MAX_CLOCK_SKEW_MS ? Number.POSITIVE_INFINITY : Math.max(0, ageMs);
  }

  /** Number of the last document that was in memory when a context was used first. */
  #firstUse(context: SourceCacheContext): number {
    let number = this.#firstSeen.get(context);
    if (number === undefined) {
      number = this.#documents.counter.last;
      this.#firstSeen.set(context, number);
    }
    return number;
  }

  #refresh<T>(key: string, asked: Asked<T>, stale: FeedDocument | undefined): Promise<FeedDocument | undefined> {
    const id = flightKey(key, asked.url);
    let flight = this.#flights.get(id);
    if (flight === undefined || flight.isStopped) {
      flight = new Flight<FeedDocument | undefined>();
      this.#flights.set(id, flight);
      void this.#run(flight, key, asked, stale);
    }
    return Promise.resolve(flight.join(asked.request.signal));
  }

  async #run<T>(
    flight: Flight<FeedDocument | undefined>,
    key: string,
    asked: Asked<T>,
    stale: FeedDocument | undefined,
  ): Promise<void> {
    const id = flightKey(key, asked.url);
    try {
      const answer = await this.#fetch(asked, stale, flight.signal);
      this.#resting.delete(id);
      await this.#keep(key, id, answer, stale);
      flight.answer(answer);
    } catch (error) {
      if (stale !== undefined && isTemporary(error) && this.#mayBeStale(stale)) {
        this.#resting.add(id, this.#options.restAfterErrorMs ?? DEFAULT_REST_MS);
        const shown = shownUrl(asked.url);
        this.#logger.warning(
          '{Source} fails; {Url} is answered as it was {AgeMs} ms ago',
          this.name,
          shown,
          this.#ageOf(stale),
          error,
        );
        asked.request.span?.addEvent('nuget.stale_answer', { 'nuget.age_ms': this.#ageOf(stale) });
        flight.answer(stale);
      } else flight.fail(error);
    } finally {
      if (this.#flights.get(id) === flight) this.#flights.delete(id);
    }
  }

  /** A cache that can't take it is no reason to fail. */
  async #keep(key: string, id: string, answer: FeedDocument | undefined, stale: FeedDocument | undefined) {
    const { chain } = this.#documents;
    try {
      if (answer !== undefined) await chain.set(key, answer);
      else {
        this.#missing.add(id, this.#options.notFoundTtlMs ?? DEFAULT_NOT_FOUND_TTL_MS);
        if (stale !== undefined) await chain.delete(key);
      }
    } catch (error) {
      if (!this.#closed) this.#logger.warning('Could not cache {CacheKey} of {Source}', key, this.name, error);
    }
  }

  /** Asks the source, again when the body broke off. */
  #fetch<T>(
    asked: Asked<T>,
    stale: FeedDocument | undefined,
    signal: AbortSignal | undefined,
  ): Promise<FeedDocument | undefined> {
    let broke = false;
    const attempt = async () => {
      broke = false;
      const fetchedAt = this.#clock();
      const { response } = await this.#ask(asked, stale, signal);
      const { statusCode } = response;
      if (statusCode === 200) {
        broke = true;
        return this.#read(asked, response, fetchedAt);
      }
      await drain(response);
      if (statusCode === 404 || statusCode === NO_CONTENT) return undefined;
      if (statusCode === 304 && stale !== undefined) return stale.confirmed(fetchedAt, validatorsOf(response));
      throw statusFailure(this.name, asked.url, statusCode);
    };
    return retry(attempt, {
      maxRetries: BODY_RETRIES,
      initialDelayMs: BODY_RETRY_DELAY_MS,
      signal,
      shouldRetry: (error) => broke && isTemporary(error),
      timers: this.#options.timers ?? nodeTimers,
    });
  }

  #ask<T>({ url, request, context }: Asked<T>, stale: FeedDocument | undefined, signal: AbortSignal | undefined) {
    const headers: Record<string, string> = {};
    if (request.accept !== undefined) headers['accept'] = request.accept;
    const validators = stale?.validators;
    if (validators?.etag !== undefined) headers['if-none-match'] = validators.etag;
    else if (validators?.lastModified !== undefined) headers['if-modified-since'] = validators.lastModified;
    return this.#requests.send(url, {
      method: 'GET',
      headers,
      sessionId: context.sessionId,
      signal,
      span: request.span,
      maxBodyBytes: request.maxBytes ?? DEFAULT_MAX_BYTES,
    });
  }

  async #read<T>({ url, request }: Asked<T>, response: HttpResponse, fetchedAt: number): Promise<FeedDocument> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of response.body) chunks.push(chunk as Buffer);
    } catch (error) {
      throw failureOf(this.name, url, error);
    }
    const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    const document = new FeedDocument({ url, body, size: body.length, fetchedAt, ...validatorsOf(response) });
    try {
      document.read(request.parse, url);
    } catch (error) {
      if (isNuGetError(error)) throw error;
      const message = `${shownUrl(url)} answered with something that makes no sense`;
      throw new SourceError('PROTOCOL', this.name, message, { cause: error });
    }
    return document;
  }

  #count(type: CacheType, hit: boolean): void {
    quietly(() => (hit ? this.#metrics.cacheHit?.(type) : this.#metrics.cacheMiss?.(type)));
  }

  #checkOpen(): void {
    if (this.#closed) throw new SourceError('CLOSED', this.name, 'it is closed');
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const PLAIN = /^[^\u0000-\u001f\u007f]*$/;

const flightKey = (key: string, url: string): string => `${key}\n${url}`;

function validatorsOf({ headers }: HttpResponse): { etag: string | undefined; lastModified: string | undefined } {
  return { etag: textOf(headers['etag']), lastModified: textOf(headers['last-modified']) };
}

/** Bytes of the body as it will be read: what was decompressed on the way has another length than it was sent with. */
function lengthOf({ headers }: HttpResponse): number | undefined {
  if (headers['content-encoding'] !== undefined) return undefined;
  const length = Number(textOf(headers['content-length']) ?? Number.NaN);
  return Number.isSafeInteger(length) && length >= 0 ? length : undefined;
}
