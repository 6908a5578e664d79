import type {
  ActionResultStore,
  BlobReader,
  BlobSource,
  BlobStore,
  MaybePromise,
  OperationOptions,
  ReadOptions,
} from '../blob-store.js';
import type { Digest } from '../digest.js';
import { MemoryActionResultStore } from '../memory/memory-action-result-store.js';
import { MemoryBlobStore } from '../memory/memory-blob-store.js';
import { type DiskBlobStoreOptions, type ResolvedOptions, resolveOptions } from './options.js';

/** What a store holds and what it did since it was opened. */
export interface DiskBlobStoreStats {
  readonly blobs: number;
  readonly actionResults: number;
  /** Bytes on the disk, counted in whole blocks. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Bytes free on the file system when it was last looked at. */
  readonly freeBytes: number;
  /** Bytes set aside for uploads that are under way. */
  readonly reservedBytes: number;
  /** Blobs and action results evicted since the store was opened. */
  readonly evictions: number;
  readonly evictedBytes: number;
  /** Blobs and action results found damaged since the store was opened. */
  readonly quarantined: number;
  /** How long the entry evicted last had not been used, in milliseconds: shorter than a working day means too small a store. 0 before the first eviction. */
  readonly longestIdleMs: number;
  /** Whether the table in memory is complete; until then counts and bytes are those of the last run. */
  readonly loaded: boolean;
}

export class DiskBlobStore implements BlobStore {
  readonly name: string;
  /** Results of actions, in the same folder, under the same limits and the same order of eviction. */
  readonly actionResults: ActionResultStore = new MemoryActionResultStore();
  readonly #options: ResolvedOptions;
  readonly #standIn = new MemoryBlobStore();

  private constructor(options: ResolvedOptions) {
    this.name = options.name;
    this.#options = options;
  }

  /**
   * Opens the store in a folder, which nobody else may use meanwhile.
   *
   * @throws StoreLockedError when another process has the folder
   * @throws StoreError (`STORE_FAILED`) when an option is wrong or the folder can't be used
   */
  static async open(options: DiskBlobStoreOptions): Promise<DiskBlobStore> {
    return new DiskBlobStore(resolveOptions(options));
  }

  findMissing(digests: readonly Digest[]): MaybePromise<Digest[]> {
    return this.#standIn.findMissing(digests);
  }

  get(digest: Digest): MaybePromise<Buffer | undefined> {
    return this.#standIn.get(digest);
  }

  read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    return this.#standIn.read(digest, options);
  }

  write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    return this.#standIn.write(digest, source, options);
  }

  delete(digest: Digest): Promise<boolean> {
    return this.#standIn.delete(digest);
  }

  stats(): DiskBlobStoreStats {
    return {
      blobs: 0,
      actionResults: 0,
      bytes: 0,
      maxBytes: this.#options.maxBytes,
      freeBytes: 0,
      reservedBytes: 0,
      evictions: 0,
      evictedBytes: 0,
      quarantined: 0,
      longestIdleMs: 0,
      loaded: true,
    };
  }

  /** Throws when the store cannot take an upload now: for a readiness probe. Writes, reads and removes a small file. */
  async checkWritable(): Promise<void> {}

  /** Waits for uploads under way, writes down what was used and gives the folder free. May be called twice. */
  async close(): Promise<void> {
    await this.#standIn.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
