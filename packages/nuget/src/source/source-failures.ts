import { type HttpErrorCode, type HttpResponse, isHttpError, parseRetryAfter } from '@granary/http';
import { isNuGetError, type NuGetErrorCode, SourceError } from '../errors.js';
import { shownUrl } from '../protocol/endpoint-url.js';

/** What the HTTP client's errors mean for a source; all others mean that it is unavailable. */
const CODES: ReadonlyMap<HttpErrorCode, NuGetErrorCode> = new Map<HttpErrorCode, NuGetErrorCode>([
  ['BODY_TOO_LARGE', 'LIMIT'],
  ['HEADERS_TOO_LARGE', 'LIMIT'],
  ['DECODE_FAILED', 'PROTOCOL'],
  ['TOO_MANY_REDIRECTS', 'PROTOCOL'],
  ['INSECURE_REDIRECT', 'PROTOCOL'],
  ['INVALID_REDIRECT', 'PROTOCOL'],
  ['INVALID_URL', 'PROTOCOL'],
  ['ADDRESS_REFUSED', 'PROTOCOL'],
  ['INVALID_REQUEST', 'INVALID_OPTION'],
  ['CLOSED', 'CLOSED'],
]);

/** What was thrown while a source was asked, as the error that its callers see. */
export function failureOf(source: string, url: string, error: unknown): unknown {
  if (isNuGetError(error) || !isHttpError(error)) return error;
  const code = CODES.get(error.code) ?? 'SOURCE_UNAVAILABLE';
  const message = `${shownUrl(url)}: ${error.message}`;
  return new SourceError(code, source, message, { statusCode: error.statusCode, cause: error });
}

/** What else is known of a request that a source refused. */
export interface Refused {
  /** Why, as the source says it, if that is fit to be shown. */
  readonly reason?: string | undefined;
  /** How often it was sent. */
  readonly attempts?: number | undefined;
}

/**
 * The error for a status that is no answer.
 *
 * @param nowMs milliseconds since 1970
 */
export function statusFailure(
  source: string,
  url: string,
  { statusCode, headers }: Pick<HttpResponse, 'statusCode' | 'headers'>,
  nowMs: number,
  { reason, attempts = 1 }: Refused = {},
): SourceError {
  const said = reason === undefined ? '' : `: ${reason}`;
  // Otherwise a push that succeeded, and whose answer was lost, would seem to be somebody else's.
  const sent =
    statusCode === 409 && attempts > 1 ? `; it was sent ${attempts} times, and may be there from an earlier one` : '';
  const retryAfterMs = parseRetryAfter([headers['retry-after']].flat()[0], nowMs);
  const message = `${shownUrl(url)} answered ${statusCode}${said}${sent}`;
  return new SourceError(codeOf(statusCode), source, message, { statusCode, retryAfterMs, reason });
}

function codeOf(status: number): NuGetErrorCode {
  if (status === 401) return 'UNAUTHORIZED';
  if (status === 403) return 'FORBIDDEN';
  if (status === 409) return 'CONFLICT';
  if (status === 413) return 'LIMIT';
  if (status === 405 || status === 501) return 'UNSUPPORTED';
  return status === 408 || status === 429 || status >= 500 ? 'SOURCE_UNAVAILABLE' : 'PROTOCOL';
}

/** Whether a source that failed so may be well again in a while, so that what it said before counts meanwhile. */
export function isTemporary(error: unknown): boolean {
  return isNuGetError(error) && error.code === 'SOURCE_UNAVAILABLE';
}
