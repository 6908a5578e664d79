import { coarseTimers, type Timers } from '@granary/resilience';
import { checkCount } from '../check-options.js';
import {
  type Controller,
  type Dispatch,
  type Handler,
  type HeaderRecord,
  type HttpDispatchOptions,
  type HttpInterceptor,
  hostOf,
  type ResponseHeaders,
} from '../dispatch.js';
import { RepeatingHandler } from '../handlers/repeating-handler.js';
import { firstValue, headerRecord } from '../headers.js';
import { HttpError, type HttpErrorCode } from '../http-error.js';
import { isRepeatable } from '../request-body.js';
import { addCallEvent } from './client-span.js';
import { interceptor } from './interceptor.js';

export interface RedirectOptions {
  /** Hops that are followed; a request's own `maxRedirects` goes first, and 0 hands redirects out. Default 5. */
  readonly maxRedirects?: number | undefined;
  /** Default: timers that all timeouts share. */
  readonly timers?: Timers | undefined;
}

export const DEFAULT_MAX_REDIRECTS = 5;

/** How long a redirect may take for the rest of its body, which nobody wants, before its connection is given up. */
const DISCARD_MS = 1000;

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const HTTP: ReadonlySet<string> = new Set(['http:', 'https:']);
/**
 * Headers that only the first origin may know: also `x-api-key`, `x-nuget-apikey`, `private-token` and their like, and
 * `x-jfrog-art-api`, which is Artifactory's key: it sends downloads on to the storage of a cloud.
 */
const CREDENTIALS =
  /(?:auth(?:entication|orization)?|cookie|credentials?|jfrog-art-api|passw(?:or)?d|secret|signature|token|(?:access|account|api|subscription)-?key)$/;

/**
 * Follows redirects, as many as allowed. `authorization`, `cookie` and all headers whose names say that they are keys,
 * tokens or passwords stay behind when another origin is asked; from https to http it never goes. 303 turns every method
 * but HEAD into GET, 301 and 302 turn POST into GET; 307 and 308 send method and body again, where the body can be sent
 * again: otherwise the redirect itself is the response.
 *
 * Fails with `TOO_MANY_REDIRECTS`, `INSECURE_REDIRECT`, or `INVALID_REDIRECT` for a target that is no http URL.
 */
export function redirect({
  maxRedirects = DEFAULT_MAX_REDIRECTS,
  timers = coarseTimers,
}: RedirectOptions = {}): HttpInterceptor {
  checkCount('maxRedirects', maxRedirects);
  return interceptor((dispatch) => (options, handler) => {
    const max = options.maxRedirects ?? maxRedirects;
    if (max === 0) return dispatch(options, handler);
    return new RedirectHandler(handler, dispatch, options, max, timers).start();
  });
}

class RedirectHandler extends RepeatingHandler {
  #options: HttpDispatchOptions;
  #left: number;
  readonly #timers: Timers;
  #timer: unknown;

  constructor(next: Handler, dispatch: Dispatch, options: HttpDispatchOptions, maxRedirects: number, timers: Timers) {
    super(next, dispatch);
    this.#options = options;
    this.#left = maxRedirects;
    this.#timers = timers;
  }

  start(): boolean {
    return this.send(this.#options);
  }

  override onResponseStart(_: Controller, status: number, headers: ResponseHeaders, message?: string): void {
    const location = REDIRECTS.has(status) ? fromBytes(firstValue(headers['location'])) : undefined;
    if (location !== undefined && this.#mayRepeat(status)) this.#follow(status, location);
    else this.next.onResponseStart?.(this, status, headers, message);
  }

  protected override discarded(): void {
    this.cancel();
    this.send(this.#options);
  }

  protected override recovers(): boolean {
    return false;
  }

  protected override cancel(): void {
    this.#timers.clearTimeout(this.#timer);
  }

  #mayRepeat(status: number): boolean {
    const { method, body } = this.#options;
    return becomesGet(status, method) || isRepeatable(body);
  }

  #follow(status: number, location: string): void {
    // Not resolved against the origin: a path that begins with two slashes would name another host.
    const from = new URL(new URL(this.#options.origin as string | URL).origin + this.#options.path);
    const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
    if (this.#left-- === 0) {
      this.abort(this.#error('TOO_MANY_REDIRECTS', 'too many redirects', status));
    } else if (to === undefined || !HTTP.has(to.protocol)) {
      this.abort(this.#error('INVALID_REDIRECT', 'redirected to something that is no http URL', status));
    } else if (from.protocol === 'https:' && to.protocol === 'http:') {
      this.abort(this.#error('INSECURE_REDIRECT', `redirected from https to http (${to.host})`, status));
    } else {
      this.#options = nextHop(this.#options, status, from, to);
      if (this.#options.progress) this.#options.progress.url = to;
      addCallEvent(this.#options, 'redirect', { 'http.response.status_code': status, 'server.address': to.hostname });
      this.discard();
      this.#timer = this.#timers.setTimeout(() => this.cutOff(), DISCARD_MS);
    }
  }

  #error(code: HttpErrorCode, what: string, statusCode: number): HttpError {
    const { method, progress } = this.#options;
    return new HttpError(code, what, {
      method,
      host: hostOf(this.#options),
      statusCode,
      attempts: progress?.attempts,
    });
  }
}

/** Headers are handed out byte by byte; who writes more than ASCII into a URL writes UTF-8, as browsers take it. */
const fromBytes = (value: string | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value, 'latin1').toString();

const becomesGet = (status: number, method: string): boolean =>
  status === 303 ? method !== 'HEAD' : (status === 301 || status === 302) && method === 'POST';

function nextHop(options: HttpDispatchOptions, status: number, from: URL, to: URL): HttpDispatchOptions {
  const headers: HeaderRecord = headerRecord(options.headers);
  delete headers['host'];
  if (to.origin !== from.origin) {
    for (const name of Object.keys(headers)) if (CREDENTIALS.test(name)) delete headers[name];
  }
  // The query belonged to the old path.
  const { query: _, ...rest } = options;
  const hop = { ...rest, origin: to.origin, path: to.pathname + to.search, headers };
  if (!becomesGet(status, options.method)) return hop;
  for (const name of Object.keys(headers)) if (name.startsWith('content-')) delete headers[name];
  return { ...hop, method: 'GET', body: null };
}
