import { type HttpError, type HttpErrorCode, isHttpError } from '@granary/http';
import { StoreClosedError } from '../errors.js';
import { type RemoteFailure, RemoteStoreError } from '../remote/remote-store-error.js';

const KINDS: Readonly<Partial<Record<HttpErrorCode, RemoteFailure>>> = {
  NETWORK: 'unavailable',
  FAILED: 'unavailable',
  CERTIFICATE: 'refused',
  TIMEOUT: 'timeout',
  QUEUE_FULL: 'exhausted',
};

/** What kind of failure an answer with this status is; undefined where it is none. */
export function failureOfStatus(status: number): RemoteFailure | undefined {
  if (status >= 200 && status < 300) return undefined;
  switch (status) {
    case 401:
    case 403:
    case 405:
    case 407:
    case 413:
    case 501:
    // The request came back to a server that it has passed.
    case 508:
      return 'refused';
    case 408:
    case 504:
      return 'timeout';
    case 429:
    case 507:
      return 'exhausted';
    default:
      return status >= 500 ? 'unavailable' : 'invalid';
  }
}

/** What the HTTP client threw, as callers of a store see it. Aborts stay what they are. */
export function toRemoteError(tier: string, what: string, error: unknown): unknown {
  if (!isHttpError(error)) return error;
  if (error.code === 'CLOSED') return new StoreClosedError();
  return new RemoteStoreError(tier, KINDS[error.code] ?? 'invalid', `${what}: ${reasonOf(error)}`, { cause: error });
}

function reasonOf({ message, cause }: HttpError): string {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string'
    ? `${message} (${cause.code})`
    : message;
}
