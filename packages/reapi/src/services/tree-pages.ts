import type { BlobStore, Digest, OperationOptions } from '@granary/blobs';
import { delimitedSize } from '../wire/wire-writer.js';
import { type WalkLimits, walkDirectories } from './directory-walk.js';
import { invalidRequest, ProtocolError } from './protocol-error.js';

/** Digits of the root's hash in a page token: enough that a token is not taken up under another root by mistake. */
const TOKEN_HASH_DIGITS = 16;

/** Bytes of a page that are not its directories: the token and its header. */
const PAGE_OVERHEAD_BYTES = 64;

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
 * A token says how many directories came before; the walk there is done again, so the server keeps no state between
 * calls.
 *
 * @throws ProtocolError `NOT_FOUND` when the root is missing, `INVALID_REQUEST` for a token that is none of ours, and
 *   what {@link walkDirectories} throws
 */
export async function* treePages(
  blobs: BlobStore,
  root: Digest,
  pageToken: string,
  limits: TreePageLimits,
  options?: OperationOptions,
): AsyncGenerator<TreePage, void> {
  let skip = parseToken(pageToken, root);
  let delivered = skip;
  let directories: Buffer[] = [];
  let bytes = PAGE_OVERHEAD_BYTES;
  for await (const visited of walkDirectories(blobs, root, limits, options)) {
    if (!visited.bytes) {
      if (visited.digest === root) throw new ProtocolError('NOT_FOUND', `the root directory ${root} is not here`);
      continue;
    }
    if (skip > 0) {
      skip--;
      continue;
    }
    const size = delimitedSize(visited.bytes.length);
    if (directories.length === limits.pageSize || (directories.length > 0 && bytes + size > limits.maxPageBytes)) {
      delivered += directories.length;
      yield { directories, nextPageToken: tokenFor(root, delivered) };
      directories = [];
      bytes = PAGE_OVERHEAD_BYTES;
    }
    directories.push(visited.bytes);
    bytes += size;
  }
  yield { directories, nextPageToken: '' };
}

function tokenFor(root: Digest, delivered: number): string {
  return `${root.hash.slice(0, TOKEN_HASH_DIGITS)}-${delivered}`;
}

function parseToken(token: string, root: Digest): number {
  if (token === '') return 0;
  const delivered = Number(/^[0-9a-f]+-([1-9]\d{0,9})$/.exec(token)?.[1]);
  if (!(delivered > 0) || token !== tokenFor(root, delivered))
    throw invalidRequest('the page token is none that this server gave out for this root');
  return delivered;
}
