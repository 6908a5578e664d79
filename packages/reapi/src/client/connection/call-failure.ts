import { type RemoteFailure, RemoteStoreError, type RemoteStoreErrorOptions } from '@granary/blobs';
import { status as CODES, type StatusObject } from '@grpc/grpc-js';
import { WireReader } from '../../wire/wire-reader.js';

/** Longest text of a peer that goes into an error. */
const MAX_DETAILS = 300;

/** What both sides' libraries say of a message that is over its limit: to try again would change nothing. */
const MESSAGE_TOO_LARGE = /larger than max|too large|exceeds maximum/i;

interface Meaning {
  readonly kind: RemoteFailure;
  readonly retryable?: boolean;
}

const UNAVAILABLE: Meaning = { kind: 'unavailable' };

/** Codes that stand for a passing trouble are retried as Bazel does, INTERNAL and UNKNOWN among them. */
const MEANINGS: Readonly<Partial<Record<number, Meaning>>> = {
  [CODES.DEADLINE_EXCEEDED]: { kind: 'timeout' },
  [CODES.RESOURCE_EXHAUSTED]: { kind: 'exhausted' },
  [CODES.UNAUTHENTICATED]: { kind: 'refused' },
  [CODES.PERMISSION_DENIED]: { kind: 'refused' },
  [CODES.UNIMPLEMENTED]: { kind: 'refused' },
  [CODES.FAILED_PRECONDITION]: { kind: 'refused' },
  [CODES.INVALID_ARGUMENT]: { kind: 'invalid' },
  [CODES.OUT_OF_RANGE]: { kind: 'invalid' },
  [CODES.DATA_LOSS]: { kind: 'unavailable', retryable: false },
  [CODES.NOT_FOUND]: { kind: 'unavailable', retryable: false },
};

/** How a call, or one blob of a batch, ended. */
export interface PeerStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata?: StatusObject['metadata'] | undefined;
}

/** A call, or one blob of a batch, that the peer ended with another status than OK. */
export class GrpcStatusError extends RemoteStoreError {
  /** gRPC's number of the status. */
  readonly status: number;
  readonly #reason: string;

  constructor(tier: string, kind: RemoteFailure, reason: string, status: number, options: RemoteStoreErrorOptions) {
    super(tier, kind, reason, options);
    this.status = status;
    this.#reason = reason;
  }

  /**
   * The same as an answer to what the peer was sent.
   *
   * @param unfit whether it is sure that no call will ever write this
   */
  asRejection(unfit: boolean): GrpcStatusError {
    const options = { retryable: false, rejected: true, unfit, cause: this };
    return new GrpcStatusError(this.tier, 'invalid', this.#reason, this.status, options);
  }
}

/** Whether the peer itself said this. */
export function hasStatus(error: unknown, status: number): error is GrpcStatusError {
  return error instanceof GrpcStatusError && error.status === status;
}

/** The error for a status other than OK. `what` says which call on which peer. */
export function callFailure(tier: string, what: string, { code, details, metadata }: PeerStatus): GrpcStatusError {
  const tooLarge = code === CODES.RESOURCE_EXHAUSTED && MESSAGE_TOO_LARGE.test(details);
  const { kind, retryable } = tooLarge
    ? { kind: 'invalid' as const, retryable: false }
    : (MEANINGS[code] ?? UNAVAILABLE);
  const delay = metadata && retryDelayMs(metadata);
  const text = details.length > MAX_DETAILS ? `${details.slice(0, MAX_DETAILS)}…` : details;
  return new GrpcStatusError(
    tier,
    kind,
    `${what} failed: ${CODES[code] ?? `status ${code}`}${text && `: ${text}`}`,
    code,
    {
      retryable: delay !== undefined && delay < 0 ? false : retryable,
      retryAfterMs: delay !== undefined && delay >= 0 ? delay : undefined,
    },
  );
}

/** What the peer says of the next try: milliseconds to wait, −1 for "never", or undefined for nothing. */
function retryDelayMs(metadata: StatusObject['metadata']): number | undefined {
  const [pushback] = metadata.get('grpc-retry-pushback-ms');
  // By gRPC's rules what is no number means "don't".
  if (pushback !== undefined) return /^\d{1,9}$/.test(String(pushback)) ? Number(pushback) : -1;
  const [details] = metadata.get('grpc-status-details-bin');
  if (!Buffer.isBuffer(details)) return undefined;
  try {
    return retryInfoMs(details);
  } catch {
    return undefined;
  }
}

const STATUS_DETAILS = 0x1a;
const ANY_TYPE = 0x0a;
const ANY_VALUE = 0x12;
const RETRY_DELAY = 0x0a;
const SECONDS = 0x08;
const NANOS = 0x10;

/** Looks for a `google.rpc.RetryInfo` in an encoded `google.rpc.Status`. */
function retryInfoMs(bytes: Buffer): number | undefined {
  let found: number | undefined;
  const status = new WireReader(bytes);
  eachField(status, (tag) => {
    if (tag !== STATUS_DETAILS) return false;
    let type = '';
    let value: Buffer | undefined;
    eachField(new WireReader(status.view()), (inner, any) => {
      if (inner === ANY_TYPE) type = any.string();
      else if (inner === ANY_VALUE) value = any.view();
      else return false;
      return true;
    });
    if (value && type.endsWith('/google.rpc.RetryInfo')) found = retryDelay(value);
    return true;
  });
  return found;
}

function retryDelay(retryInfo: Buffer): number {
  let ms = 0;
  eachField(new WireReader(retryInfo), (tag, reader) => {
    if (tag !== RETRY_DELAY) return false;
    eachField(new WireReader(reader.view()), (part, duration) => {
      if (part === SECONDS) ms += duration.int64() * 1000;
      else if (part === NANOS) ms += Math.round(duration.int32() / 1e6);
      else return false;
      return true;
    });
    return true;
  });
  return Math.max(0, ms);
}

/** Calls `take` for each field; what it returns false for is skipped. */
function eachField(reader: WireReader, take: (tag: number, reader: WireReader) => boolean): void {
  while (reader.pos < reader.end) {
    const tag = reader.tag();
    if (!take(tag, reader)) reader.skip(tag);
  }
}
