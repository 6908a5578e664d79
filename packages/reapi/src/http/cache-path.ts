import { type Digest, type DigestFunction, HASH_BYTES, inferDigestFunction } from '@granary/blobs';
import { checkInstanceName } from '../resource-name.js';
import { HttpError } from './http-error.js';

/** What a path of the cache protocol names. */
export type CachePath =
  | { readonly kind: 'cas' | 'ac'; readonly instance: string; readonly fn: DigestFunction; readonly hash: Buffer }
  | { readonly kind: 'status' };

const HEX = /^[0-9a-f]+$/;
const LONGEST_PATH = 8192;

/**
 * Parses `/[INSTANCE/]cas/HASH`, `/[INSTANCE/]ac/HASH` and `/status`.
 *
 * @param digestFunctions those that are on, for hashes whose length is that of several
 * @throws HttpError 404 for any other path, 400 for a malformed hash or instance name
 */
export function parseCachePath(url: string, digestFunctions: readonly DigestFunction[]): CachePath {
  const path = pathOf(url);
  if (path === '/status') return { kind: 'status' };
  if (path.length > LONGEST_PATH) throw new HttpError(414, 'the path is too long');
  const last = path.lastIndexOf('/');
  const kindAt = path.lastIndexOf('/', last - 1);
  const kind = path.slice(kindAt + 1, last);
  if (last <= 0 || (kind !== 'cas' && kind !== 'ac')) {
    throw new HttpError(404, 'the cache is at /cas/HASH and /ac/HASH, with any prefix');
  }
  const instance = instanceName(path.slice(1, Math.max(1, kindAt)));
  return { kind, instance, ...parseHash(path.slice(last + 1), digestFunctions) };
}

/** A percent escape of a character that means the same with and without one (RFC 3986, section 6.2.2.2). */
const NEEDLESS_ESCAPE = /%(?:2[de]|3\d|[46][1-9a-f]|[57][\da]|5f|7e)/gi;

/** The path of a URL without its query, in the form that all equivalent ones have. */
function pathOf(url: string): string {
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  return path.includes('%') ? path.replace(NEEDLESS_ESCAPE, decodeURIComponent) : path;
}

function parseHash(
  hex: string,
  digestFunctions: readonly DigestFunction[],
): { readonly fn: DigestFunction; readonly hash: Buffer } {
  const fn = functionOf(hex.length, digestFunctions);
  if (!fn || !HEX.test(hex)) {
    const digits = [...new Set(Object.values(HASH_BYTES))].map((bytes) => bytes * 2).join(', ');
    throw new HttpError(400, `a hash has the digits 0-9 and a-f, in lower case, and ${digits} of them`);
  }
  return { fn, hash: Buffer.from(hex, 'hex') };
}

/** What the protocol takes a hash of that length for; where that is off, another one with that length which is on. */
function functionOf(hexLength: number, digestFunctions: readonly DigestFunction[]): DigestFunction | undefined {
  const inferred = inferDigestFunction(hexLength);
  if (!inferred || digestFunctions.includes(inferred)) return inferred;
  return digestFunctions.find((fn) => HASH_BYTES[fn] * 2 === hexLength) ?? inferred;
}

/** The decoded prefix of the path. Empty segments mean nothing. */
function instanceName(prefix: string): string {
  if (prefix === '') return '';
  let name: string;
  try {
    name = prefix.split('/').filter(Boolean).map(decodeURIComponent).join('/');
  } catch {
    throw new HttpError(400, 'the path has a malformed percent escape');
  }
  checkInstanceName(name);
  return name;
}

/** What a path is like, for names of which there must be few; undefined for what is none of the cache's paths. */
export function routeOf(url: string): string | undefined {
  const path = pathOf(url);
  if (path === '/status') return path;
  const kind = path.slice(0, Math.max(0, path.lastIndexOf('/')));
  if (kind.endsWith('/cas')) return '/cas/{hash}';
  return kind.endsWith('/ac') ? '/ac/{hash}' : undefined;
}

/** For the access log: what was asked for. */
export function subjectOf(path: CachePath, digest?: Digest): string {
  if (path.kind === 'status') return 'status';
  const prefix = path.instance && `${path.instance}/`;
  return digest ? `${prefix}${path.kind}/${digest}` : `${prefix}${path.kind}/${path.hash.toString('hex')}`;
}
