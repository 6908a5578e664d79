import { isStoreError, type StoreErrorCode } from '@granary/blobs';
import { AccessDeniedError } from '../edge/hooks.js';
import { ResourceNameError } from '../resource-name.js';
import { isProtocolError, type ProtocolErrorCode } from '../services/protocol-error.js';
import { ZstdError } from '../zstd/index.js';

/** An answer that is an error: a status, what to say, and headers that belong to it. */
export class HttpError extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'HttpError';
    this.status = status;
    this.headers = headers;
  }
}

const STORE: Readonly<Record<StoreErrorCode, number>> = {
  INVALID_DIGEST: 400,
  DIGEST_MISMATCH: 400,
  BLOB_TOO_LARGE: 413,
  NO_SPACE: 507,
  BLOB_DAMAGED: 404,
  STORE_CLOSED: 503,
  STORE_LOCKED: 500,
  STORE_FAILED: 500,
  TIER_UNAVAILABLE: 503,
  LOOP: 508,
};

const PROTOCOL: Readonly<Record<ProtocolErrorCode, number>> = {
  INVALID_REQUEST: 400,
  MESSAGE_TOO_LARGE: 413,
  NOT_FOUND: 404,
  OUT_OF_RANGE: 416,
  READ_ONLY: 403,
  UNSERVABLE: 409,
  IDLE: 408,
};

const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="granary", charset="UTF-8", Bearer realm="granary"' };

/** The answer for anything that a handler may throw: the only place where errors become HTTP statuses. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (isStoreError(error)) {
    const status = STORE[error.code] ?? 500;
    return status === 500 ? internal() : new HttpError(status, error.message);
  }
  if (isProtocolError(error)) return new HttpError(PROTOCOL[error.code] ?? 500, error.message);
  if (error instanceof ResourceNameError) return new HttpError(400, error.message);
  if (error instanceof ZstdError) return new HttpError(error.code === 'TOO_LARGE' ? 413 : 400, error.message);
  if (error instanceof AccessDeniedError) return toRefusal(error);
  return internal();
}

function toRefusal({ code, message }: AccessDeniedError): HttpError {
  if (code === 'UNAUTHENTICATED') return new HttpError(401, message, CHALLENGE);
  if (code === 'RATE_LIMITED') return new HttpError(429, message, { 'Retry-After': '60' });
  return new HttpError(403, message);
}

function internal(): HttpError {
  return new HttpError(500, 'the server failed; its log says how');
}
