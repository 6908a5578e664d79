import type { Digest } from '../../digest.js';
import { KeyedLock } from '../../keyed-lock.js';
import { accountedBytes } from '../space/accounting.js';
import type { Reservation, SpaceLedger } from '../space/space-ledger.js';
import { BlobIndex, IN_FILE, VERIFIED } from './blob-index.js';
import { ACTION_RESULT, type EntryKey, keyBytes, keyText, kindOf, tableWordsOf, wordsOf } from './entry-key.js';
import type { EntryPins } from './entry-pins.js';
import { type IndexDatabase, keyFrom } from './index-database.js';
import type { EntryRecord, Place } from './record.js';

/** A use every 1/1024 ms keeps its place in the order of uses; more in one millisecond run a little ahead of time. */
const USE_STEP = 1 / 1024;
/** A clock that is behind the last use by more was set back: uses run ahead of time by less. */
const SET_BACK_MS = 1000;

/** An entry that was there until just now. */
export interface RemovedEntry {
  readonly place: Place;
  readonly size: number;
  /** Accounted bytes. */
  readonly bytes: number;
  /** To be released when its file is gone. */
  readonly space: Reservation;
}

/**
 * How a file's size is looked up where the index says that it takes a large part of the store. Few records can say so and
 * be right, so that it costs little; a bad bit in one would have the store emptied to make room for bytes that aren't there.
 */
export interface LargeFiles {
  readonly fromBytes: number;
  /** Undefined when there is no such file. */
  readonly sizeOf: (key: EntryKey) => number | undefined;
}

/**
 * What the store holds: the table in memory, with the database as the truth behind it. Until the table has been
 * loaded, what it doesn't know is looked up in the database.
 */
export class Catalog {
  readonly table: BlobIndex;
  readonly database: IndexDatabase;
  /** Held while an entry is being added, replaced or removed. */
  readonly locks = new KeyedLock();
  /** What may not be evicted: it is being read, or needed elsewhere. */
  readonly pins: EntryPins;
  readonly #ledger: SpaceLedger;
  readonly #clock: () => number;
  readonly #largeFiles: LargeFiles;
  /** Of the entries in the table. */
  #bytes = 0;
  /** Of those that are no files. */
  #bytesInDatabase = 0;
  /** Of the entries in the table. */
  #actionResults = 0;
  /** When the store was closed last; stands in for the table's until that is complete. */
  readonly #actionResultsBefore: number;
  #lastUse: number;
  /** How far the clock was set back, until it is right again. */
  #setBackMs = 0;
  #loaded = false;
  /** Keys of what was removed while the table is filled from records that were read before. */
  #removed: Set<string> | undefined;

  constructor(
    database: IndexDatabase,
    ledger: SpaceLedger,
    clock: () => number,
    pins: EntryPins,
    largeFiles: LargeFiles,
  ) {
    const totals = database.totals();
    this.database = database;
    this.pins = pins;
    this.#ledger = ledger;
    this.#clock = clock;
    this.#largeFiles = largeFiles;
    this.table = new BlobIndex({ expected: database.recordCount });
    this.#lastUse = totals?.lastUse ?? 0;
    this.#actionResultsBefore = totals?.actionResults ?? 0;
    ledger.recount(totals?.bytes ?? 0);
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  /** Entries of both kinds. */
  get count(): number {
    return this.#loaded ? this.table.count : this.database.recordCount;
  }

  get actionResults(): number {
    return this.#loaded ? this.#actionResults : Math.max(this.#actionResults, this.#actionResultsBefore);
  }

  /** The stamp of a use that happens now: later than every one before, even when the clock was set back. */
  stamp(): number {
    this.#lastUse = Math.max(this.now(), this.#lastUse + USE_STEP);
    return this.#lastUse;
  }

  /**
   * The time that stamps are of: the clock's, or where that was set back, what has passed since the last use. A machine may
   * know the time only a while after its start; what was used until then would never be old enough to go.
   */
  now(): number {
    const clock = this.#clock();
    if (clock >= this.#lastUse) this.#setBackMs = 0;
    const time = clock + this.#setBackMs;
    const behindMs = this.#lastUse - time;
    if (behindMs < SET_BACK_MS) return time;
    this.#setBackMs += behindMs;
    return this.#lastUse;
  }

  /** The table's handle of an entry, or −1. */
  find(kind: number, words: Int32Array, at: number): number {
    const handle = this.table.find(kind, words, at);
    if (handle !== -1) return wordsOf(kind) === tableWordsOf(kind) ? handle : this.#confirm(handle, kind, words, at);
    return this.#loaded ? -1 : this.#adopt({ kind, words, at });
  }

  /** The table's handle of a blob that is here in this size, or −1. */
  findBlob(digest: Digest): number {
    const handle = this.find(kindOf(digest.function), digest.words, digest.at);
    return handle !== -1 && this.table.size(handle) === digest.size ? handle : -1;
  }

  /** The record that the database has of an entry. */
  record(key: EntryKey): EntryRecord | undefined {
    return this.database.record(keyBytes(key));
  }

  /**
   * Adds or replaces an entry, first in the database, then in the table; then the space reserved for it is taken.
   * The caller holds the entry's lock.
   */
  async put(key: EntryKey, record: EntryRecord, space: Reservation, value?: Uint8Array): Promise<void> {
    const replaced = this.table.find(key.kind, key.words, key.at);
    await this.database.put(key, record, value, replaced === -1 ? 0 : this.table.size(replaced));
    const before = this.#drop(key);
    this.#insert(key, record, VERIFIED);
    space.commit();
    if (before) this.#ledger.remove(before.bytes, before.place !== 'file');
  }

  /** Notes that an entry's file was found right although it was written at another time than the index says. */
  async putTimeOfWriting(key: EntryKey, mtimeMs: number): Promise<void> {
    const record = this.record(key);
    if (record) await this.database.putRecord(keyBytes(key), { ...record, mtimeMs });
  }

  /**
   * Removes an entry: from now on it is missing, and when it resolves the database agrees. The caller holds its lock,
   * removes its file and then releases the space.
   *
   * @returns undefined when it was not there
   */
  async remove(key: EntryKey): Promise<RemovedEntry | undefined> {
    this.find(key.kind, key.words, key.at);
    const dropped = this.#drop(key);
    if (!dropped) return undefined;
    const space = this.#ledger.retire(dropped.bytes, dropped.place !== 'file');
    try {
      await this.database.remove(keyBytes(key), dropped.place === 'file' ? undefined : dropped.size);
      this.#removed?.add(keyText(key));
    } catch (error) {
      space.release();
      throw error;
    }
    return { ...dropped, space };
  }

  /** Bytes that an entry takes on the disk. */
  accountedAt(handle: number): number {
    return accountedBytes(this.placeAt(handle), this.table.size(handle));
  }

  placeAt(handle: number): Place {
    if (this.table.hasFlag(handle, IN_FILE)) return 'file';
    return this.table.kind(handle) === ACTION_RESULT ? 'action' : 'value';
  }

  /** The whole key of an entry in the table: of a longer hash the rest is in the database. */
  keyAt(handle: number): EntryKey | undefined {
    const key = this.table.key(handle);
    if (key.words.length === wordsOf(key.kind)) return key;
    const prefix = Buffer.concat([Buffer.of(key.kind), Buffer.from(key.words.buffer)]);
    const whole = this.database.firstKeyFrom(prefix);
    return whole?.subarray(0, prefix.length).equals(prefix) ? keyFrom(whole) : undefined;
  }

  /** Takes what the database has of an entry into the table, unless it is there, being changed, or removed. */
  load(key: EntryKey, record: EntryRecord): void {
    if (this.table.find(key.kind, key.words, key.at) !== -1 || this.#isLocked(key)) return;
    if (this.#removed?.size && this.#removed.has(keyText(key))) return;
    const { fromBytes, sizeOf } = this.#largeFiles;
    const isLarge = record.place === 'file' && record.size >= fromBytes;
    const size = isLarge ? sizeOf(key) : record.size;
    if (size === undefined) return;
    this.#insert(key, isLarge ? { ...record, size } : record, 0);
    this.#lastUse = Math.max(this.#lastUse, record.lastUse);
  }

  /** Entries removed since {@link expectOldRecords}. */
  get removedMeanwhile(): number {
    return this.#removed?.size ?? 0;
  }

  /** From now on {@link load} is given records that may be older than what happens meanwhile; or no longer. */
  expectOldRecords(are: boolean): void {
    this.#removed = are ? new Set() : undefined;
  }

  /** The table is complete: from now on it alone says what is there. */
  finishLoading(): void {
    this.#loaded = true;
    this.#ledger.recount(this.#bytes, this.#bytesInDatabase);
  }

  /** Writes the totals down, for the next start. */
  putTotals(): Promise<void> {
    return this.database.putTotals({
      bytes: this.#ledger.used,
      actionResults: this.actionResults,
      lastUse: this.#lastUse,
    });
  }

  #insert(key: EntryKey, record: EntryRecord, flags: number): void {
    this.table.insert(key, record.size, record.lastUse, flags | (record.place === 'file' ? IN_FILE : 0));
    this.#count(record.place, accountedBytes(record.place, record.size));
    if (key.kind === ACTION_RESULT) this.#actionResults++;
  }

  /** Takes an entry out of the table only. */
  #drop(key: EntryKey): { readonly place: Place; readonly size: number; readonly bytes: number } | undefined {
    const handle = this.table.find(key.kind, key.words, key.at);
    if (handle === -1) return undefined;
    const dropped = {
      place: this.placeAt(handle),
      size: this.table.size(handle),
      bytes: this.accountedAt(handle),
    };
    this.table.remove(handle);
    this.#count(dropped.place, -dropped.bytes);
    if (key.kind === ACTION_RESULT) this.#actionResults--;
    return dropped;
  }

  #count(place: Place, bytes: number): void {
    this.#bytes += bytes;
    if (place !== 'file') this.#bytesInDatabase += bytes;
  }

  #isLocked(key: EntryKey): boolean {
    return this.locks.anyHeld && this.locks.isHeld(keyText(key));
  }

  /** Looks in the database for an entry that the table does not know yet. */
  #adopt(key: EntryKey): number {
    if (this.#isLocked(key)) return -1;
    const record = this.record(key);
    if (!record) return -1;
    this.load(key, record);
    return this.table.find(key.kind, key.words, key.at);
  }

  /** The table compares the beginning of a long hash only. */
  #confirm(handle: number, kind: number, words: Int32Array, at: number): number {
    return this.database.hasRecord(keyBytes({ kind, words, at })) ? handle : -1;
  }
}
