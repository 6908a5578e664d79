import { closeSync, openSync, readSync } from 'node:fs';
import { open as openFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type Database, open, type RootDatabase } from 'lmdb';
import { StoreError } from '../../errors.js';
import { isNotFound, storeFailure } from '../failure.js';
import type { Durability } from '../options.js';
import { type EntryKey, keyBytes, parseKey } from './entry-key.js';
import { decodeRecord, type EntryRecord, encodeRecord } from './record.js';

/** What is known without a look at every entry. */
export interface Totals {
  readonly bytes: number;
  readonly actionResults: number;
  /** The newest last use, so that order survives a clock that was set back. */
  readonly lastUse: number;
}

const TOTALS = Buffer.from('totals');
const CLEAN = Buffer.from('clean');
const TOTALS_BYTES = 24;
/** What LMDB's file begins with, after a page's header. */
const MAGIC = Buffer.from('dec0efbe', 'hex');
const MAGIC_WITHIN = 64;
const COMMIT_ERROR_WAIT_MS = 100;
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

/**
 * The truth about what the store holds: an LMDB environment with the entries' records, the bytes of small blobs and
 * the action results. Reads are synchronous, from mapped memory; writes of one turn of the event loop make one
 * transaction, and their promises resolve when it is committed, so a killed process loses nothing.
 */
export class IndexDatabase {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #records: Database<Buffer, Buffer>;
  readonly #values: Database<Buffer, Buffer>;
  readonly #meta: Database<Buffer, Buffer>;
  readonly #file: string;

  private constructor(directory: string, root: RootDatabase<Buffer, Buffer>) {
    this.#file = join(directory, 'data.mdb');
    this.#root = root;
    this.#records = root.openDB({ name: 'records', ...BINARY });
    this.#values = root.openDB({ name: 'values', ...BINARY });
    this.#meta = root.openDB({ name: 'meta', ...BINARY });
  }

  /** @throws StoreError when the folder can't be used or what lies in it is no database */
  static open(directory: string, durability: Durability): IndexDatabase {
    checkMagic(join(directory, 'data.mdb'));
    try {
      const noSync = durability === 'none';
      const root = open<Buffer, Buffer>({ path: directory, ...BINARY, noSync, overlappingSync: !noSync, maxDbs: 4 });
      return new IndexDatabase(directory, root);
    } catch (error) {
      throw storeFailure(error, `cannot open the index in ${directory}`);
    }
  }

  /** Records in the database. */
  get recordCount(): number {
    return (this.#records.getStats() as { entryCount: number }).entryCount;
  }

  record(key: Buffer): EntryRecord | undefined {
    const bytes = this.#records.getBinary(key);
    return bytes && decodeRecord(bytes);
  }

  hasRecord(key: Buffer): boolean {
    return this.#records.doesExist(key);
  }

  /** The first key that begins like this one: finds the rest of a hash of which the table has only the beginning. */
  firstKeyFrom(start: Buffer): Buffer | undefined {
    for (const key of this.#records.getKeys({ start, limit: 1 })) return Buffer.from(key);
    return undefined;
  }

  /** A copy of a small blob's bytes, or of an action result's record. */
  value(key: Buffer): Buffer | undefined {
    return this.#values.getBinary(key);
  }

  /** Writes an entry, with its bytes when they are to lie here. The bytes must stay as they are until it resolves. */
  put(key: EntryKey, record: EntryRecord, value?: Uint8Array): Promise<void> {
    const bytes = keyBytes(key);
    if (value) this.#settle(this.#values.put(bytes, value as Buffer)).catch(() => {});
    return this.#settle(this.#records.put(bytes, encodeRecord(record)));
  }

  /** Writes a record back, for another last use or time of writing. */
  putRecord(key: Buffer, record: EntryRecord): Promise<void> {
    return this.#settle(this.#records.put(key, encodeRecord(record)));
  }

  remove(key: Buffer, inFile: boolean): Promise<void> {
    if (!inFile) this.#settle(this.#values.remove(key)).catch(() => {});
    return this.#settle(this.#records.remove(key));
  }

  /** Removes bytes that no record names. */
  removeValue(key: Buffer): Promise<void> {
    return this.#settle(this.#values.remove(key));
  }

  /** Up to `limit` records whose keys come after `after`, in the order of keys. */
  recordsAfter(after: Buffer | undefined, limit: number): { key: Buffer; record: EntryRecord | undefined }[] {
    const found: { key: Buffer; record: EntryRecord | undefined }[] = [];
    const range = this.#records.getRange({ ...this.#after(after, limit), snapshot: false });
    for (const { key, value } of range) found.push({ key: Buffer.from(key), record: decodeRecord(value) });
    return found;
  }

  /** Up to `limit` keys of values that come after `after`. */
  valueKeysAfter(after: Buffer | undefined, limit: number): Buffer[] {
    return Array.from(this.#values.getKeys({ ...this.#after(after, limit), snapshot: false }), (key) =>
      Buffer.from(key),
    );
  }

  totals(): Totals | undefined {
    const bytes = this.#meta.getBinary(TOTALS);
    if (bytes?.length !== TOTALS_BYTES) return undefined;
    return { bytes: bytes.readDoubleLE(0), actionResults: bytes.readDoubleLE(8), lastUse: bytes.readDoubleLE(16) };
  }

  putTotals(totals: Totals): Promise<void> {
    const bytes = Buffer.alloc(TOTALS_BYTES);
    bytes.writeDoubleLE(totals.bytes, 0);
    bytes.writeDoubleLE(totals.actionResults, 8);
    bytes.writeDoubleLE(totals.lastUse, 16);
    return this.#settle(this.#meta.put(TOTALS, bytes));
  }

  /** Whether the last user closed the store; if not, files may lie about that no record names. */
  wasClosed(): boolean {
    return this.#meta.getBinary(CLEAN)?.[0] === 1;
  }

  putClosed(closed: boolean): Promise<void> {
    return this.#settle(this.#meta.put(CLEAN, Buffer.of(closed ? 1 : 0)));
  }

  /** Resolves when everything that was committed is on the disk. */
  async flushed(): Promise<void> {
    await this.#root.flushed;
  }

  /** Brings the database's file to the disk, also when it is opened without syncing. */
  async sync(): Promise<void> {
    await syncFile(this.#file);
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  #after(after: Buffer | undefined, limit: number): { start?: Buffer; limit: number } {
    // The next key in order: the same bytes and a zero behind them.
    return after ? { start: Buffer.concat([after, Buffer.of(0)]), limit } : { limit };
  }

  /** What a failed commit throws names its cause in a promise of its own, which nobody else would handle. */
  async #settle(write: Promise<boolean>): Promise<void> {
    try {
      await write;
    } catch (error) {
      const reason = (error as { commitError?: Promise<unknown> }).commitError?.catch((cause: unknown) => cause);
      const cause = await Promise.race([reason, delay(COMMIT_ERROR_WAIT_MS)]);
      throw storeFailure(cause instanceof Error ? cause : error, 'cannot write to the index');
    }
  }
}

/** LMDB takes the process down when it opens a file that is no database of its own. */
function checkMagic(path: string): void {
  const start = Buffer.alloc(MAGIC_WITHIN);
  let length: number;
  try {
    const file = openSync(path, 'r');
    try {
      length = readSync(file, start);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (isNotFound(error)) return;
    throw storeFailure(error, `cannot read ${path}`);
  }
  if (length === 0 || start.includes(MAGIC)) return;
  throw new StoreError('STORE_FAILED', `${path} is damaged: remove the folder it is in to start with an empty store`);
}

/** Brings a file's content to the disk, whoever wrote it. */
export async function syncFile(path: string): Promise<void> {
  const file = await openFile(path, 'r+');
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** The key that these bytes are. @throws StoreError when the index is damaged */
export function keyFrom(bytes: Buffer): EntryKey {
  const key = parseKey(bytes);
  if (!key) throw new StoreError('STORE_FAILED', `the index has a malformed key ${bytes.toString('hex')}`);
  return key;
}
