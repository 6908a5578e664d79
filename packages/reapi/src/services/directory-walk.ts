import type { BlobStore, Digest, OperationOptions } from '@granary/blobs';
import { type DirectoryContents, scanDirectory } from '../wire/index.js';
import { ProtocolError } from './protocol-error.js';

/** Directories that are fetched together. */
const BATCH_DIRECTORIES = 64;

export interface WalkLimits {
  /** Most different directories below one root. */
  readonly maxDirectories: number;
  /** Largest encoded directory, in bytes; also about as many as are held at a time. */
  readonly maxDirectoryBytes: number;
}

export interface VisitedDirectory {
  readonly digest: Digest;
  /** The encoded `Directory`; undefined when it is not in the store. */
  readonly bytes: Buffer | undefined;
  readonly named: DirectoryContents;
}

const NOTHING: DirectoryContents = { files: [], directories: [] };

/**
 * Walks a tree of directories level by level, each directory once however many parents it has. The order depends on
 * the content alone, so that a walk can be taken up again.
 *
 * @throws ProtocolError `UNSERVABLE` beyond the limits, `INVALID_REQUEST` when a blob on the way is no directory
 */
export async function* walkDirectories(
  blobs: BlobStore,
  root: Digest,
  limits: WalkLimits,
  options?: OperationOptions,
): AsyncGenerator<VisitedDirectory, void> {
  const seen = new Set([root.toString()]);
  const queue = [root];
  for (let from = 0; from < queue.length; ) {
    const batch = nextBatch(queue, from, limits);
    from += batch.length;
    const contents = await Promise.all(batch.map((digest) => blobs.get(digest, options)));
    for (const [i, digest] of batch.entries()) {
      const bytes = contents[i];
      const named = bytes ? readDirectory(digest, bytes) : NOTHING;
      for (const child of named.directories) {
        const key = child.toString();
        if (seen.has(key)) continue;
        if (seen.size === limits.maxDirectories)
          throw new ProtocolError('UNSERVABLE', `the tree of ${root} has more than ${seen.size} directories`);
        seen.add(key);
        queue.push(child);
      }
      yield { digest, bytes, named };
    }
  }
}

function nextBatch(queue: readonly Digest[], from: number, { maxDirectoryBytes }: WalkLimits): Digest[] {
  const batch: Digest[] = [];
  let bytes = 0;
  for (const digest of queue.slice(from, from + BATCH_DIRECTORIES)) {
    if (digest.size > maxDirectoryBytes)
      throw new ProtocolError('UNSERVABLE', `the directory ${digest} is over the limit of ${maxDirectoryBytes} bytes`);
    bytes += digest.size;
    if (bytes > maxDirectoryBytes && batch.length > 0) break;
    batch.push(digest);
  }
  return batch;
}

function readDirectory(digest: Digest, bytes: Buffer): DirectoryContents {
  try {
    return scanDirectory(bytes, digest.function);
  } catch (cause) {
    throw new ProtocolError('INVALID_REQUEST', `the blob ${digest} is no directory`, { cause });
  }
}
