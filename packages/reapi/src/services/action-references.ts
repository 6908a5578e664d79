import {
  type BlobStore,
  type Digest,
  type DigestFunction,
  digestFunctionOfKey,
  type OperationOptions,
} from '@granary/blobs';
import { type ActionResultContents, scanActionResult, scanTree } from '../wire/index.js';
import { type WalkLimits, walkDirectories } from './directory-walk.js';

/** The blobs that a result names itself. */
export function blobsOf({ files, directories, stdout, stderr }: ActionResultContents): Digest[] {
  const blobs = [...files];
  for (const { tree, rootDirectory } of directories) {
    if (tree) blobs.push(tree);
    if (rootDirectory) blobs.push(rootDirectory);
  }
  if (stdout) blobs.push(stdout);
  if (stderr) blobs.push(stderr);
  return blobs;
}

/**
 * Every blob that somebody who gets this result may fetch, those in its output directories among them: what has to be
 * somewhere before the result is. A value that is no action result names nothing; what is missing on the way, or is no
 * directory, ends that way.
 *
 * @param key the result's key, whose beginning says the digest function
 * @throws ProtocolError when an output directory is over the limits
 */
export async function referencesOf(
  key: string,
  value: Buffer,
  blobs: BlobStore,
  limits: WalkLimits,
  options?: OperationOptions,
): Promise<Digest[]> {
  const named = contentsOf(key, value);
  if (!named) return [];
  const found = blobsOf(named);
  for (const { tree, rootDirectory } of named.directories) {
    if (tree && tree.size <= limits.maxDirectoryBytes) {
      const bytes = await blobs.get(tree, options);
      if (bytes) for (const file of filesOf(bytes, tree.function)) found.push(file);
    }
    if (rootDirectory) {
      for await (const { digest, named: inside } of walkDirectories(blobs, rootDirectory, limits, options)) {
        found.push(digest);
        for (const file of inside.files) found.push(file);
      }
    }
  }
  const unique = new Map(found.map((digest) => [`${digest.function}/${digest}`, digest]));
  // Everybody has the empty blob.
  return [...unique.values()].filter(({ size }) => size > 0);
}

function contentsOf(key: string, value: Buffer): ActionResultContents | undefined {
  try {
    return scanActionResult(value, digestFunctionOfKey(key));
  } catch {
    return undefined;
  }
}

function filesOf(tree: Buffer, fn: DigestFunction): readonly Digest[] {
  try {
    return scanTree(tree, fn).files;
  } catch {
    return [];
  }
}
