import type { BlobStore, Digest, MaybePromise, OperationOptions } from '@granary/blobs';
import type { Logger } from '@granary/telemetry';
import { type ActionResultContents, scanTree } from '../wire/index.js';
import { blobsOf } from './action-references.js';
import { walkDirectories } from './directory-walk.js';
import { isPending } from './pending.js';
import { isProtocolError } from './protocol-error.js';

/** Digests in one question to the store, so that a huge tree does not hold up everyone else. */
const FIND_BATCH = 4096;

export interface CompletenessOptions {
  readonly blobs: BlobStore;
  /** Largest `Tree` of an output directory that is looked into, in bytes; a result with a larger one is not complete. */
  readonly maxTreeBytes: number;
  /** Most directories below an output directory's root. */
  readonly maxTreeDirectories: number;
  readonly logger: Logger;
}

/**
 * Asks the store for all that action results name: outputs, stdout, stderr, the trees of output directories and the files
 * in them. That counts as a use of each.
 */
export class Completeness {
  readonly #options: CompletenessOptions;

  constructor(options: CompletenessOptions) {
    this.#options = options;
  }

  /** Whether all that a result names is here; answers at once when the store does and there are no directories. */
  isComplete(named: ActionResultContents, options: OperationOptions | undefined): MaybePromise<boolean> {
    const blobs = blobsOf(named);
    if (named.directories.length > 0 || blobs.length > FIND_BATCH)
      return this.#presentWithDirectories(blobs, named.directories, options);
    if (blobs.length === 0) return true;
    const missing = this.#options.blobs.findMissing(blobs, options);
    return isPending(missing) ? missing.then((found) => found.length === 0) : missing.length === 0;
  }

  async #presentWithDirectories(
    blobs: readonly Digest[],
    directories: ActionResultContents['directories'],
    options: OperationOptions | undefined,
  ): Promise<boolean> {
    if (!(await this.#allPresent(blobs, options))) return false;
    for (const { tree, rootDirectory } of directories) {
      if (tree && !(await this.#treePresent(tree, options))) return false;
      if (rootDirectory && !(await this.#directoriesPresent(rootDirectory, options))) return false;
    }
    return true;
  }

  /** Whether a tree's files are here; its directories lie in the tree itself, and nobody needs them as blobs. */
  async #treePresent(tree: Digest, options: OperationOptions | undefined): Promise<boolean> {
    if (tree.size > this.#options.maxTreeBytes) {
      this.#options.logger.warning(
        'The tree {Tree} is over the limit of {Limit} bytes',
        tree.toString(),
        this.#options.maxTreeBytes,
      );
      return false;
    }
    const bytes = await this.#options.blobs.get(tree, options);
    if (!bytes) return false;
    let files: readonly Digest[];
    try {
      files = scanTree(bytes, tree.function).files;
    } catch (error) {
      this.#options.logger.debug('The blob {Tree} is no tree', tree.toString(), error);
      return false;
    }
    return this.#allPresent(files, options);
  }

  async #directoriesPresent(root: Digest, options: OperationOptions | undefined): Promise<boolean> {
    const limits = { maxDirectories: this.#options.maxTreeDirectories, maxDirectoryBytes: this.#options.maxTreeBytes };
    try {
      for await (const { bytes, named } of walkDirectories(this.#options.blobs, root, limits, options))
        if (!bytes || !(await this.#allPresent(named.files, options))) return false;
      return true;
    } catch (error) {
      if (!isProtocolError(error)) throw error;
      this.#options.logger.debug('The output directory {Root} can not be followed', root.toString(), error);
      return false;
    }
  }

  async #allPresent(digests: readonly Digest[], options: OperationOptions | undefined): Promise<boolean> {
    for (let from = 0; from < digests.length; from += FIND_BATCH) {
      const missing = await this.#options.blobs.findMissing(digests.slice(from, from + FIND_BATCH), options);
      if (missing.length > 0) return false;
    }
    return true;
  }
}
