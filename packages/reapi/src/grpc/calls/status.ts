import { isStoreError, type StoreErrorCode } from '@granary/blobs';
import { status as CODES } from '@grpc/grpc-js';
import { AccessDeniedError } from '../../edge/hooks.js';
import { ResourceNameError } from '../../resource-name.js';
import { isProtocolError, type ProtocolErrorCode } from '../../services/protocol-error.js';
import { WireFormatError } from '../../wire/index.js';
import { ZstdError } from '../../zstd/index.js';

/** How a call ends: a gRPC status code and what is said about it. */
export interface GrpcStatus {
  readonly code: CODES;
  readonly details: string;
}

/** Longest text of a status, in UTF-16 units: it travels in a header, and may quote what a client sent. */
const MAX_DETAILS = 1024;
const LONE_SURROGATE = /\p{Surrogate}/gu;

const STORE: Readonly<Record<StoreErrorCode, CODES>> = {
  INVALID_DIGEST: CODES.INVALID_ARGUMENT,
  DIGEST_MISMATCH: CODES.INVALID_ARGUMENT,
  BLOB_TOO_LARGE: CODES.INVALID_ARGUMENT,
  NO_SPACE: CODES.RESOURCE_EXHAUSTED,
  BLOB_DAMAGED: CODES.NOT_FOUND,
  STORE_CLOSED: CODES.UNAVAILABLE,
  STORE_LOCKED: CODES.INTERNAL,
  STORE_FAILED: CODES.INTERNAL,
  TIER_UNAVAILABLE: CODES.UNAVAILABLE,
  LOOP: CODES.FAILED_PRECONDITION,
};

const PROTOCOL: Readonly<Record<ProtocolErrorCode, CODES>> = {
  INVALID_REQUEST: CODES.INVALID_ARGUMENT,
  MESSAGE_TOO_LARGE: CODES.RESOURCE_EXHAUSTED,
  NOT_FOUND: CODES.NOT_FOUND,
  OUT_OF_RANGE: CODES.OUT_OF_RANGE,
  READ_ONLY: CODES.PERMISSION_DENIED,
  UNSERVABLE: CODES.FAILED_PRECONDITION,
  IDLE: CODES.DEADLINE_EXCEEDED,
};

const ACCESS: Readonly<Record<AccessDeniedError['code'], CODES>> = {
  UNAUTHENTICATED: CODES.UNAUTHENTICATED,
  PERMISSION_DENIED: CODES.PERMISSION_DENIED,
  RATE_LIMITED: CODES.RESOURCE_EXHAUSTED,
};

/** The client went away or its deadline passed: why the work for a call was ended. */
export class CallEndedError extends Error {
  readonly code: 'CANCELLED' | 'DEADLINE_EXCEEDED';

  constructor(code: CallEndedError['code']) {
    super(code === 'CANCELLED' ? 'the client went away' : 'the deadline of the call passed');
    this.name = 'CallEndedError';
    this.code = code;
  }
}

/** A call of a method that the server doesn't have. */
export class UnknownMethodError extends Error {
  readonly code = 'UNIMPLEMENTED';

  constructor(path: string) {
    super(`The server does not implement the method ${path}`);
    this.name = 'UnknownMethodError';
  }
}

/**
 * The status for anything that a handler may throw: the only place where errors become gRPC codes. What is not known
 * here is our own fault and INTERNAL, without details that could show the inside of the server.
 */
export function toStatus(error: unknown): GrpcStatus {
  if (isStoreError(error)) {
    const code = STORE[error.code] ?? CODES.INTERNAL;
    return code === CODES.INTERNAL ? INTERNAL : withDetails(code, error.message);
  }
  if (isProtocolError(error)) return withDetails(PROTOCOL[error.code] ?? CODES.INTERNAL, error.message);
  if (error instanceof WireFormatError)
    return withDetails(CODES.INVALID_ARGUMENT, `the message is malformed: ${error.message}`);
  if (error instanceof ResourceNameError || error instanceof ZstdError)
    return withDetails(CODES.INVALID_ARGUMENT, error.message);
  if (error instanceof AccessDeniedError) return withDetails(ACCESS[error.code], error.message);
  if (error instanceof CallEndedError || error instanceof UnknownMethodError)
    return withDetails(CODES[error.code], error.message);
  if (error instanceof Error && error.name === 'AbortError') return withDetails(CODES.CANCELLED, error.message);
  if (error instanceof Error && error.name === 'TimeoutError')
    return withDetails(CODES.DEADLINE_EXCEEDED, error.message);
  return INTERNAL;
}

/** Whether a failure with this code is the server's and belongs into its log. */
export function isOurFault(code: CODES): boolean {
  return code === CODES.INTERNAL || code === CODES.UNKNOWN || code === CODES.DATA_LOSS;
}

/** Whether a server's span counts as failed with this code, by OpenTelemetry's conventions for gRPC. */
export function isServerError(code: CODES): boolean {
  return (
    isOurFault(code) || code === CODES.DEADLINE_EXCEEDED || code === CODES.UNIMPLEMENTED || code === CODES.UNAVAILABLE
  );
}

const INTERNAL: GrpcStatus = { code: CODES.INTERNAL, details: 'the server failed; its log says how' };

/**
 * Text that was cut may end with half of a surrogate pair, ours or a tier's: grpc-js sends it through `encodeURI`, which
 * throws on that, outside of any call.
 */
function withDetails(code: CODES, text: string): GrpcStatus {
  const details = text.length > MAX_DETAILS ? `${text.slice(0, MAX_DETAILS)}…` : text;
  return { code, details: details.replace(LONE_SURROGATE, '\ufffd') };
}
