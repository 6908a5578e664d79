const BRAND: unique symbol = Symbol.for('granary.error') as never;

/** Why a call failed. Stable: code may depend on these. */
export type HttpErrorCode =
  | 'NETWORK' // no connection, or it broke, or what came was no HTTP
  | 'CERTIFICATE' // the server's certificate isn't one to trust
  | 'TIMEOUT' // connecting, the headers, the next bytes of the body, or the call as a whole took too long
  | 'ADDRESS_REFUSED' // the client's `allowsAddress` says no to where it would connect to
  | 'CIRCUIT_OPEN' // the host's circuit breaker let nothing through
  | 'RATE_LIMITED' // no token for the source within the wait allowed
  | 'QUEUE_FULL' // too many callers waited already
  | 'HTTP_STATUS' // `json()` or `buffer()` got another status than 2xx
  | 'BODY_TOO_LARGE' // the response's body, decompressed, is longer than allowed
  | 'HEADERS_TOO_LARGE' // the response's headers are
  | 'DECODE_FAILED' // the body is no valid gzip, brotli, deflate or zstd, or no JSON
  | 'TOO_MANY_REDIRECTS'
  | 'INSECURE_REDIRECT' // from https to http
  | 'INVALID_REDIRECT' // to something that is no http or https URL
  | 'INVALID_URL' // the URL of the call is none, or has credentials in it
  | 'INVALID_REQUEST' // method, headers or options of the call make no sense
  | 'CLOSED' // the client is closed
  | 'FAILED'; // anything else, such as an error of the request's own body; see the cause

/** What is known about the call that failed. */
export interface HttpErrorDetails {
  /** Host and port of the server that was asked last. */
  readonly host?: string | undefined;
  readonly method?: string | undefined;
  /** Status of the last response, where there was one. */
  readonly statusCode?: number | undefined;
  /** Requests that were sent or tried, retries and hops of redirects included. */
  readonly attempts?: number | undefined;
  readonly cause?: unknown;
}

/**
 * The one error of this package. Its message names method, host and what happened, and never has a credential, a path
 * or a query in it. Only aborts are not turned into one: a call that is aborted rejects with the signal's reason.
 */
export class HttpError extends Error {
  readonly code: HttpErrorCode;
  /** Host and port of the server that was asked last; empty when the URL was none. */
  readonly host: string;
  readonly method: string;
  /** Status of the last response, where there was one. */
  readonly statusCode: number | undefined;
  /** Requests that were sent or tried, retries and hops of redirects included. */
  readonly attempts: number;
  readonly [BRAND] = true;

  constructor(code: HttpErrorCode, what: string, details: HttpErrorDetails = {}) {
    const { host = '', method = 'GET', statusCode, attempts = 0, cause } = details;
    const tries = attempts > 1 ? ` (${attempts} attempts)` : '';
    super(`${method} ${host}: ${what}${tries}`, cause === undefined ? undefined : { cause });
    this.name = 'HttpError';
    this.code = code;
    this.host = host;
    this.method = method;
    this.statusCode = statusCode;
    this.attempts = attempts;
  }

  /** Another name of {@link statusCode}, as errors of other clients have it. */
  get status(): number | undefined {
    return this.statusCode;
  }
}

/** Whether this is an {@link HttpError}, even one of another copy of this package. */
export function isHttpError(error: unknown): error is HttpError {
  return (
    typeof error === 'object' &&
    error !== null &&
    BRAND in error &&
    'name' in error &&
    error.name === 'HttpError' &&
    'code' in error
  );
}
