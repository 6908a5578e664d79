export type OtlpProtocol = 'grpc' | 'http';

/** What an endpoint may be, for error messages. */
export const OTLP_ENDPOINT_ALLOWED =
  'HOST:PORT or http://HOST:PORT for plain text, https://HOST:PORT for TLS, without credentials; or empty';

/** Why an endpoint is refused whose port gRPC would not call, for error messages. */
export const PORT_UNKNOWN_TO_GRPC =
  'has no port, or 80, which gRPC without TLS does not call; name another, such as 4317, or use the protocol http';

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const PORTED_HOST = /^(?:\[[0-9a-f:.]+\]|[^\s:/?#@[\]]+):\d{1,5}$/i;
const SIGNAL_PATH = '/v1/traces';

/**
 * The collector's URL, from `HOST:PORT` (plain text), `http://…` or `https://…`. Undefined for anything else, and for one
 * with credentials, a query or a fragment: headers are where credentials belong.
 */
export function parseOtlpEndpoint(text: string): URL | undefined {
  const endpoint = text.trim();
  if (!SCHEME.test(endpoint) && !PORTED_HOST.test(endpoint)) return undefined;
  const url = urlOf(SCHEME.test(endpoint) ? endpoint : `http://${endpoint}`);
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  return url.username || url.password || url.search || url.hash ? undefined : url;
}

/**
 * Whether gRPC reaches the endpoint's port. A URL doesn't say the port of its scheme (`http://collector:80` has none), and
 * gRPC calls 443 where there is none, plain text or not.
 */
export function isPortKnownToGrpc({ protocol, port }: URL): boolean {
  return protocol === 'https:' || port !== '';
}

/** Where spans are sent to by HTTP: an endpoint names the collector, and its signals are at known paths. */
export function tracesUrl(endpoint: URL): string {
  const path = endpoint.pathname.replace(/\/+$/, '');
  return `${endpoint.origin}${path.endsWith(SIGNAL_PATH) ? path : `${path}${SIGNAL_PATH}`}`;
}

function urlOf(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
