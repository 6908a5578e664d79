import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { SourceError } from '../errors.js';
import type { CallOptions, DocumentRequest, Feed, PackageStream, SendRequest } from '../protocol/feed.js';

/** One request as a {@link FakeFeed} got it. */
export interface FakeRequest {
  readonly kind: 'document' | 'stream' | 'send';
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What was sent, read to its end. */
  readonly body: Buffer | undefined;
  readonly cacheKey: string | undefined;
  readonly maxBytes: number | undefined;
  readonly options: CallOptions;
}

/**
 * What a {@link FakeFeed} answers: a text or bytes with status 200, a number as a bare status, an error as itself,
 * undefined as 404, a function as what it returns, and everything else as JSON.
 */
export type FakeAnswer =
  | string
  | number
  | Buffer
  | Error
  | undefined
  | readonly unknown[]
  | { readonly [key: string]: unknown }
  | ((request: FakeRequest) => FakeAnswer | Promise<FakeAnswer>);

/** What a `FakeFeed` calls itself. */
export interface FakeFeedOptions {
  /** Default `fake`. */
  readonly name?: string | undefined;
  /** Default `https://feed.test/v3/index.json`. */
  readonly url?: string | undefined;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;

/**
 * A {@link Feed} without a network: answers by URL, whole or relative to the feed's own. A request that has a query is
 * answered by its whole URL or, when that isn't there, by the one without the query. Nothing is cached.
 */
export class FakeFeed implements Feed {
  readonly name: string;
  readonly url: string;
  /** Everything that was asked, in order. */
  readonly requests: FakeRequest[] = [];
  readonly #answers = new Map<string, FakeAnswer>();

  constructor(answers: Readonly<Record<string, FakeAnswer>> = {}, options: FakeFeedOptions = {}) {
    this.name = options.name ?? 'fake';
    this.url = options.url ?? 'https://feed.test/v3/index.json';
    for (const [url, answer] of Object.entries(answers)) this.answer(url, answer);
  }

  /** Answers a URL so from now on. */
  answer(url: string, answer: FakeAnswer): void {
    this.#answers.set(this.#whole(url), answer);
  }

  /** The URLs that were asked, in order. */
  get urls(): string[] {
    return this.requests.map((request) => request.url);
  }

  async document<T>(url: string, request: DocumentRequest<T>): Promise<T | undefined> {
    const { cacheKey, maxBytes, accept, parse, ...options } = request;
    const headers = accept === undefined ? {} : { accept };
    const body = await this.#get({
      kind: 'document',
      method: 'GET',
      url,
      headers,
      body: undefined,
      cacheKey,
      maxBytes,
      options,
    });
    if (body === undefined) return undefined;
    const limit = maxBytes ?? DEFAULT_MAX_BYTES;
    if (body.length > limit) throw new SourceError('LIMIT', this.name, `${url} is longer than ${limit} bytes`);
    return parse(body, url);
  }

  async stream(url: string, options: CallOptions = {}): Promise<PackageStream | undefined> {
    const unkept = { headers: {}, body: undefined, cacheKey: undefined, maxBytes: undefined };
    const body = await this.#get({ kind: 'stream', method: 'GET', url, ...unkept, options });
    return body === undefined ? undefined : { body: Readable.from([body]), length: body.length, url };
  }

  async send(url: string, request: SendRequest): Promise<number> {
    const { method, headers = {}, body: open, timeoutMs: _, ...options } = request;
    const body = open === undefined ? undefined : await buffer(open());
    const unkept = { cacheKey: undefined, maxBytes: undefined };
    const answer = await this.#answer({ kind: 'send', method, url, headers, body, ...unkept, options });
    const status = answer === undefined ? 404 : typeof answer === 'number' ? answer : 200;
    if ((status >= 200 && status < 300) || status === 404) return status;
    throw this.#failure(status, url);
  }

  async #get(request: FakeRequest): Promise<Buffer | undefined> {
    const answer = await this.#answer(request);
    if (answer === undefined || answer === 404) return undefined;
    if (typeof answer === 'number') {
      if (answer >= 200 && answer < 300) return Buffer.alloc(0);
      throw this.#failure(answer, request.url);
    }
    if (Buffer.isBuffer(answer)) return answer;
    return Buffer.from(typeof answer === 'string' ? answer : JSON.stringify(answer));
  }

  async #answer(request: FakeRequest): Promise<Exclude<FakeAnswer, (...args: never) => unknown>> {
    this.requests.push(request);
    request.options.signal?.throwIfAborted();
    const whole = this.#whole(request.url);
    const answers = this.#answers;
    let answer = answers.has(whole) ? answers.get(whole) : answers.get(whole.replace(/\?.*$/, ''));
    while (typeof answer === 'function') answer = await answer(request);
    request.options.signal?.throwIfAborted();
    if (answer instanceof Error) throw answer;
    return answer;
  }

  #whole(url: string): string {
    return new URL(url, this.url).href;
  }

  #failure(statusCode: number, url: string): SourceError {
    const code = statusCode === 401 ? 'UNAUTHORIZED' : statusCode === 403 ? 'FORBIDDEN' : 'SOURCE_UNAVAILABLE';
    return new SourceError(code, this.name, `${url} answered ${statusCode}`, { statusCode });
  }
}

/** A {@link FakeFeed} that answers so. */
export function fakeFeed(answers: Readonly<Record<string, FakeAnswer>> = {}, options?: FakeFeedOptions): FakeFeed {
  return new FakeFeed(answers, options);
}

/** Where a {@link fakeV3Feed} offers what, below its URL's folder. */
const V3_RESOURCES: Readonly<Record<string, string>> = {
  'RegistrationsBaseUrl/3.6.0': 'registration/',
  'PackageBaseAddress/3.0.0': 'content/',
  'SearchQueryService/3.5.0': 'query',
  'SearchAutocompleteService/3.5.0': 'autocomplete',
  'PackagePublish/2.0.0': 'package',
  'SymbolPackagePublish/4.9.0': 'symbols',
  'VulnerabilityInfo/6.7.0': 'vulnerabilities/index.json',
  'RepositorySignatures/5.0.0': 'signatures/index.json',
  'PackageDetailsUriTemplate/5.1.0': 'packages/{id}/{version}',
  'ReportAbuseUriTemplate/3.0.0': 'packages/{id}/{version}/report',
  'ReadmeUriTemplate/6.13.0': 'readmes/{lower_id}/{lower_version}',
  'OwnerDetailsUriTemplate/6.11.0': 'owners/{owner}',
};

/**
 * A {@link FakeFeed} of protocol 3 that has a service index.
 *
 * @param resources paths or URLs by type, instead of its own.
 */
export function fakeV3Feed(
  answers: Readonly<Record<string, FakeAnswer>> = {},
  resources: Readonly<Record<string, string | readonly string[]>> = V3_RESOURCES,
): FakeFeed {
  const listed = Object.entries(resources).flatMap(([type, ids]) =>
    [ids].flat().map((id) => ({ '@id': id, '@type': type })),
  );
  return new FakeFeed({ 'index.json': { version: '3.0.0', resources: listed }, ...answers });
}
