import { isStoreError, type StoreErrorCode } from '@granary/blobs';
import { isNuGetError, type NuGetError, type NuGetErrorCode, type SourceError } from '@granary/nuget';
import { FeedUnavailableError } from '../errors.js';
import { causesOf } from '../feed/upstream-failures.js';
import type { AccessDenial, FeedRight } from './hooks.js';

/** An answer that is an error: a status, a sentence for people, and headers that belong to it. */
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

/** A package, or a version of it, that no source has. */
export function noSuchPackage(): HttpError {
  return new HttpError(404, 'there is no such package or version');
}

/** What is wrong with this server is over soon. */
const RESTART_MS = 10_000;
const ADDRESS = /\bhttps?:\/\/\S+/gi;
const MAX_RETRY_S = 3600;
/** Clients send credentials only after they were asked for them. */
const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="granary", charset="UTF-8", Bearer realm="granary"' };

const DENIALS: Readonly<Record<AccessDenial, (message: string) => HttpError>> = {
  UNAUTHENTICATED: (message) => new HttpError(401, message, CHALLENGE),
  PERMISSION_DENIED: (message) => new HttpError(403, message),
  RATE_LIMITED: (message) => new HttpError(429, message, { 'Retry-After': '60' }),
};

/** Of errors that aren't about what the client sent, the sentence: theirs may tell of upstreams and files. */
type Answer = readonly [status: number, sentence?: string];

const BUSY: Answer = [503, 'the source of this package can not be asked now'];
const NONSENSE: Answer = [502, 'the source of this package gave no answer that makes sense'];
const TOO_MUCH: Answer = [502, 'the source of this package sends more than this server takes'];
const UNTRUSTED: Answer = [502, 'the source of this package refuses this server'];
const FORBIDDEN: Answer = [403, 'the source of this package refuses it'];
const UNOFFERED: Answer = [501, 'no source offers this'];
const REFUSED: Answer = [403, 'the feed that this goes to refuses it for who sends it'];

const READING: Readonly<Partial<Record<NuGetErrorCode, Answer>>> = {
  INVALID_VERSION: [400],
  INVALID_VERSION_RANGE: [400],
  INVALID_FRAMEWORK: [400],
  INVALID_PACKAGE_ID: [400],
  INVALID_OPTION: [400],
  PACKAGE_NOT_FOUND: [404, 'there is no such package'],
  INVALID_PACKAGE: NONSENSE,
  PROTOCOL: NONSENSE,
  LIMIT: TOO_MUCH,
  SOURCE_UNAVAILABLE: BUSY,
  CLOSED: [503, 'the server is shutting down'],
  // The client has nothing to do with the credentials that an upstream wants: a 401 would make it ask for some.
  UNAUTHORIZED: UNTRUSTED,
  FORBIDDEN: FORBIDDEN,
  UNSUPPORTED: UNOFFERED,
};

const PUSHING: Readonly<Partial<Record<NuGetErrorCode, Answer>>> = {
  ...READING,
  INVALID_PACKAGE: [400],
  CONFLICT: [409],
  LIMIT: [413],
  UNAUTHORIZED: REFUSED,
  FORBIDDEN: [403],
  UNSUPPORTED: [403, 'nothing can be pushed to this feed, or deleted from it'],
};

const STORE: Readonly<Partial<Record<StoreErrorCode, Answer>>> = {
  BLOB_TOO_LARGE: [413, 'the package is larger than this server takes'],
  NO_SPACE: [507, 'there is no room for the package'],
  STORE_CLOSED: [503, 'the server is shutting down'],
  TIER_UNAVAILABLE: [503, 'the storage can not be reached now'],
};

/** The answer for anything that a handler may throw: the only place where errors become HTTP statuses. */
export function toHttpError(error: unknown, right: FeedRight): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof FeedUnavailableError) return ofFeed(error);
  if (isNuGetError(error)) {
    return right === 'push'
      ? answerOf(PUSHING[error.code], ownMessage(error) ?? reasonOf(error))
      : answerOf(READING[error.code], ownMessage(error));
  }
  if (isStoreError(error)) return answerOf(STORE[error.code], error.message);
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string };
  if (error instanceof Error && typeof code === 'string' && Object.hasOwn(DENIALS, code)) {
    return DENIALS[code as AccessDenial](message ?? '');
  }
  if (code === 'ENOSPC' || code === 'EDQUOT') return new HttpError(507, 'there is no room for the package');
  return internal();
}

/** Whoever reads it knows whether to wait, or to look at the source: most clients show the sentence and nothing else. */
function ofFeed({ source, cause, retryAfterMs }: FeedUnavailableError): HttpError {
  // Whoever looked at the source then would look in the wrong place.
  if (isStoreError(cause)) return answerOf(STORE[cause.code], undefined);
  // Clients that are told when to try again wait for that, in the middle of a restore. Only a source that asked for
  // patience is worth it: how long one is down nobody knows.
  const wait = retryAfterMs === undefined || isResting(cause) ? {} : retryAfter(retryAfterMs);
  switch (isNuGetError(cause) ? READING[cause.code] : undefined) {
    case NONSENSE:
      return new HttpError(502, `${source} gave no answer that makes sense`, wait);
    case TOO_MUCH:
      return new HttpError(502, `${source} sends more than this server takes`);
    case UNOFFERED:
      // Waiting doesn't help.
      return new HttpError(501, `${source} doesn't offer this`);
    case FORBIDDEN:
      // It may be about the one package, as where a source holds back what is vulnerable.
      return new HttpError(502, reasonOf(cause) ?? `${source} refuses this server`, wait);
    case UNTRUSTED:
      return new HttpError(502, `${source} refuses this server`, wait);
    default:
      return new HttpError(503, `${source} can not be asked now`, wait);
  }
}

function answerOf(answer: Answer | undefined, message: string | undefined): HttpError {
  if (answer === undefined) return internal();
  const [status, sentence = message ?? 'the source of this package refuses it'] = answer;
  return new HttpError(status, sentence, status === 503 ? retryAfter(RESTART_MS) : {});
}

/** Whether the source wasn't asked at all, because it failed before. */
function isResting(error: unknown): boolean {
  for (const cause of causesOf(error)) {
    if ('code' in cause && cause.code === 'CIRCUIT_OPEN') return true;
  }
  return false;
}

/** What another server said may have its address in it; what is said here of what the client sent has not. */
function ownMessage(error: NuGetError): string | undefined {
  return 'source' in error ? undefined : error.message;
}

/** Why a source refuses a package is for who pushes it, or wants it, to know, but for addresses, which may be the source's. */
function reasonOf(error: unknown): string | undefined {
  const { source, reason } = error as Partial<SourceError>;
  return reason && `${source} refuses it: ${reason.replace(ADDRESS, '…')}`;
}

function retryAfter(ms: number): { readonly 'Retry-After': string } {
  const seconds = Math.ceil(ms / 1000);
  return { 'Retry-After': String(Math.min(Math.max(seconds, 1), MAX_RETRY_S)) };
}

function internal(): HttpError {
  return new HttpError(500, 'the server failed; its log says how');
}
