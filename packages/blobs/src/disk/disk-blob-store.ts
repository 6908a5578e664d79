import { type FolderLock, makeFolder } from '@granary/cache/folders';
import { createDatabase } from '@granary/cache/lmdb';
import type {
  ActionResultStore,
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  MaybePromise,
  OperationOptions,
  ReadOptions,
  SizeLookup,
  WholeFile,
  WriteOptions,
} from '../blob-store.js';
import { BufferReader, readRange } from '../buffer-reader.js';
import { readInSpan } from '../decorators/traced-reader.js';
import { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';
import { StoreClosedError } from '../errors.js';
import { BlobValues } from './blob-values.js';
import { DiskActionResultStore } from './disk-action-result-store.js';
import { EntryStore } from './entry-store.js';
import { orFail } from './failure.js';
import { BlobFiles } from './files/blob-files.js';
import type { FileSystem } from './files/file-system.js';
import { StoreDirectory } from './files/store-directory.js';
import { lockStore } from './files/store-lock.js';
import { UnsyncedMarker } from './files/unsynced-marker.js';
import { Housekeeping } from './housekeeping.js';
import { IN_FILE } from './index/blob-index.js';
import { Catalog } from './index/catalog.js';
import { blobKey, type EntryKey, functionOf, keyBytes, kindOf } from './index/entry-key.js';
import { IndexDatabase } from './index/index-database.js';
import { type DiskBlobStoreOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { Janitor } from './space/janitor.js';
import { SpaceLedger } from './space/space-ledger.js';
import { PROBE_BYTES, probeWriting } from './write-probe.js';

/** A file that takes more than its part of a store of so many is looked at when the index is read. */
const MOST_LARGE_FILES = 64;
const NO_BYTES = Buffer.alloc(0);

/** What a store holds and what it did since it was opened. */
export interface DiskBlobStoreStats {
  readonly blobs: number;
  readonly actionResults: number;
  /** Bytes on the disk, counted in whole blocks. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Bytes free on the file system when it was last looked at. */
  readonly freeBytes: number;
  /** Bytes set aside for uploads that are under way and for files that are being removed. */
  readonly reservedBytes: number;
  /** Blobs and action results evicted since the store was opened. */
  readonly evictions: number;
  readonly evictedBytes: number;
  /** Blobs and action results found damaged since the store was opened. */
  readonly quarantined: number;
  /**
   * How long the entry that was evicted last had not been used, in milliseconds; 0 before the first eviction. Shorter
   * than a working day means that the store is too small.
   */
  readonly longestIdleMs: number;
  /** Whether the table in memory is complete; until then counts and bytes are those of the last run. */
  readonly loaded: boolean;
}

/**
 * Content on a local disk: the embedded default. Small blobs, action results and the index are in LMDB, large blobs
 * are files; what is there is answered from a table in memory. The package's README shows the folder and what each
 * durability means.
 */
export class DiskBlobStore implements BlobStore, SizeLookup {
  readonly name: string;
  /** Results of actions, in the same folder, under the same limits and the same order of eviction. */
  readonly actionResults: ActionResultStore;
  readonly #options: ResolvedOptions;
  readonly #entries: EntryStore;
  readonly #catalog: Catalog;
  readonly #values: BlobValues;
  readonly #files: BlobFiles;
  readonly #janitor: Janitor;
  readonly #housekeeping: Housekeeping;
  readonly #lock: FolderLock;
  readonly #marker: UnsyncedMarker;
  readonly #writes = new Set<Promise<void>>();
  #closing: Promise<void> | undefined;

  private constructor(
    options: ResolvedOptions,
    directory: StoreDirectory,
    database: IndexDatabase,
    lock: FolderLock,
    marker: UnsyncedMarker,
  ) {
    const ledger = new SpaceLedger({
      maxBytes: options.maxBytes,
      minFreeBytes: options.minFreeBytes,
      waitMs: options.spaceWaitMs,
      onPressure: () => this.#janitor.wake(),
    });
    this.name = options.name;
    this.#options = options;
    this.#lock = lock;
    this.#marker = marker;
    this.#catalog = new Catalog(database, ledger, options.clock, options.pins, {
      fromBytes: options.maxBytes / MOST_LARGE_FILES,
      sizeOf: (key) => sizeOfFile(key, directory, options.fileSystem),
    });
    this.#entries = new EntryStore(this.#catalog, ledger, directory, options);
    this.#values = new BlobValues(this.#entries);
    this.#files = new BlobFiles(this.#entries, options);
    this.actionResults = new DiskActionResultStore(this.#entries, options, () => this.#closing !== undefined);
    this.#janitor = new Janitor({
      catalog: this.#catalog,
      ledger,
      minAgeMs: options.minAgeMs,
      logger: options.logger,
      tracer: options.tracer,
      tier: options.name,
      onEvicted: options.onEvicted,
      freeBytes: () => options.fileSystem.freeBytes(directory.path),
      evict: (entry, key) => this.#entries.remove(key, entry.lastUse),
    });
    this.#housekeeping = new Housekeeping(this.#entries, this.#janitor, (digest) => this.#look(digest), options);
  }

  /**
   * Opens the store in a folder, which nobody else may use meanwhile. It serves at once; the table in memory is
   * filled in the background.
   *
   * @throws StoreLockedError when another process has the folder
   * @throws StoreError (`STORE_FAILED`) when an option is wrong or the folder can't be used
   */
  static async open(options: DiskBlobStoreOptions): Promise<DiskBlobStore> {
    const resolved = resolveOptions(options);
    const directory = new StoreDirectory(resolved.directory, resolved.fileSystem, resolved.durability === 'full');
    await orFail(makeFolder(directory.path), `cannot use ${directory.path}`);
    const lock = await lockStore(directory.path);
    let database: IndexDatabase | undefined;
    try {
      const marker = new UnsyncedMarker(directory.path, directory.index);
      await directory.prepare();
      await orFail(marker.settle(resolved.durability, resolved.logger), `cannot use ${directory.path}`);
      await orFail(createDatabase(directory.index), `cannot make the index in ${directory.index}`);
      database = IndexDatabase.open(directory.index, resolved.durability);
      await directory.syncPrepared();
      const store = new DiskBlobStore(resolved, directory, database, lock, marker);
      await store.#housekeeping.start();
      return store;
    } catch (error) {
      await database?.close();
      await lock.release();
      throw error;
    }
  }

  findMissing(digests: readonly Digest[]): Digest[] {
    this.#assertOpen();
    const { table } = this.#catalog;
    const use = this.#catalog.stamp();
    const missing: Digest[] = [];
    for (const digest of digests) {
      const handle = this.#catalog.findBlob(digest);
      if (handle === -1) missing.push(digest);
      else table.touch(handle, use);
    }
    return missing;
  }

  sizeOf(fn: DigestFunction, hash: Uint8Array): number | undefined {
    this.#assertOpen();
    const { words, at } = Digest.fromBytes(fn, hash, 0);
    const handle = this.#catalog.find(kindOf(fn), words, at);
    return handle === -1 ? undefined : this.#catalog.table.size(handle);
  }

  get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined> {
    this.#assertOpen();
    const handle = this.#catalog.findBlob(digest);
    if (handle === -1) return undefined;
    this.#catalog.table.touch(handle, this.#catalog.stamp());
    const span = options?.span;
    if (!span?.recording) return this.#get(digest, handle, options);
    return this.#entries.spans.run('store.Read', span, () => this.#get(digest, handle, options));
  }

  #get(digest: Digest, handle: number, options: GetOptions | undefined): MaybePromise<Buffer | undefined> {
    if (!this.#catalog.table.hasFlag(handle, IN_FILE)) return this.#values.get(digest, handle, options?.allocate);
    // Only here: callers make a signal when it is asked for, and what is answered at once needs none.
    options?.signal?.throwIfAborted();
    return this.#files.get(digest, options?.signal);
  }

  async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    this.#assertOpen();
    options?.signal?.throwIfAborted();
    const handle = this.#catalog.findBlob(digest);
    if (handle === -1) return undefined;
    this.#catalog.table.touch(handle, this.#catalog.stamp());
    const span = options?.span;
    if (!span?.recording) return this.#read(digest, handle, options);
    return readInSpan(this.#entries.spans.start('store.Read', span), () => this.#read(digest, handle, options));
  }

  async #read(digest: Digest, handle: number, options: ReadOptions | undefined): Promise<BlobReader | undefined> {
    const range = readRange(digest.size, options);
    if (this.#catalog.table.hasFlag(handle, IN_FILE)) return this.#files.open(digest, range, options?.signal);
    const bytes = await this.#values.get(digest, handle);
    return bytes && BufferReader.copyOf(bytes, range.offset, range.length);
  }

  async write(digest: Digest, source: BlobSource, options?: WriteOptions): Promise<void> {
    this.#assertOpen();
    options?.signal?.throwIfAborted();
    const handle = this.#catalog.findBlob(digest);
    if (handle !== -1) {
      this.#catalog.table.touch(handle, this.#catalog.stamp());
      return;
    }
    const work =
      digest.size <= this.#options.smallBlobBytes
        ? this.#values.write(digest, source, options)
        : this.#files.write(digest, source, options);
    await this.#untilWritten(work);
  }

  async adopt(digest: Digest, file: WholeFile, options?: OperationOptions): Promise<void> {
    try {
      this.#assertOpen();
      options?.signal?.throwIfAborted();
      const handle = this.#catalog.findBlob(digest);
      if (handle !== -1) this.#catalog.table.touch(handle, this.#catalog.stamp());
      else if (digest.size > this.#options.smallBlobBytes)
        return await this.#untilWritten(this.#files.adopt(digest, file, options));
      else await this.#untilWritten(this.#values.adopt(digest, file, options));
    } catch (error) {
      await this.#entries.fs.unlink(file.path).catch(() => {});
      throw error;
    }
    await this.#entries.fs.unlink(file.path).catch(() => {});
  }

  async delete(digest: Digest): Promise<boolean> {
    this.#assertOpen();
    if (this.#catalog.findBlob(digest) === -1) return false;
    return (await this.#entries.remove(blobKey(digest))) > 0;
  }

  /** Folder for uploads under way: what a killed process leaves there is removed when the store is opened again. */
  get incomingDirectory(): string {
    return this.#entries.directory.incoming;
  }

  stats(): DiskBlobStoreStats {
    const { ledger } = this.#entries;
    const { actionResults } = this.#catalog;
    return {
      blobs: Math.max(0, this.#catalog.count - actionResults),
      actionResults,
      bytes: ledger.used,
      maxBytes: this.#options.maxBytes,
      freeBytes: ledger.free,
      reservedBytes: ledger.reserved,
      evictions: this.#janitor.evictions,
      evictedBytes: this.#janitor.evictedBytes,
      quarantined: this.#entries.damaged,
      longestIdleMs: this.#janitor.longestIdleMs,
      loaded: this.#catalog.loaded,
    };
  }

  /** Resolves when the table in memory is complete (or the store is closed). Nothing needs to wait for it. */
  async whenLoaded(): Promise<void> {
    await this.#housekeeping.whenLoaded();
  }

  /**
   * Does now what the store does from time to time, and waits for what it does after a start: looks at the free space,
   * makes room, writes down what was used, compares a few blobs with their hashes.
   */
  async maintain(): Promise<void> {
    this.#assertOpen();
    await this.#housekeeping.whenStarted();
    await this.#housekeeping.round();
  }

  /**
   * For a readiness probe: makes, moves and removes a small file, commits to the index, and looks whether that is still
   * there.
   *
   * @throws StoreError when the store cannot take an upload now, or would lose it when it is closed
   * @throws NoSpaceError when it refuses them for what is to stay free on the file system
   */
  async checkWritable(): Promise<void> {
    this.#assertOpen();
    await this.makeRoom(PROBE_BYTES);
    await probeWriting(this.#entries);
  }

  /**
   * Makes room for a file of so many bytes that is to lie in the store's file system, as one that is adopted later does:
   * waits for it as an upload does, but only where the file system is short of space. A store that is full of what others
   * just used refuses uploads too, and gets over it by itself.
   *
   * @throws NoSpaceError when that would leave less than `minFreeBytes`
   */
  async makeRoom(bytes: number): Promise<void> {
    this.#assertOpen();
    const { ledger, fs, directory } = this.#entries;
    const free = await orFail(fs.freeBytes(directory.path), 'the store is not writable');
    ledger.sawFree(free);
    if (free - bytes < this.#options.minFreeBytes) (await ledger.reserve(bytes)).release();
  }

  /**
   * Waits for writes under way (whoever drives them ends them first), writes down what was used and gives the folder
   * free. May be called twice.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#entries.ledger.close(new StoreClosedError());
    await Promise.allSettled(this.#writes);
    try {
      await this.#housekeeping.close();
    } finally {
      const { database } = this.#catalog;
      await database.close();
      if (this.#options.durability === 'none') {
        await database.sync();
        await this.#marker.clear();
      }
      await this.#lock.release();
    }
  }

  /** Has {@link close} wait for it. */
  async #untilWritten(work: Promise<void>): Promise<void> {
    this.#writes.add(work);
    try {
      await work;
    } finally {
      this.#writes.delete(work);
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw new StoreClosedError();
  }

  /** Compares a blob with its hash without counting it as used. */
  async #look(digest: Digest): Promise<void> {
    const handle = this.#catalog.findBlob(digest);
    if (handle === -1) return;
    if (this.#catalog.table.hasFlag(handle, IN_FILE)) await this.#files.get(digest, undefined);
    else await this.#values.get(digest, handle);
  }
}

/** Undefined when there is no file that could be read. */
function sizeOfFile(key: EntryKey, directory: StoreDirectory, fs: FileSystem): number | undefined {
  const fn = functionOf(key.kind);
  if (!fn) return undefined;
  try {
    return fs.readNow(directory.blobFile(Digest.fromBytes(fn, keyBytes(key).subarray(1), 0)), NO_BYTES, 0).size;
  } catch {
    return undefined;
  }
}
