import { HttpClient, type HttpResponse, parseRetryAfter, type RequestBody } from '@granary/http';
import type { OperationOptions } from '../blob-store.js';
import { StoreClosedError } from '../errors.js';
import { type RemoteFailure, RemoteStoreError, type RemoteStoreErrorOptions } from '../remote/remote-store-error.js';
import { failureOfStatus, toRemoteError } from './http-failure.js';
import type { ResolvedHttpOptions } from './options.js';
import { RequestHeaders } from './request-headers.js';

const MAX_REDIRECTS = 3;

/** Redirects that leave the method as it is; the other two turn it into GET, which is no difference to a question. */
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** What is left of a body that nobody wants: more costs more than a new connection. */
const MOST_DRAINED_BYTES = 64 * 1024;
const MOST_QUOTED = 200;
/** Times that a question is asked again whose answer was none. */
const MOST_GARBLED = 2;

export interface CacheRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  /** Behind the base; begins with a slash. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: RequestBody | undefined;
  /** Whether the server may not have what it is sent. What is named by its hash it can only have got wrong. Default false. */
  readonly mayBeRejected?: boolean | undefined;
  /** Statuses that are no failure here. */
  readonly accept?: readonly number[] | undefined;
  /** Longest body of the answer, decompressed. */
  readonly maxBodyBytes?: number | undefined;
  /** Instead of the one in the options. */
  readonly signal?: AbortSignal | undefined;
  /** For all of it, in milliseconds. Default: none. */
  readonly timeoutMs?: number | undefined;
}

/** A server that speaks the HTTP cache protocol: connections, credentials, redirects, and what its statuses mean. */
export class CacheServer {
  readonly name: string;
  readonly #base: URL;
  readonly #client: HttpClient;
  readonly #headers: RequestHeaders;
  readonly #forbiddenIsMissing: boolean;
  /** Until the server turns out to be one that sends bodies after HEAD. */
  #keepsAfterHead = true;
  #closing: Promise<void> | undefined;

  constructor(options: ResolvedHttpOptions) {
    this.name = options.name;
    this.#base = options.base;
    this.#headers = new RequestHeaders(options);
    this.#forbiddenIsMissing = options.forbiddenIsMissing;
    // Whoever uses a tier has policies around it: here is the connection alone.
    this.#client = new HttpClient({
      retry: false,
      circuitBreaker: false,
      rateLimiter: false,
      throttle: false,
      timeoutMs: 0,
      maxRedirects: 0,
      http2: false,
      connectTimeoutMs: options.connectTimeoutMs,
      headersTimeoutMs: options.idleTimeoutMs,
      bodyTimeoutMs: options.idleTimeoutMs,
      maxConnectionsPerHost: options.connections,
      proxy: options.proxy,
      ...(options.tls && { tls: options.tls }),
    });
  }

  /** Where the server is, without credentials. */
  get display(): string {
    return this.#base.href.replace(/\/$/, '');
  }

  /**
   * Sends a request.
   *
   * @returns an answer with a status of 200 to 299 or one that is accepted, whose body is to be read or
   *   {@link discard}ed; undefined when what was asked for is not there
   * @throws RemoteStoreError, StoreClosedError, or the reason of the signal
   */
  async send(request: CacheRequest, options: OperationOptions | undefined): Promise<HttpResponse | undefined> {
    const { method, path } = request;
    const response = await this.#ask(request, options);
    const { statusCode } = response;
    const failure = failureOfStatus(statusCode);
    if (failure === undefined || request.accept?.includes(statusCode)) return response;
    const text = await discard(response);
    if (statusCode === 404 || statusCode === 410) {
      if (method !== 'PUT') return undefined;
      throw this.failure('refused', `${method} ${path}: status ${statusCode}, so there is no cache to write to`);
    }
    if (statusCode === 403 && this.#forbiddenIsMissing && method !== 'PUT') return undefined;
    // A cache that looks at what it is sent, as bazel-remote does, takes other values all the same.
    const rejected = failure === 'invalid' && request.mayBeRejected === true && statusCode >= 400;
    const says = text && `: ${this.#headers.redact(text)}`;
    throw this.failure(failure, `${method} ${path}: status ${statusCode}${says}`, {
      unfit: statusCode === 413 || rejected,
      rejected,
      retryAfterMs: parseRetryAfter(headerOf(response, 'retry-after'), Date.now()),
    });
  }

  failure(kind: RemoteFailure, reason: string, options?: RemoteStoreErrorOptions): RemoteStoreError {
    return new RemoteStoreError(this.name, kind, reason, options);
  }

  /** What broke off a body, as callers see it. */
  explain(path: string): (error: unknown) => unknown {
    return (error) => toRemoteError(this.name, `GET ${path}`, error);
  }

  /** Ends what is under way, which fails with `STORE_CLOSED`. */
  close(): Promise<void> {
    this.#closing ??= this.#client.close({ graceMs: 0 });
    return this.#closing;
  }

  async #ask(request: CacheRequest, options: OperationOptions | undefined): Promise<HttpResponse> {
    if (this.#closing) throw new StoreClosedError();
    const { method, path, body, maxBodyBytes, timeoutMs, signal = options?.signal } = request;
    const headers = await this.#headersOf(request, options);
    let url = new URL(this.#base.href.replace(/\/$/, '') + path);
    for (let hops = 0, garbled = 0; ; hops++) {
      const keepConnection = method === 'HEAD' ? this.#keepsAfterHead : undefined;
      const options = { method, headers, body, maxBodyBytes, timeoutMs, signal, keepConnection };
      let response: HttpResponse;
      try {
        response = await this.#client.request(url, options);
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        if (isGarbled(error)) {
          this.#keepsAfterHead = false;
          if (method !== 'PUT' && garbled++ < MOST_GARBLED) continue;
        }
        throw toRemoteError(this.name, `${method} ${path}`, error);
      }
      if (!REDIRECTS.has(response.statusCode)) return response;
      await discard(response);
      url = this.#redirected(url, response, request, hops);
    }
  }

  async #headersOf(request: CacheRequest, options: OperationOptions | undefined): Promise<Record<string, string>> {
    try {
      return await this.#headers.for(options, { ...request.headers });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw this.failure('refused', `there are no credentials: ${why}`, { cause });
    }
  }

  /** Credentials and content go nowhere but to the server that was configured. */
  #redirected(from: URL, response: HttpResponse, { method, path }: CacheRequest, hops: number): URL {
    const what = `${method} ${path}: redirected`;
    const location = headerOf(response, 'location') ?? '';
    const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
    if (to?.origin !== from.origin) throw this.failure('invalid', `${what} to another server, which is not followed`);
    if (method === 'PUT') throw this.failure('invalid', `${what}, which an upload can't follow`);
    if (hops >= MAX_REDIRECTS) throw this.failure('invalid', `${what} more than ${MAX_REDIRECTS} times`);
    to.username = '';
    to.password = '';
    return to;
  }
}

/** Whether something else came than an answer: it may be what the server sent after the last one on the connection. */
function isGarbled(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && 'code' in cause && String(cause.code).startsWith('HPE_');
}

/** A header's value; the first one where there are several. */
export function headerOf({ headers }: HttpResponse, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** Takes what is left of an answer, so that its connection can be used again; the beginning, where it is text. */
export async function discard(response: HttpResponse): Promise<string> {
  const isText = /^(text\/plain|application\/json)\b/.test(headerOf(response, 'content-type') ?? '');
  let bytes = 0;
  let text = '';
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      if (isText && text.length < MOST_QUOTED) text += chunk.toString('utf8');
      bytes += chunk.length;
      if (bytes > MOST_DRAINED_BYTES) break;
    }
  } catch {
    // Nothing of it was wanted.
  }
  return text
    .trim()
    .slice(0, MOST_QUOTED)
    .replace(/[^\x20-\x7e]+/g, ' ');
}
