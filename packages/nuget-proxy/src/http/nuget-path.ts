import { HttpError } from './http-error.js';

/** What a request's path says, decoded once. */
export interface NuGetPath {
  /** Undefined for all sources as one. */
  readonly source: string | undefined;
  readonly protocol: 'v2' | 'v3';
  /** Whether protocol 2 is asked within the folder of protocol 3, where its service index offers it. */
  readonly inV3: boolean;
  /** What comes after the protocol, without empty ones. */
  readonly segments: readonly string[];
}

const MAX_PATH = 2048;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
const UNSAFE = /[\u0000-\u001f\u007f/\\]|^\.\.?$/;

/** Has nothing to decode, and nothing that is unsafe: no dot begins a part. */
const PLAIN = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)*$/;

/** The path of a request's target, without its query; of a whole URL, as proxies are asked, what comes after its host. */
export function pathOf(target: string): string {
  const path = target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '');
  const query = path.indexOf('?');
  return query < 0 ? path : path.slice(0, query);
}

/**
 * The feed, the protocol and the rest. Names are data: each is decoded once, and none can lead to another folder.
 *
 * @param prefix with a slash before it and none at its end
 * @throws HttpError 400 for what can't be decoded or has characters that no name has, 404 for what lies elsewhere, 414
 */
export function parseNuGetPath(path: string, prefix: string): NuGetPath {
  if (path.length > MAX_PATH) throw new HttpError(414, `a path has at most ${MAX_PATH} characters`);
  if (!path.startsWith(prefix) || path[prefix.length] !== '/') throw nothing();
  const names = path.slice(prefix.length + 1).split('/');
  const isPlain = PLAIN.test(path) && !names.includes('');
  const parts: string[] = isPlain ? names : names.filter((name) => name !== '').map(decoded);
  const [first, second] = parts;
  const own = protocolOf(first);
  if (own !== undefined) return pathIn(undefined, own, parts.slice(1));
  const protocol = protocolOf(second);
  if (protocol === undefined) throw nothing();
  return pathIn(first, protocol, parts.slice(2));
}

function pathIn(source: string | undefined, protocol: 'v2' | 'v3', segments: readonly string[]): NuGetPath {
  if (protocol === 'v3' && protocolOf(segments[0]) === 'v2') {
    return { source, protocol: 'v2', inV3: true, segments: segments.slice(1) };
  }
  return { source, protocol, inV3: false, segments };
}

function protocolOf(segment: string | undefined): 'v2' | 'v3' | undefined {
  return segment === 'v2' || segment === 'v3' ? segment : undefined;
}

function decoded(segment: string): string {
  let text = segment;
  if (segment.includes('%')) {
    try {
      text = decodeURIComponent(segment);
    } catch {
      throw new HttpError(400, 'the path is not encoded as UTF-8');
    }
  }
  if (UNSAFE.test(text)) throw new HttpError(400, 'the path has a part that is no name');
  return text;
}

function nothing(): HttpError {
  return new HttpError(404, 'there is nothing here; feeds are at v3/index.json and v2/');
}
