import type { MaybePromise, OperationOptions } from '../blob-store.js';
import { Digest } from '../digest.js';
import { StoreSpans } from '../store-spans.js';
import { isNotFound, storeFailure } from './failure.js';
import type { FileSystem } from './files/file-system.js';
import { Quarantine } from './files/quarantine.js';
import type { StoreDirectory } from './files/store-directory.js';
import type { Catalog } from './index/catalog.js';
import { type EntryKey, functionOf, keyBytes, keyText } from './index/entry-key.js';
import type { Place } from './index/record.js';
import type { ResolvedOptions } from './options.js';
import { accountedBytes } from './space/accounting.js';
import type { Reservation, SpaceLedger } from './space/space-ledger.js';

/**
 * What blobs and action results share: entries that are found, used, removed and put aside when they turn out
 * damaged, with their files.
 */
export class EntryStore {
  readonly catalog: Catalog;
  readonly ledger: SpaceLedger;
  readonly directory: StoreDirectory;
  readonly fs: FileSystem;
  readonly spans: StoreSpans;
  readonly #options: ResolvedOptions;
  readonly #quarantine: Quarantine;
  #damaged = 0;

  constructor(catalog: Catalog, ledger: SpaceLedger, directory: StoreDirectory, options: ResolvedOptions) {
    this.catalog = catalog;
    this.ledger = ledger;
    this.directory = directory;
    this.fs = options.fileSystem;
    this.spans = new StoreSpans(options.tracer);
    this.#options = options;
    this.#quarantine = new Quarantine(directory.quarantine, options.fileSystem, options.clock);
  }

  /** Sets space aside for an entry; answers at once when there is enough. */
  reserve(place: Place, size: number, options: OperationOptions | undefined): MaybePromise<Reservation> {
    const { signal } = options ?? {};
    const reserved = this.ledger.reserve(accountedBytes(place, size), { inDatabase: place !== 'file', signal });
    const span = options?.span;
    return span?.recording && reserved instanceof Promise ? this.spans.waited('space', span, reserved) : reserved;
  }

  /** Entries found damaged since the store was opened. */
  get damaged(): number {
    return this.#damaged;
  }

  /**
   * Removes an entry and its file; resolves to its accounted bytes, 0 when it was not there.
   *
   * @param expectedUse leave the entry alone when it was used at another time last
   */
  remove(key: EntryKey, expectedUse?: number): Promise<number> {
    return this.catalog.locks.run(keyText(key), async () => {
      if (expectedUse !== undefined && !this.#isUnused(key, expectedUse)) return 0;
      const removed = await this.catalog.remove(key);
      if (!removed) return 0;
      try {
        if (removed.place === 'file') await this.#unlink(this.#fileOf(key));
      } finally {
        removed.space.release();
      }
      return removed.bytes;
    });
  }

  /**
   * Puts a damaged entry aside: it is missing from now on. Does nothing when it has been removed or replaced since it
   * was found, which `isStillDamaged` tells.
   *
   * @throws StoreError when the store's folder isn't there, which says nothing about the entry
   */
  async putAside(key: EntryKey, what: string, reason: string, isStillDamaged: () => boolean): Promise<void> {
    await this.catalog.locks.run(keyText(key), async () => {
      if (!isStillDamaged()) return;
      // Without the disk that they are on all files are missing, and are there again with it.
      await this.catalog.database.checkInPlace();
      const handle = this.catalog.find(key.kind, key.words, key.at);
      const size = handle === -1 ? 0 : this.catalog.table.size(handle);
      const bytes = this.catalog.database.value(key, size);
      const removed = await this.catalog.remove(key);
      if (!removed) return;
      this.#damaged++;
      const name = `${functionOf(key.kind) ?? 'action'}-${keyBytes(key).toString('hex', 1)}`;
      if (removed.place === 'file') await this.#quarantine.moveFile(this.#fileOf(key), name);
      else if (bytes) await this.#quarantine.keepBytes(bytes, name);
      removed.space.release();
      this.#options.logger.error('{Entry} is damaged and was put aside: {Reason}', what, reason);
      this.#options.onDamaged(what, reason);
    });
  }

  #isUnused(key: EntryKey, lastUse: number): boolean {
    const handle = this.catalog.find(key.kind, key.words, key.at);
    return handle !== -1 && this.catalog.table.lastUse(handle) === lastUse && !this.catalog.pins.isPinned(keyText(key));
  }

  #fileOf(key: EntryKey): string {
    const fn = functionOf(key.kind);
    if (!fn) throw new Error('an action result has no file');
    return this.directory.blobFile(Digest.fromBytes(fn, keyBytes(key).subarray(1), 0));
  }

  async #unlink(path: string): Promise<void> {
    try {
      await this.fs.unlink(path);
    } catch (error) {
      if (!isNotFound(error)) throw storeFailure(error, `cannot remove ${path}`);
    }
  }
}
