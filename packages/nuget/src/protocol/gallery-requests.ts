import type { Readable } from 'node:stream';
import { NuGetError, type NuGetErrorCode, SourceError } from '../errors.js';
import type { Feed, SendRequest } from './feed.js';
import type { PushOptions } from './provider.js';

const VISIBLE = /^[\x21-\x7e]+(?: +[\x21-\x7e]+)*$/;
const DEFAULT_TIMEOUT_MS = 5 * 60_000;
/** What gallery software asks of whoever pushes: clients of older protocols are refused. */
const PROTOCOL_VERSION = '4.1.0';

/** What the statuses of refusals mean, and how a sentence about them ends. */
const REFUSALS = {
  400: ['INVALID_PACKAGE', 'it is no valid package there'],
  401: ['UNAUTHORIZED', 'it wants an API key or other credentials'],
  402: ['FORBIDDEN', 'whoever pays for it has no room left there'],
  403: ['FORBIDDEN', 'the API key or the credentials are wrong, have expired, or may not do this'],
  404: ['UNSUPPORTED', 'there is nothing at its URL for packages'],
  405: ['UNSUPPORTED', 'its URL for packages takes none'],
  409: ['CONFLICT', 'this id and version is there already'],
  413: ['LIMIT', 'the package is too large'],
  422: ['INVALID_PACKAGE', 'it is no valid package there'],
} as const satisfies Readonly<Record<number, readonly [code: NuGetErrorCode, why: string]>>;

/** A change to what a source has, which is made the same way in every protocol. */
export interface GalleryRequest {
  readonly method: SendRequest['method'];
  readonly url: string;
  /** What is to be done, for errors: `push a.nupkg`. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: (() => Readable) | undefined;
}

/**
 * Asks a source to change something, in the name of whoever has the API key.
 *
 * @returns the status: 2xx, or 404 or 405, which mean something else for each request
 * @throws NuGetError `INVALID_OPTION` for an API key that no header can hold
 * @throws SourceError as the status says: `INVALID_PACKAGE`, `UNAUTHORIZED`, `FORBIDDEN`, `CONFLICT`, `LIMIT`, with the
 *   reason that the source gives
 */
export async function sendToGallery(feed: Feed, request: GalleryRequest, options: PushOptions): Promise<number> {
  const { apiKey, symbols: _, timeoutMs = DEFAULT_TIMEOUT_MS, ...call } = options;
  const { method, url, what, body } = request;
  const headers: Record<string, string> = { ...request.headers, 'x-nuget-protocol-version': PROTOCOL_VERSION };
  if (apiKey !== undefined && apiKey !== '') headers['x-nuget-apikey'] = checkApiKey(apiKey);
  try {
    return await feed.send(url, { ...call, method, headers, body, timeoutMs });
  } catch (error) {
    if (!(error instanceof SourceError) || error.statusCode === undefined) throw error;
    if (error.statusCode === 405) return 405;
    throw isRefusal(error.statusCode) ? refusal(feed.name, error.statusCode, what, error) : error;
  }
}

/** Files and variables that hold keys like to end in a line break. */
function checkApiKey(key: string): string {
  if (VISIBLE.test(key)) return key;
  throw new NuGetError(
    'INVALID_OPTION',
    'an API key has visible ASCII characters only; this one has others, such as the end of a line',
  );
}

/** The error for a status with which a source refuses to do something. */
export function refusal(source: string, status: keyof typeof REFUSALS, what: string, cause?: SourceError): SourceError {
  const [code, why] = REFUSALS[status];
  // What the source itself says of it is in the cause's message, behind the source's name.
  const said = cause === undefined ? '' : ` (${cause.message.slice(cause.source.length + 2)})`;
  const details = { statusCode: status, reason: cause?.reason, cause };
  return new SourceError(code, source, `can't ${what}: ${why}${said}`, details);
}

function isRefusal(status: number): status is keyof typeof REFUSALS {
  return Object.hasOwn(REFUSALS, status);
}
