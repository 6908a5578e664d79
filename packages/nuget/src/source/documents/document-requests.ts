import { consumeBody, type HttpResponse } from '@granary/http';
import type { Timers } from '@granary/resilience';
import { isNuGetError, SourceError } from '../../errors.js';
import { shownUrl } from '../../protocol/endpoint-url.js';
import type { DocumentRequest } from '../../protocol/feed.js';
import { isAnswered } from '../answered.js';
import { retryBody } from '../body-retries.js';
import { textOf } from '../header-text.js';
import { refusalReason, secretsIn } from '../refusal-reason.js';
import type { SourceCacheContext } from '../source-cache-context.js';
import { failureOf, statusFailure } from '../source-failures.js';
import { drain, type SourceRequests } from '../source-requests.js';
import { FeedDocument } from './document.js';

/** One request for a document, as it goes through a feed. */
export interface Asked<T> {
  readonly url: string;
  readonly request: DocumentRequest<T>;
  readonly context: SourceCacheContext;
}

export interface DocumentRequestsOptions {
  readonly source: string;
  readonly requests: SourceRequests;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly timers: Timers | undefined;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;
const NO_CONTENT = 204;

/** Asks a source for documents, and for whether those that are there are still good. */
export class DocumentRequests {
  readonly #options: DocumentRequestsOptions;

  constructor(options: DocumentRequestsOptions) {
    this.#options = options;
  }

  /**
   * The document, read by the parser of the request; `stale` as good as new when the source confirms it; undefined when
   * there is none. Asks again when the body broke off, and without `stale` when it is confirmed from elsewhere, where its
   * links lead elsewhere.
   */
  fetch<T>(
    asked: Asked<T>,
    stale: FeedDocument | undefined,
    signal: AbortSignal | undefined,
  ): Promise<FeedDocument | undefined> {
    const attempt = (bodyBegins: () => void) => this.#attempt(asked, stale, signal, bodyBegins);
    return retryBody(attempt, { signal, timers: this.#options.timers });
  }

  async #attempt<T>(
    asked: Asked<T>,
    stale: FeedDocument | undefined,
    signal: AbortSignal | undefined,
    bodyBegins: () => void,
  ): Promise<FeedDocument | undefined> {
    const { source, clock } = this.#options;
    const fetchedAt = clock();
    const condition = conditionOf(stale);
    const { response, url: from, credentials } = await this.#ask(asked, condition, signal);
    const { statusCode } = response;
    if (isAnswered(statusCode)) {
      bodyBegins();
      return this.#read(asked, response, from, fetchedAt);
    }
    if (statusCode === 404 || statusCode === NO_CONTENT) {
      await drain(response);
      return undefined;
    }
    // Who says so without having been asked has confirmed nothing.
    if (statusCode === 304 && stale !== undefined && condition !== undefined) {
      await drain(response);
      if (!isSamePlace(from, stale.base ?? asked.url)) return this.#attempt(asked, undefined, signal, bodyBegins);
      return stale.confirmed(fetchedAt, validatorsOf(response));
    }
    const reason = await refusalReason(response, secretsIn({ ...credentials }));
    throw statusFailure(source, asked.url, response, clock(), { reason });
  }

  #ask<T>(
    { url, request, context }: Asked<T>,
    condition: Record<string, string> | undefined,
    signal: AbortSignal | undefined,
  ) {
    const headers: Record<string, string> = { ...condition };
    if (request.accept !== undefined) headers['accept'] = request.accept;
    return this.#options.requests.send(url, {
      method: 'GET',
      headers,
      sessionId: context.sessionId,
      signal,
      span: request.span,
      maxBodyBytes: request.maxBytes ?? DEFAULT_MAX_BYTES,
    });
  }

  async #read<T>(
    { url, request }: Asked<T>,
    response: HttpResponse,
    from: string,
    fetchedAt: number,
  ): Promise<FeedDocument> {
    const { source } = this.#options;
    let body: Buffer;
    try {
      body = await wholeBody(response);
    } catch (error) {
      throw failureOf(source, url, error);
    }
    const base = from === url ? undefined : from;
    const document = new FeedDocument({ url, base, body, size: body.length, fetchedAt, ...validatorsOf(response) });
    try {
      document.read(request.parse, url);
    } catch (error) {
      if (isNuGetError(error)) throw error;
      const message = `${shownUrl(url)} answered with something that makes no sense`;
      throw new SourceError('PROTOCOL', source, message, { cause: error });
    }
    return document;
  }
}

/** The header that asks whether a document is still good; undefined where there is nothing to ask with. */
function conditionOf(stale: FeedDocument | undefined): Record<string, string> | undefined {
  const { etag, lastModified } = stale?.validators ?? {};
  if (etag !== undefined) return { 'if-none-match': etag };
  return lastModified === undefined ? undefined : { 'if-modified-since': lastModified };
}

/** Whether links are seen the same from both URLs: the query is no part of that, and may be signed anew each time. */
function isSamePlace(url: string, other: string): boolean {
  return url === other || url.split('?', 1)[0] === other.split('?', 1)[0];
}

function wholeBody({ body }: HttpResponse): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    consumeBody(body, {
      onChunk: (chunk) => void chunks.push(chunk),
      onEnd: () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)),
      onError: reject,
    });
  });
}

function validatorsOf({ headers }: HttpResponse): { etag: string | undefined; lastModified: string | undefined } {
  return { etag: textOf(headers['etag']), lastModified: textOf(headers['last-modified']) };
}
