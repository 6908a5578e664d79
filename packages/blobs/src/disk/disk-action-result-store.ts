import type { ActionResultStore, OperationOptions } from '../blob-store.js';
import { StoreClosedError } from '../errors.js';
import { actionRecordBytes, decodeActionRecord, encodeActionRecord, isIntact } from './action-record.js';
import type { EntryStore } from './entry-store.js';
import { VERIFIED } from './index/blob-index.js';
import { ACTION_RESULT, actionResultKey, keyBytes, keyText } from './index/entry-key.js';
import type { ResolvedOptions } from './options.js';
import { accountedBytes } from './space/accounting.js';

/** Action results in the store's database. The store that they belong to opens and closes them. */
export class DiskActionResultStore implements ActionResultStore {
  readonly name: string;
  readonly #entries: EntryStore;
  readonly #flush: boolean;
  readonly #isClosed: () => boolean;

  constructor(entries: EntryStore, options: ResolvedOptions, isClosed: () => boolean) {
    this.name = options.name;
    this.#entries = entries;
    this.#flush = options.durability === 'full';
    this.#isClosed = isClosed;
  }

  get(key: string): Buffer | undefined | Promise<Buffer | undefined> {
    if (this.#isClosed()) throw new StoreClosedError();
    const { catalog } = this.#entries;
    const { words, at } = actionResultKey(key);
    const handle = catalog.find(ACTION_RESULT, words, at);
    if (handle === -1) return undefined;
    const bytes = catalog.database.value(keyBytes({ kind: ACTION_RESULT, words, at }), catalog.table.size(handle));
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
    const { catalog, ledger } = this.#entries;
    const size = actionRecordBytes(key, value.length);
    const space = await ledger.reserve(accountedBytes('action', size), options?.signal);
    try {
      const entry = actionResultKey(key);
      const record = encodeActionRecord(key, value);
      catalog.find(ACTION_RESULT, entry.words, entry.at);
      await catalog.locks.run(keyText(entry), () =>
        catalog.put(entry, { place: 'action', size, lastUse: catalog.stamp(), mtimeMs: 0 }, space, record),
      );
    } finally {
      space.release();
    }
    if (this.#flush) await catalog.database.flushed();
  }

  async delete(key: string): Promise<boolean> {
    if (this.#isClosed()) throw new StoreClosedError();
    return (await this.#entries.remove(actionResultKey(key))) > 0;
  }

  /** Does nothing: the disk store that this belongs to closes both. */
  close(): void {}

  async #putAside(key: string, seen: Buffer | undefined): Promise<undefined> {
    const { database } = this.#entries.catalog;
    const entry = actionResultKey(key);
    const isStillDamaged = () => {
      const now = database.value(keyBytes(entry), seen?.length ?? 0);
      return now === undefined ? seen === undefined : !isIntact(now) || decodeActionRecord(now)?.key !== key;
    };
    await this.#entries.putAside(entry, `the result of ${key}`, 'its checksum is wrong', isStillDamaged);
    return undefined;
  }
}
