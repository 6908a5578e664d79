import type { ActionResultStore, MaybePromise, OperationOptions } from '../blob-store.js';
import { StoreClosedError } from '../errors.js';
import { actionRecordBytes, decodeActionRecord, encodeActionRecord, isIntact } from './action-record.js';
import type { EntryStore } from './entry-store.js';
import { VERIFIED } from './index/blob-index.js';
import { ACTION_RESULT, actionResultKey, type EntryKey, keyText } from './index/entry-key.js';
import type { ResolvedOptions } from './options.js';

/** Action results in the store's database. The store that they belong to opens and closes them. */
export class DiskActionResultStore implements ActionResultStore {
  readonly name: string;
  readonly #entries: EntryStore;
  readonly #isClosed: () => boolean;

  constructor(entries: EntryStore, options: ResolvedOptions, isClosed: () => boolean) {
    this.name = options.name;
    this.#entries = entries;
    this.#isClosed = isClosed;
  }

  get(key: string, options?: OperationOptions): MaybePromise<Buffer | undefined> {
    if (this.#isClosed()) throw new StoreClosedError();
    const { catalog, spans } = this.#entries;
    const entry = actionResultKey(key);
    const handle = catalog.find(ACTION_RESULT, entry.words, entry.at);
    if (handle === -1) return undefined;
    const span = options?.span;
    if (!span?.recording) return this.#get(key, entry, handle);
    return spans.run('store.Read', span, () => this.#get(key, entry, handle));
  }

  #get(key: string, entry: EntryKey, handle: number): MaybePromise<Buffer | undefined> {
    const { catalog } = this.#entries;
    const bytes = catalog.database.value(entry, catalog.table.size(handle));
    const intact = catalog.table.hasFlag(handle, VERIFIED) || (bytes !== undefined && isIntact(bytes));
    const record = bytes && intact ? decodeActionRecord(bytes) : undefined;
    if (record?.key !== key) return this.#putAside(key, bytes);
    catalog.table.setFlag(handle, VERIFIED);
    catalog.table.touch(handle, catalog.stamp());
    return record.value;
  }

  async set(key: string, value: Buffer, options?: OperationOptions): Promise<void> {
    if (this.#isClosed()) throw new StoreClosedError();
    options?.signal?.throwIfAborted();
    const { catalog, spans } = this.#entries;
    const span = options?.span;
    const size = actionRecordBytes(key, value.length);
    const space = await this.#entries.reserve('action', size, options);
    try {
      const entry = actionResultKey(key);
      const record = encodeActionRecord(key, value);
      catalog.find(ACTION_RESULT, entry.words, entry.at);
      const commit = () =>
        catalog.put(entry, { place: 'action', size, lastUse: catalog.stamp(), mtimeMs: 0 }, space, record);
      await spans.locked(catalog.locks, keyText(entry), span, () => spans.run('store.Commit', span, commit));
    } finally {
      space.release();
    }
  }

  async delete(key: string): Promise<boolean> {
    if (this.#isClosed()) throw new StoreClosedError();
    const entry = actionResultKey(key);
    // While the table is being filled: what isn't in it yet isn't looked for under the lock.
    this.#entries.catalog.find(ACTION_RESULT, entry.words, entry.at);
    return (await this.#entries.remove(entry)) > 0;
  }

  /** Does nothing: the disk store that this belongs to closes both. */
  close(): void {}

  async #putAside(key: string, seen: Buffer | undefined): Promise<undefined> {
    const { database } = this.#entries.catalog;
    const entry = actionResultKey(key);
    const isStillDamaged = () => {
      const now = database.value(entry, seen?.length ?? 0);
      return now === undefined ? seen === undefined : !isIntact(now) || decodeActionRecord(now)?.key !== key;
    };
    await this.#entries.putAside(entry, `the result of ${key}`, 'its checksum is wrong', isStillDamaged);
    return undefined;
  }
}
