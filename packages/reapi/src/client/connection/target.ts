/** Ports that are tried where a target names none: Granary's own (and bazel-remote's), and that of HTTPS. */
const DEFAULT_PORT = { plain: 9092, tls: 443 } as const;

const SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i;
const UNIX = 'unix:';

/** Where a peer is, and whether the way there is encrypted. */
export interface GrpcTarget {
  /** As grpc-js takes it: `dns:HOST:PORT` or `unix:PATH`. */
  readonly address: string;
  readonly tls: boolean;
  /** For people: `grpcs://cache.example.com:443`. */
  readonly display: string;
}

/**
 * Parses `grpc://HOST[:PORT]`, `grpcs://HOST[:PORT]`, `HOST[:PORT]` (plaintext) or `unix:PATH`. Ports that are left out are
 * 9092, and 443 for `grpcs`.
 *
 * @throws RangeError that says what is wrong, without the credentials that may stand in the target
 */
export function parseTarget(target: string): GrpcTarget {
  if (target.startsWith(UNIX)) return unixTarget(target);
  const scheme = SCHEME.exec(target)?.[1]?.toLowerCase() ?? 'grpc';
  if (scheme !== 'grpc' && scheme !== 'grpcs')
    throw new RangeError(`target has the scheme "${scheme}"; use grpc://, grpcs://, HOST:PORT or unix:PATH`);
  const url = parseUrl(target.replace(SCHEME, ''));
  if (url.username !== '' || url.password !== '' || target.includes('@'))
    throw new RangeError('target has credentials in it; use token, tokenFile or headers instead');
  if ((url.pathname !== '/' && url.pathname !== '') || url.search !== '' || url.hash !== '')
    throw new RangeError(`target "${url.host}…" has a path behind the host; the instance goes into instanceName`);
  const tls = scheme === 'grpcs';
  const port = url.port === '' ? String(tls ? DEFAULT_PORT.tls : DEFAULT_PORT.plain) : url.port;
  if (port === '0') throw new RangeError(`target "${url.host}" has the port 0`);
  const host = `${url.hostname}:${port}`;
  return { address: `dns:${host}`, tls, display: `${scheme}://${host}` };
}

/** With a scheme that has no default port of its own, so that none is taken for left out. */
function parseUrl(authority: string): URL {
  try {
    const url = new URL(`granary://${authority}`);
    if (url.hostname !== '') return url;
  } catch {
    // What it says would quote the target, which may hold a password.
  }
  throw new RangeError('target is no address of the form grpc://HOST:PORT, grpcs://HOST:PORT, HOST:PORT or unix:PATH');
}

function unixTarget(target: string): GrpcTarget {
  const path = target.slice(UNIX.length).replace(/^\/\/(?=\/)/, '');
  if (path === '' || path.startsWith('//') || path.includes('\0'))
    throw new RangeError('target has no path behind "unix:"; a relative one is unix:PATH, an absolute one unix:/PATH');
  return { address: `${UNIX}${path}`, tls: false, display: `${UNIX}${path}` };
}
