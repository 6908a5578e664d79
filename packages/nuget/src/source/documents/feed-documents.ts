import { Flight, quietly } from '@granary/resilience';
import type { Logger } from '@granary/telemetry';
import { NuGetError } from '../../errors.js';
import { boundedKey } from '../../http-cache/cache-names.js';
import type { NuGetMetrics } from '../../metrics.js';
import { shownUrl } from '../../protocol/endpoint-url.js';
import { RecentKeys } from '../recent-keys.js';
import type { SourceDocuments } from '../source-cache.js';
import type { SourceCacheContext } from '../source-cache-context.js';
import { isTemporary } from '../source-failures.js';
import type { FeedDocument } from './document.js';
import type { Asked, DocumentRequests } from './document-requests.js';

export interface FeedDocumentsOptions {
  readonly source: string;
  readonly documents: SourceDocuments;
  readonly requests: DocumentRequests;
  readonly notFoundTtlMs: number;
  readonly staleIfErrorMs: number;
  readonly restAfterErrorMs: number;
  readonly metrics: NuGetMetrics;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

const MAX_REMEMBERED = 10_000;
/** Clocks of machines that share a cache may differ by so much. */
const MAX_CLOCK_SKEW_MS = 60_000;

/**
 * Documents of a source: from the caches as long as they are as young as the caller wants them, else from the source,
 * which is asked whether they are still good. When it fails, what there is is good enough, and it is left alone for a
 * while. All who want the same document at once cause one request.
 */
export class FeedDocuments {
  readonly #options: FeedDocumentsOptions;
  readonly #flights = new Map<string, Flight<FeedDocument | undefined>>();
  readonly #missing: RecentKeys;
  readonly #resting: RecentKeys;
  readonly #firstUses = new WeakMap<SourceCacheContext, number>();
  /** Documents from before are asked for again: something was changed at the source since. */
  #changedAt = Number.NEGATIVE_INFINITY;
  /** How often that was. What is under way from before may know nothing of it. */
  #changes = 0;
  #closed = false;

  constructor(options: FeedDocumentsOptions) {
    this.#options = options;
    this.#missing = new RecentKeys(MAX_REMEMBERED, options.clock);
    this.#resting = new RecentKeys(MAX_REMEMBERED, options.clock);
  }

  async get<T>(asked: Asked<T>): Promise<T | undefined> {
    const { url, request, context } = asked;
    const { requests } = this.#options;
    if (request.cacheKey === undefined || context.directDownload) {
      const answer = await requests.fetch(asked, undefined, request.signal);
      return answer?.read(request.parse, url);
    }
    const key = boundedKey(request.cacheKey);
    const cached = context.noCache ? undefined : await this.#cached(key, asked);
    if (cached !== undefined && this.#isGood(cached, key, asked)) {
      this.#count(true);
      return cached.read(request.parse, url);
    }
    if (context.effectiveMaxAgeMs > 0 && this.#missing.has(flightKey(key, url))) {
      this.#count(true);
      return undefined;
    }
    this.#count(false);
    const answer = await this.#refresh(key, asked, cached);
    return answer?.read(request.parse, url);
  }

  /** Something was changed at the source: what is cached, or was missing, is asked for again, by other processes, too. */
  async sourceChanged(): Promise<void> {
    const { documents, logger, source } = this.#options;
    this.#missing.clear();
    this.#changedAt = this.#options.clock();
    this.#changes++;
    try {
      await documents.forgetLists();
    } catch (error) {
      logger.warning('Could not remove what {Source} said before from the cache', source, error);
    }
  }

  /** Ends what is under way, and lets go of the cache. May be called twice. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const { source, documents } = this.#options;
    const closed = new NuGetError('CLOSED', `${source} is closed`);
    for (const flight of this.#flights.values()) {
      flight.stop(closed);
      flight.fail(closed);
    }
    await documents.close();
  }

  /** The document that the caches have, however old, when it is from this URL and makes sense. */
  async #cached<T>(key: string, { url, request, context }: Asked<T>): Promise<FeedDocument | undefined> {
    const { documents, logger, source } = this.#options;
    const { chain, memory } = documents;
    if (context.refreshMemoryCache) memory.forgetUntil(key, this.#firstUse(context));
    const document = await chain.get(key, { signal: request.signal, span: request.span });
    if (document === undefined || (document.url !== undefined && document.url !== url)) return undefined;
    try {
      document.read(request.parse, url);
      return document;
    } catch (error) {
      logger.warning('Removed {CacheKey} of {Source} from the cache: it makes no sense', key, source, error);
      await chain.delete(key);
      return undefined;
    }
  }

  /** Number of the last document that was in memory when a context was used first. */
  #firstUse(context: SourceCacheContext): number {
    let number = this.#firstUses.get(context);
    if (number === undefined) {
      number = this.#options.documents.counter.last;
      this.#firstUses.set(context, number);
    }
    return number;
  }

  /** Whether a document that is cached is the answer, without a word to the source. */
  #isGood<T>(document: FeedDocument, key: string, { url, request, context }: Asked<T>): boolean {
    const maxAgeMs = context.effectiveMaxAgeMs;
    const isOfNow = request.outlivesChanges === true || document.fetchedAt > this.#changedAt;
    if (isOfNow && this.#ageOf(document) < maxAgeMs) return true;
    return maxAgeMs > 0 && this.#mayBeStale(document) && this.#resting.has(flightKey(key, url));
  }

  #mayBeStale(document: FeedDocument): boolean {
    return this.#ageOf(document) < this.#options.staleIfErrorMs;
  }

  #ageOf({ fetchedAt }: FeedDocument): number {
    const ageMs = this.#options.clock() - fetchedAt;
    return ageMs < -MAX_CLOCK_SKEW_MS ? Number.POSITIVE_INFINITY : Math.max(0, ageMs);
  }

  #refresh<T>(key: string, asked: Asked<T>, stale: FeedDocument | undefined): Promise<FeedDocument | undefined> {
    // Who takes nothing from a cache doesn't wait for an answer that may be from one in the end.
    const kind = stale === undefined ? 'new' : 'any';
    const flightId = `${this.#changes} ${kind} ${flightKey(key, asked.url)}`;
    let flight = this.#flights.get(flightId);
    if (flight === undefined || flight.isStopped) {
      flight = new Flight<FeedDocument | undefined>();
      this.#flights.set(flightId, flight);
      void this.#run(flight, flightId, key, asked, stale);
    }
    return Promise.resolve(flight.join(asked.request.signal));
  }

  async #run<T>(
    flight: Flight<FeedDocument | undefined>,
    flightId: string,
    key: string,
    asked: Asked<T>,
    stale: FeedDocument | undefined,
  ): Promise<void> {
    const id = flightKey(key, asked.url);
    const changes = this.#changes;
    try {
      const answer = await this.#options.requests.fetch(asked, stale, flight.signal);
      this.#resting.delete(id);
      if (answer === undefined && changes === this.#changes) this.#missing.add(id, this.#options.notFoundTtlMs);
      await this.#keep(key, answer, stale);
      flight.answer(answer);
    } catch (error) {
      if (stale === undefined || !isTemporary(error) || !this.#mayBeStale(stale)) flight.fail(error);
      else {
        this.#resting.add(id, this.#options.restAfterErrorMs);
        this.#tellOfStale(asked, stale, error);
        flight.answer(stale);
      }
    } finally {
      if (this.#flights.get(flightId) === flight) this.#flights.delete(flightId);
    }
  }

  /** A cache that can't take it is no reason to fail. */
  async #keep(key: string, answer: FeedDocument | undefined, stale: FeedDocument | undefined): Promise<void> {
    const { documents, logger, source } = this.#options;
    try {
      if (answer !== undefined) await documents.chain.set(key, answer);
      else if (stale !== undefined) await documents.chain.delete(key);
    } catch (error) {
      if (!this.#closed) logger.warning('Could not cache {CacheKey} of {Source}', key, source, error);
    }
  }

  #tellOfStale<T>({ url, request }: Asked<T>, stale: FeedDocument, error: unknown): void {
    const { logger, source } = this.#options;
    // File systems know fractions of it.
    const ageMs = Math.round(this.#ageOf(stale));
    logger.warning('{Source} fails; {Url} is answered as it was {AgeMs} ms ago', source, shownUrl(url), ageMs, error);
    request.span?.addEvent('nuget.stale_answer', { 'nuget.age_ms': ageMs });
  }

  #count(hit: boolean): void {
    const { metrics } = this.#options;
    quietly(() => (hit ? metrics.cacheHit?.('metadata') : metrics.cacheMiss?.('metadata')));
  }
}

const flightKey = (key: string, url: string): string => `${key}\n${url}`;
