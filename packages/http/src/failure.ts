import { HttpError, type HttpErrorCode, type HttpErrorDetails, isHttpError } from './http-error.js';
import { ProxyError } from './proxy-error.js';

interface Kind {
  readonly code: HttpErrorCode;
  readonly what: string;
}

const FAILED: Kind = { code: 'FAILED', what: 'the request failed' };
const NETWORK: Kind = { code: 'NETWORK', what: 'the connection failed' };
const CERTIFICATE: Kind = { code: 'CERTIFICATE', what: "the server's certificate is not trusted" };
const INVALID: Kind = { code: 'INVALID_REQUEST', what: 'the request is not valid' };
const CLOSED: Kind = { code: 'CLOSED', what: 'the client is closed' };

/** By the codes of undici's errors, and of the policies'. */
const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ['UND_ERR_CONNECT_TIMEOUT', { code: 'TIMEOUT', what: 'no connection in time' }],
  ['UND_ERR_HEADERS_TIMEOUT', { code: 'TIMEOUT', what: 'no response headers in time' }],
  ['UND_ERR_BODY_TIMEOUT', { code: 'TIMEOUT', what: 'the response body stalled' }],
  ['UND_ERR_HEADERS_OVERFLOW', { code: 'HEADERS_TOO_LARGE', what: 'the response headers are too large' }],
  ['UND_ERR_SOCKET', { code: 'NETWORK', what: 'the server closed the connection' }],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', { code: 'NETWORK', what: 'the response body is cut off' }],
  // undici's agent for proxies: what it calls aborted was ended by no caller, but refused by the proxy.
  ['UND_ERR_ABORTED', NETWORK],
  ['UND_ERR_INFO', NETWORK],
  ['UND_ERR_PRX_TLS', CERTIFICATE],
  ['ERR_TLS_CERT_ALTNAME_INVALID', CERTIFICATE],
  ['UND_ERR_INVALID_ARG', INVALID],
  ['INVALID_OPTION', INVALID],
  ['UND_ERR_NOT_SUPPORTED', INVALID],
  ['UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', INVALID],
  ['UND_ERR_CLOSED', CLOSED],
  ['UND_ERR_DESTROYED', CLOSED],
  ['ADDRESS_REFUSED', { code: 'ADDRESS_REFUSED', what: 'the client may not talk to its address' }],
  ['CIRCUIT_OPEN', { code: 'CIRCUIT_OPEN', what: 'the circuit of the host is open' }],
  ['RATE_LIMIT_EXCEEDED', { code: 'RATE_LIMITED', what: 'the rate limit is exceeded' }],
  ['QUEUE_FULL', { code: 'QUEUE_FULL', what: 'too many calls wait already' }],
  ['TIMEOUT', { code: 'TIMEOUT', what: 'no complete answer in time' }],
]);

const NETWORK_CODE =
  /^(ECONN|ENET|EHOST|EADDR|EAI_|ENOTFOUND|EPIPE|ETIMEDOUT|EPROTO|EDNS|ENODATA|ESERVFAIL|HPE_|ERR_HTTP2_|ERR_SSL_|ERR_TLS_|ERR_STREAM_PREMATURE)/;
const CERTIFICATE_CODE = /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET)/;

function kindOf(error: unknown): Kind {
  if (error instanceof ProxyError) return { code: error.code, what: error.message };
  // The one error of undici whose code can be missing.
  if (error instanceof Error && error.name === 'HTTPParserError') return NETWORK;
  if (typeof error !== 'object' || error === null || !('code' in error) || typeof error.code !== 'string')
    return FAILED;
  const known = KINDS.get(error.code);
  if (known !== undefined) return known;
  if (NETWORK_CODE.test(error.code)) return NETWORK;
  return CERTIFICATE_CODE.test(error.code) ? CERTIFICATE : FAILED;
}

/** The code that an error of undici, of a policy or of Node has as an {@link HttpError}. */
export const failureCode = (error: unknown): HttpErrorCode => (isHttpError(error) ? error.code : kindOf(error).code);

const UNREACHABLE_CODE = /^(UND_ERR_CONNECT_TIMEOUT|ECONNREFUSED|EHOST|ENET|ENOTFOUND|EAI_)/;

/** Whether there was no connection to be had, so that waiting for the next one would be in vain, too. */
export function isUnreachable(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return typeof code === 'string' && UNREACHABLE_CODE.test(code);
}

/** Whether there was an answer to that at once: a host that is gone, and one that starts again, cost no time. */
export function isRefusal(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code === 'ECONNREFUSED' || code === 'ENETUNREACH';
}

/** Anything thrown, as the one error that callers see; details that an HttpError lacks are added. */
export function toHttpError(error: unknown, details: HttpErrorDetails): HttpError {
  if (isHttpError(error)) return error;
  const { code, what } = kindOf(error);
  const { host, method, statusCode, attempts } = details;
  return new HttpError(code, what, { host, method, statusCode, attempts, cause: error });
}

/** Whether the host is to blame: it could not be reached, broke off, was too slow, or is not who it claims to be. */
export const isHostFailure = (code: HttpErrorCode): boolean =>
  code === 'NETWORK' || code === 'TIMEOUT' || code === 'CERTIFICATE';
