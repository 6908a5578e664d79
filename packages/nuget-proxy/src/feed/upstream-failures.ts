import { isStoreError } from '@granary/blobs';
import { isTimeout } from '@granary/cache';
import { isNuGetError, NuGetError, type NuGetErrorCode, type SourceError } from '@granary/nuget';
import { FeedUnavailableError } from '../errors.js';

/** Causes that are looked through: an error of the source, of the HTTP client, and of one of its policies. */
const MAX_CAUSES = 8;

/** Why a source isn't asked. */
export const OFFLINE = 'this server is offline';
export const SILENT = 'it said nothing in time';

/** Whatever asking a source ended with, as the one error that says that the feed can't tell. */
export function unavailable(source: string, error: unknown): FeedUnavailableError {
  if (error instanceof FeedUnavailableError) return error;
  const said = error instanceof Error ? error.message : String(error);
  // Errors of sources begin with the source's name.
  const message = said.startsWith(`${source}: `) ? said.slice(source.length + 2) : said;
  return new FeedUnavailableError(source, message, { cause: error, retryAfterMs: retryAfterMsOf(error) });
}

/** When to try again, as whoever refused said it. */
export function retryAfterMsOf(error: unknown): number | undefined {
  for (const cause of causesOf(error)) {
    if ('retryAfterMs' in cause && typeof cause.retryAfterMs === 'number' && cause.retryAfterMs >= 0) {
      return cause.retryAfterMs;
    }
  }
  return undefined;
}

/** Whether the source said nothing for as long as anybody waits for it. */
export function isSilence(error: unknown): boolean {
  for (const cause of causesOf(error)) {
    if (isTimeout(cause)) return true;
  }
  return false;
}

/** Whether the source was not asked because it failed before. */
export function isLeftAlone(error: unknown): boolean {
  for (const cause of causesOf(error)) {
    if ('code' in cause && cause.code === 'CIRCUIT_OPEN') return true;
  }
  return false;
}

/** Whether the source was not asked because somebody else is finding out at the moment whether it is there again. */
export function isBeingProbed(error: unknown): boolean {
  for (const cause of causesOf(error)) {
    if ('code' in cause && cause.code === 'CIRCUIT_OPEN' && 'retryAfterMs' in cause) return cause.retryAfterMs === 0;
  }
  return false;
}

const USELESS: ReadonlySet<NuGetErrorCode> = new Set([
  'UNAUTHORIZED',
  'FORBIDDEN',
  'PROTOCOL',
  'INVALID_PACKAGE',
  // Of an answer: a question that is too long has no source.
  'LIMIT',
  // Credentials that no request can have.
  'INVALID_OPTION',
]);

/** Whether the source did answer, and the operator of this server has to know why that is of no use. */
export function isUseless(error: unknown): error is NuGetError {
  return isNuGetError(error) && USELESS.has(error.code) && ('source' in error || error.code === 'INVALID_OPTION');
}

/** By which a source says of itself that it has no such service, as another Granary does. */
export const NOT_IMPLEMENTED = 501;

/**
 * Whether the source has no such service, as it says of itself: not that it refused this one request, which it may answer
 * another time.
 */
export function isUnoffered(error: unknown): boolean {
  const cause = error instanceof FeedUnavailableError ? error.cause : error;
  if (!isNuGetError(cause) || cause.code !== 'UNSUPPORTED') return false;
  const { statusCode } = cause as Partial<SourceError>;
  return statusCode === undefined || statusCode === NOT_IMPLEMENTED;
}

/** Whether the source refuses what it was asked for to this server. */
export function isRefused(error: unknown): boolean {
  const cause = error instanceof FeedUnavailableError ? error.cause : error;
  return isNuGetError(cause) && cause.code === 'FORBIDDEN';
}

/** Whether this server has no room for what the source gave, or takes nothing that long: it may well be there. */
export function isTooMuch(error: unknown): boolean {
  return isStoreError(error) || (isNuGetError(error) && error.code === 'LIMIT');
}

/** Whether the source itself couldn't answer, which says something about its other answers, too. */
export function isOutage(error: unknown): boolean {
  return !isNuGetError(error) || error.code === 'SOURCE_UNAVAILABLE';
}

/** What a push, delete or relist that upstream refused or couldn't take ends with here. */
export function refusal(source: string, error: unknown): unknown {
  if (!isNuGetError(error)) return error;
  switch (error.code) {
    case 'SOURCE_UNAVAILABLE':
    case 'PROTOCOL':
    case 'CLOSED':
      return unavailable(source, error);
    // This server knows its client; it is the source that doesn't know the key.
    case 'UNAUTHORIZED':
      return new NuGetError('FORBIDDEN', `${source} wants other credentials or another API key`, { cause: error });
    default:
      return error;
  }
}

/** The error, and what it was caused by. */
export function* causesOf(error: unknown): Generator<object> {
  let cause = error;
  for (let i = 0; i < MAX_CAUSES && typeof cause === 'object' && cause !== null; i++) {
    yield cause;
    cause = (cause as { readonly cause?: unknown }).cause;
  }
}
