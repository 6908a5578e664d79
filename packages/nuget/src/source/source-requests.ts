import type { Readable } from 'node:stream';
import { type HttpClient, HttpError, type HttpResponse, isHttpError } from '@granary/http';
import type { Span } from '@granary/telemetry';
import type { Authenticator } from '../auth/authenticator.js';
import { NUGET_CLIENT_VERSION } from '../client-version.js';
import { httpUrl } from '../protocol/endpoint-url.js';
import { textOf } from './header-text.js';
import { refusalReason, secretsIn } from './refusal-reason.js';
import { failureOf } from './source-failures.js';

export interface SourceRequestsOptions {
  readonly name: string;
  readonly client: HttpClient;
  readonly authenticator: Authenticator;
  /** Default: that of the client. */
  readonly userAgent?: string | undefined;
}

export interface SourceRequest {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: (() => Readable) | undefined;
  readonly sessionId: string;
  readonly signal?: AbortSignal | undefined;
  readonly span?: Span | undefined;
  readonly timeoutMs?: number | undefined;
  readonly headersTimeoutMs?: number | undefined;
  readonly maxBodyBytes?: number | undefined;
}

export interface SourceAnswer {
  readonly response: HttpResponse;
  /** Where it came from, after redirects. */
  readonly url: string;
  /** The headers that said who asks. */
  readonly credentials: Readonly<Record<string, string>> | undefined;
  /** How often a body was sent there: what came of it the first time isn't known where it was more than once. */
  readonly attempts: number;
}

const MAX_REDIRECTS = 5;
/** Times that other credentials are tried for one request. */
const MAX_CHALLENGES = 4;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** A body of up to this length is read, so that its connection can be used again. */
const MAX_DRAINED_BYTES = 64 * 1024;
/** What only the origin that it was meant for may know. */
const SECRETS: ReadonlySet<string> = new Set(['x-nuget-apikey', 'authorization', 'cookie']);

/**
 * Sends requests to a source in its name: with the headers of NuGet clients, and with credentials where they belong. A
 * redirect is followed here, because each hop has its own answer to the question who may know what. All that fails is a
 * `SourceError`, but for aborts and for what the reading of a body fails with.
 */
export class SourceRequests {
  readonly #options: SourceRequestsOptions;

  constructor(options: SourceRequestsOptions) {
    this.#options = options;
  }

  /** Answers with whatever status comes, but 401 and redirects. Read the body to its end, {@link drain} or destroy it. */
  async send(url: string, request: SourceRequest): Promise<SourceAnswer> {
    const { authenticator, name } = this.#options;
    const hasApiKey = request.headers?.['x-nuget-apikey'] !== undefined;
    let at = url;
    let hops = 0;
    let challenges = 0;
    let wasForbidden = false;
    let ownFailure: unknown;
    try {
      for (;;) {
        const credentials = authenticator.headers(at);
        let attempts = 0;
        const { body } = request;
        const watch: BodyWatch = {
          onOpen: () => void attempts++,
          onFailure: (error) => {
            ownFailure = error;
          },
        };
        const sent = body === undefined ? request : { ...request, body: watched(body, watch) };
        const response = await this.#sendOnce(at, sent, credentials, at === url || isSameHost(url, at));
        const { statusCode, headers } = response;
        if (statusCode === 401) {
          // Each scheme may come in a header of its own.
          const challenge = [headers['www-authenticate'] ?? []].flat().join(', ') || undefined;
          const reason = await refusalReason(response, secretsIn({ ...request.headers, ...credentials }));
          const { signal } = request;
          const again =
            challenges++ < MAX_CHALLENGES &&
            (await authenticator.challenged({ url: at, sent: credentials, challenge, signal }));
          if (!again) throw authenticator.unauthorized(at, challenge, { hasApiKey, reason });
          continue;
        }
        authenticator.accepted(credentials);
        // Whoever shows an API key is refused for that.
        if (statusCode === 403 && !wasForbidden && !hasApiKey) {
          wasForbidden = true;
          if (await this.#knowsBetter(at, credentials, request.signal)) {
            await drain(response);
            continue;
          }
        }
        const location = REDIRECTS.has(statusCode) ? textOf(headers['location']) : undefined;
        if (location === undefined) return { response, url: at, credentials, attempts };
        await drain(response);
        at = nextHop(at, location, request.method, statusCode, ++hops);
      }
    } catch (error) {
      // What is sent can't be read: that is nothing that the source has to do with.
      const isOwn = isHttpError(error) && error.code === 'FAILED' && error.cause === ownFailure;
      if (isOwn && ownFailure !== undefined) throw ownFailure;
      throw failureOf(name, at, error);
    }
  }

  /** Whether there are other credentials after a 403. Where nobody could tell, that is the answer. */
  async #knowsBetter(
    url: string,
    sent: Readonly<Record<string, string>> | undefined,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    try {
      return await this.#options.authenticator.forbidden({ url, sent, challenge: undefined, signal });
    } catch {
      signal?.throwIfAborted();
      return false;
    }
  }

  #sendOnce(
    url: string,
    request: SourceRequest,
    credentials: Readonly<Record<string, string>> | undefined,
    mayKnow: boolean,
  ): Promise<HttpResponse> {
    const { client, name, userAgent } = this.#options;
    const { method, signal, span, timeoutMs, headersTimeoutMs, maxBodyBytes, body } = request;
    const headers: Record<string, string> = {
      'x-nuget-client-version': NUGET_CLIENT_VERSION,
      'x-nuget-session-id': request.sessionId,
    };
    if (userAgent !== undefined) headers['user-agent'] = userAgent;
    for (const [header, value] of Object.entries(request.headers ?? {})) {
      const lower = header.toLowerCase();
      if (mayKnow || !SECRETS.has(lower)) headers[lower] = value;
    }
    Object.assign(headers, credentials);
    return client.request(url, {
      method,
      headers,
      body: body ?? null,
      signal,
      span,
      timeoutMs,
      headersTimeoutMs,
      maxBodyBytes,
      maxRedirects: 0,
      source: name,
    });
  }
}

/** Reads what is left of a body that nobody wants, if that is little. */
export async function drain({ body }: HttpResponse): Promise<void> {
  let length = 0;
  try {
    for await (const chunk of body) {
      length += (chunk as Buffer).length;
      if (length > MAX_DRAINED_BYTES) break;
    }
  } catch {
    // What it would have said doesn't matter.
  } finally {
    body.destroy();
  }
}

function nextHop(from: string, location: string, method: string, statusCode: number, hops: number): string {
  const details = { method, host: new URL(from).host, statusCode };
  if (hops > MAX_REDIRECTS) throw new HttpError('TOO_MANY_REDIRECTS', 'too many redirects', details);
  const to = httpUrl(location, from);
  // A request that changes something is sent on as it is or not at all.
  if (to === undefined || (method !== 'GET' && statusCode === 303)) {
    throw new HttpError('INVALID_REDIRECT', 'redirected to where the request cannot go', details);
  }
  if (from.startsWith('https:') && to.startsWith('http:')) {
    throw new HttpError('INSECURE_REDIRECT', `redirected from https to http (${new URL(to).host})`, details);
  }
  return to;
}

/** Whether what one URL may know is as safe at the other: it is its origin, or that encrypted. */
function isSameHost(from: string, to: string): boolean {
  const a = new URL(from);
  const b = new URL(to);
  const isEncrypted = a.protocol === 'http:' && a.port === '' && b.origin === `https://${a.hostname}`;
  return isEncrypted || a.origin === b.origin;
}

interface BodyWatch {
  readonly onOpen: () => void;
  /** Hears what making or reading a body fails with; and of a request that fails, what ended its body. */
  readonly onFailure: (error: unknown) => void;
}

function watched(open: () => Readable, { onOpen, onFailure }: BodyWatch): () => Readable {
  return () => {
    onOpen();
    try {
      return open().on('error', onFailure);
    } catch (error) {
      onFailure(error);
      throw error;
    }
  };
}
