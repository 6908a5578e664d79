import { parseRetryAfter } from '@granary/http';
import { type RemoteFailure, RemoteStoreError } from '../remote/remote-store-error.js';

/** By the code of the store's answer, or the name of the SDK's error. */
const KINDS: ReadonlyMap<string, RemoteFailure> = new Map<string, RemoteFailure>([
  ['SlowDown', 'exhausted'],
  ['TooManyRequestsException', 'exhausted'],
  ['ThrottlingException', 'exhausted'],
  ['RequestLimitExceeded', 'exhausted'],
  ['QuotaExceeded', 'exhausted'],
  ['XMinioStorageFull', 'exhausted'],
  ['RequestTimeout', 'timeout'],
  ['TimeoutError', 'timeout'],
  ['UND_ERR_CONNECT_TIMEOUT', 'timeout'],
  ['AccessDenied', 'refused'],
  ['AuthorizationHeaderMalformed', 'refused'],
  ['CredentialsProviderError', 'refused'],
  ['EntityTooLarge', 'refused'],
  ['ExpiredToken', 'refused'],
  ['InvalidAccessKeyId', 'refused'],
  ['InvalidBucketName', 'refused'],
  ['InvalidToken', 'refused'],
  ['NoSuchBucket', 'refused'],
  ['RequestTimeTooSkewed', 'refused'],
  ['SignatureDoesNotMatch', 'refused'],
  // Somebody else writes the same object at this moment.
  ['ConditionalRequestConflict', 'unavailable'],
  ['OperationAborted', 'unavailable'],
]);

const CERTIFICATE_CODE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)/;
const MOST_QUOTED = 200;

/** What the SDK's errors say, as far as anybody can tell. */
interface S3Answer {
  /** The store's code, the SDK's, or Node's. */
  readonly code: string;
  /** Undefined when there was no answer. */
  readonly status: number | undefined;
}

/** What went wrong in the call that failed: of the SDK's error, or of the one that was made of it. */
export function answerOf(error: unknown): S3Answer {
  const raw = error instanceof RemoteStoreError ? error.cause : error;
  if (typeof raw !== 'object' || raw === null) return { code: '', status: undefined };
  const { name, code, $metadata } = raw as { name?: unknown; code?: unknown; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  return { code: String((status === undefined && code) || name || ''), status };
}

/** Whether the store says that there is no such object. */
export function isMissing(error: unknown): boolean {
  const { code, status } = answerOf(error);
  return status === 404 && code !== 'NoSuchBucket';
}

/**
 * @param what method and key
 * @param hide takes credentials out of a text
 */
export function s3Failure(
  tier: string,
  what: string,
  bucket: string,
  error: unknown,
  hide: (text: string) => string,
): RemoteStoreError {
  const { code, status } = answerOf(error);
  const kind = kindOf(code, status);
  const said = explanationOf(code, status, bucket) ?? saidBy(error, hide);
  const shown = status === undefined ? code : `status ${status} ${code}`;
  return new RemoteStoreError(tier, kind, `${what}: ${shown.trim()}: ${said}`, {
    cause: causeOf(code, status, said),
    // A full quota doesn't empty itself while a request waits.
    retryable: code === 'QuotaExceeded' || code === 'XMinioStorageFull' ? false : undefined,
    unfit: code === 'EntityTooLarge',
    retryAfterMs: retryAfterOf(error),
  });
}

/** The SDK's own errors have the whole request with them, and its authorization: too much for a log. */
function causeOf(code: string, status: number | undefined, said: string): Error {
  const cause = new Error(said);
  cause.name = code || 'Error';
  return Object.assign(cause, { $metadata: { httpStatusCode: status } });
}

function kindOf(code: string, status: number | undefined): RemoteFailure {
  const known = KINDS.get(code);
  if (known) return known;
  if (status === undefined) {
    if (CERTIFICATE_CODE.test(code)) return 'refused';
    return code === 'ETIMEDOUT' ? 'timeout' : 'unavailable';
  }
  if (status >= 300 && status < 400) return 'refused';
  if (status === 401 || status === 403 || status === 405 || status === 501) return 'refused';
  if (status === 408 || status === 504) return 'timeout';
  if (status === 429 || status === 507) return 'exhausted';
  return status >= 500 ? 'unavailable' : 'invalid';
}

function explanationOf(code: string, status: number | undefined, bucket: string): string | undefined {
  if (code === 'NoSuchBucket') return `the bucket ${bucket} does not exist`;
  if (status !== undefined && status >= 300 && status < 400)
    return `the bucket ${bucket} is in another region or at another endpoint`;
  return undefined;
}

function saidBy(error: unknown, hide: (text: string) => string): string {
  const text = error instanceof Error ? error.message : String(error);
  if (text === 'UnknownError' || text === '') return 'the store says no more';
  return hide(text.replace(/[^\x20-\x7e]+/g, ' ')).slice(0, MOST_QUOTED);
}

function retryAfterOf(error: unknown): number | undefined {
  const { $response } = error as { $response?: { headers?: Record<string, string> } };
  return parseRetryAfter($response?.headers?.['retry-after'], Date.now());
}
