/** What nearly all URLs in documents look like: parsing one would only give the same again. */
const PLAIN = /^https?:\/\/(?![^/]*xn--)[a-z\d.-]+\.[a-z]+\/(?!\.)(?:[\w~+-]|[./](?!\.))*$/;

/**
 * The URL that a text names, seen from the document that it stands in; undefined when that is none, or neither http
 * nor https: no document makes anybody open files or other things.
 */
export function httpUrl(text: unknown, base: string): string | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  if (PLAIN.test(text)) return text;
  const url = parseUrl(text, base);
  return url?.protocol === 'https:' || url?.protocol === 'http:' ? url.href : undefined;
}

/** Undefined for what is none. `URL.canParse` of Node 20 refuses names with umlauts once it has been compiled. */
export function parseUrl(text: string, base?: string): URL | undefined {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

/** What lies below an endpoint: each segment is encoded, and a query that the endpoint has stays behind the path. */
export function below(endpoint: string, ...segments: readonly string[]): string {
  const url = new URL(endpoint);
  const path = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`;
  url.pathname = path + segments.map(encodeURIComponent).join('/');
  return url.href;
}

/** An endpoint with more of a query. */
export function withQuery(endpoint: string, parameters: Iterable<readonly [name: string, value: string]>): string {
  const url = new URL(endpoint);
  const query = url.search === '' ? [] : [url.search.slice(1)];
  for (const [name, value] of parameters) query.push(`${name}=${encodeURIComponent(value)}`);
  url.search = query.join('&');
  return url.href;
}

/**
 * Some feeds have the key of whoever can't show one otherwise in their paths: MyGet `/F/feed/auth/KEY/api/v3/index.json`, and
 * Cloudsmith, on a host for that, `/TOKEN/owner/repository/nuget/v3/index.json`.
 */
const KEY_IN_PATH = /(?<=\/auth\/)[^/]{16,}/gi;
const CLOUDSMITH = 'dl.cloudsmith.io';
const CLOUDSMITH_TOKEN = /(?<=^\/)(?!(?:public|basic)\/)[^/]+(?=\/)/;

/** A URL as errors and traces show it: queries, and some paths, hold what is nobody's business. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return 'the URL';
  const { origin, hostname, pathname } = new URL(url);
  const key = hostname === CLOUDSMITH ? CLOUDSMITH_TOKEN : KEY_IN_PATH;
  return origin + pathname.replace(key, '[redacted]');
}
