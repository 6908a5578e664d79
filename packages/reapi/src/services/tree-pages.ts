import { type BlobStore, Digest, type OperationOptions } from '@granary/blobs';
import { delimitedSize } from '../wire/wire-writer.js';
import { type WalkLimits, walkDirectories } from './directory-walk.js';
import { invalidRequest, ProtocolError } from './protocol-error.js';

/** Digits of the root's hash in a page token: enough that a token is not taken up under another root by mistake. */
const TOKEN_HASH_DIGITS = 16;

/** Bytes of a page that are not its directories: the token, which has a whole digest in it, and its header. */
const PAGE_OVERHEAD_BYTES = 192;

export interface TreePageLimits extends WalkLimits {
  /** Most bytes of one encoded page. */
  readonly maxPageBytes: number;
  /** Most directories in one page. */
  readonly pageSize: number;
}

export interface TreePage {
  /** Encoded `Directory` messages. */
  readonly directories: readonly Buffer[];
  /** Where the next page begins; empty on the last one. */
  readonly nextPageToken: string;
}

/**
 * All directories below a root and the root itself, first, in pages that fit into one message each. A child that is
 * not in the store is left out with all that only it leads to (REAPI v2, `GetTree`).
 *
 * A token says which directory came last; the walk there is done again, so the server keeps no state between calls.
 * What is evicted or uploaded meanwhile moves none of the others to a page that was there before.
 *
 * @throws ProtocolError `NOT_FOUND` when the root is missing, `INVALID_REQUEST` for a token that is none of ours or whose
 *   directory can't be reached any more, and what {@link walkDirectories} throws
 */
export async function* treePages(
  blobs: BlobStore,
  root: Digest,
  pageToken: string,
  limits: TreePageLimits,
  options?: OperationOptions,
): AsyncGenerator<TreePage, void> {
  let after = parseToken(pageToken, root);
  let last = root;
  let directories: Buffer[] = [];
  let bytes = PAGE_OVERHEAD_BYTES;
  for await (const visited of walkDirectories(blobs, root, limits, options)) {
    const { digest } = visited;
    if (!visited.bytes && digest === root)
      throw new ProtocolError('NOT_FOUND', `the root directory ${root} is not here`);
    if (after) {
      if (digest.equals(after)) after = undefined;
      continue;
    }
    if (!visited.bytes) continue;
    const size = delimitedSize(visited.bytes.length);
    if (directories.length === limits.pageSize || (directories.length > 0 && bytes + size > limits.maxPageBytes)) {
      yield { directories, nextPageToken: tokenFor(root, last) };
      directories = [];
      bytes = PAGE_OVERHEAD_BYTES;
    }
    directories.push(visited.bytes);
    bytes += size;
    last = digest;
  }
  if (after) throw invalidRequest('the directory that the page token names is gone: begin without a token');
  yield { directories, nextPageToken: '' };
}

function tokenFor(root: Digest, last: Digest): string {
  return `${root.hash.slice(0, TOKEN_HASH_DIGITS)}-${last.hash}-${last.size}`;
}

/** The directory that came last; undefined for the first page. */
function parseToken(token: string, root: Digest): Digest | undefined {
  if (token === '') return undefined;
  const [, hash = '', size] = /^[0-9a-f]+-([0-9a-f]+)-(\d{1,15})$/.exec(token) ?? [];
  const last = hash.length === root.hash.length ? Digest.parse(root.function, hash, Number(size)) : undefined;
  if (!last || token !== tokenFor(root, last))
    throw invalidRequest('the page token is none that this server gave out for this root');
  return last;
}
