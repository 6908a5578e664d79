import { crc32 } from 'node:zlib';
import type { Database } from 'lmdb';
import { goneKey, isRecordBelow, metaKey, pieceKey, recordKey, recordRanges, useKey } from './database-keys.js';
import type { NamespaceEntries, Totals } from './namespace.js';
import { decodeRecord, encodeRecord, type StoredRecord } from './stored-record.js';

/**
 * Values are cut into pieces that fill one page each. LMDB looks for the pages of a larger value side by side, in all
 * of its free pages one after the other, which takes milliseconds once entries have come and gone for a while.
 */
const PIECE_BYTES = 4072;
/** A piece of more than half a page has a page of its own. */
const OWN_PAGE_BYTES = 2000;
const PAGE_BYTES = 4096;
/** Pages of records and lists are never quite full. */
const FILL = 1.5;
const ENTRY_BYTES = 300;
const KEY_COPIES = 3;
/** How many are looked up at once when room is made. */
const BATCH = 32;
/** How many are removed in one transaction, which holds the event loop up. */
const REMOVED_AT_ONCE = 100;
const ZERO = Buffer.of(0);
const TOTALS_BYTES = 24;

/**
 * What one namespace has in the database: a record for each entry, its value in pieces, and two lists of the entries,
 * by last use and by end. Totals, lists and values change together, in one transaction, so a killed process leaves
 * nothing half done.
 */
export class NamespaceDatabase implements NamespaceEntries {
  readonly #db: Database<Buffer, Buffer>;
  readonly #maxBytes: number;
  #bytes = 0;
  #entries = 0;
  #next = 1;

  constructor(db: Database<Buffer, Buffer>, maxBytes: number) {
    this.#db = db;
    this.#maxBytes = maxBytes;
  }

  totals(): Totals {
    this.#readTotals();
    return { bytes: this.#bytes, entries: this.#entries };
  }

  /** The value's frame; undefined when there is none or it is damaged. */
  frame(key: string): Buffer | undefined {
    const entryKey = recordKey(key);
    const record = this.#record(entryKey);
    if (!record) return undefined;
    const frame = Buffer.allocUnsafe(record.frameBytes);
    let filled = 0;
    for (let i = 0; filled < record.frameBytes; i++) {
      const piece = this.#db.getBinaryFast(pieceKey(record.id, i));
      if (!piece || piece.length === 0 || filled + piece.length > frame.length) return undefined;
      // It lies in shared memory, and is a longer array than it says.
      frame.set(new Uint8Array(piece.buffer, piece.byteOffset, piece.length), filled);
      filled += piece.length;
    }
    return checksum(entryKey, frame) === record.frameCrc ? frame : undefined;
  }

  /** Writes an entry and makes room for it, in a transaction. One that has no room even alone isn't kept. */
  put(key: string, frame: Buffer, goneAt: number, now: number): void {
    this.#readTotals();
    const entryKey = recordKey(key);
    this.#remove(entryKey);
    const charge = chargeOf(entryKey, frame.length);
    if (charge <= this.#maxBytes && now < goneAt) {
      this.#makeRoom(this.#maxBytes - charge, now);
      const id = this.#next++;
      const record = { id, lastUse: id, charge, goneAt, frameBytes: frame.length, frameCrc: checksum(entryKey, frame) };
      for (let i = 0; i * PIECE_BYTES < frame.length; i++)
        this.#db.put(pieceKey(id, i), frame.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES));
      this.#db.put(entryKey, encodeRecord(record));
      this.#db.put(useKey(id), entryKey);
      if (goneAt < Number.POSITIVE_INFINITY) this.#db.put(goneKey(goneAt, id), entryKey);
      this.#bytes += charge;
      this.#entries++;
    }
    this.#writeTotals();
  }

  /** Removes an entry in a transaction. Whether it was there, and not over. */
  remove(key: string, now: number): boolean {
    this.#readTotals();
    const removed = this.#remove(recordKey(key));
    if (removed === undefined) return false;
    this.#writeTotals();
    return now < removed.goneAt;
  }

  /** Puts the entries to the end of the order of use, in a transaction. */
  touch(keys: Iterable<string>): void {
    this.#readTotals();
    for (const key of keys) {
      const entryKey = recordKey(key);
      const record = this.#record(entryKey);
      if (!record) continue;
      const lastUse = this.#next++;
      this.#db.remove(useKey(record.lastUse));
      this.#db.put(useKey(lastUse), entryKey);
      this.#db.put(entryKey, encodeRecord({ ...record, lastUse }));
    }
    this.#writeTotals();
  }

  /** Removes what is over, and as much of the rest as is over the bound, in a transaction. */
  trim(now: number): void {
    this.#readTotals();
    this.#removeGone(now, Number.NEGATIVE_INFINITY);
    this.#makeRoom(this.#maxBytes, now);
    this.#writeTotals();
  }

  /** Removes everything, in a transaction. */
  clear(): void {
    this.#readTotals();
    this.#db.clearSync();
    this.#bytes = 0;
    this.#entries = 0;
    this.#writeTotals();
  }

  /** The number that the next entry gets: those that are here have smaller ones. */
  next(): number {
    this.#readTotals();
    return this.#next;
  }

  /**
   * Removes some of the entries whose keys begin like this and that have smaller numbers than `before`, in a transaction.
   *
   * @param after where the last call stopped
   * @returns where to go on; undefined when nothing is left
   */
  removeSome(prefix: string, before: number, after: Buffer | undefined): Buffer | undefined {
    this.#readTotals();
    for (const { start, end } of recordRanges(prefix)) {
      if (after !== undefined && Buffer.compare(after, end) >= 0) continue;
      const from = after === undefined || Buffer.compare(after, start) < 0 ? start : Buffer.concat([after, ZERO]);
      const found = this.#list(from, end, REMOVED_AT_ONCE);
      for (const { key, value } of found) {
        const record = decodeRecord(value);
        if (isRecordBelow(prefix, key) && !(record && record.id >= before)) this.#remove(key);
      }
      const last = found.at(-1);
      if (last === undefined) continue;
      this.#writeTotals();
      return last.key;
    }
    return undefined;
  }

  #makeRoom(bytes: number, now: number): void {
    if (this.#bytes <= bytes) return;
    this.#removeGone(now, bytes);
    while (this.#bytes > bytes) {
      const oldest = this.#list(useKey(0), useKey(Number.MAX_VALUE));
      if (oldest.length === 0) {
        // Damaged records took what they counted with them.
        this.#bytes = 0;
        this.#entries = 0;
        return;
      }
      for (const { key, value } of oldest) {
        if (this.#bytes <= bytes) return;
        this.#removeListed(key, value, ({ lastUse }) => useKey(lastUse));
      }
    }
  }

  /** Removes what is over until no more than so many bytes are left. */
  #removeGone(now: number, bytes: number): void {
    for (;;) {
      const gone = this.#list(goneKey(0, 0), goneKey(now, Number.MAX_VALUE));
      if (gone.length === 0) return;
      for (const { key, value } of gone) {
        if (this.#bytes <= bytes) return;
        this.#removeListed(key, value, ({ goneAt, id }) => goneKey(goneAt, id));
      }
    }
  }

  /** Removes an entry that a list names, or only its place in the list when the entry knows nothing of it. */
  #removeListed(place: Buffer, entryKey: Buffer, placeOf: (record: StoredRecord) => Buffer): void {
    const record = this.#record(entryKey);
    if (record && placeOf(record).equals(place)) this.#remove(entryKey);
    else this.#db.remove(place);
  }

  #list(start: Buffer, end: Buffer, limit = BATCH): { key: Buffer; value: Buffer }[] {
    const places: { key: Buffer; value: Buffer }[] = [];
    for (const { key, value } of this.#db.getRange({ start, end, limit }))
      places.push({ key: Buffer.from(key), value: Buffer.from(value) });
    return places;
  }

  #remove(entryKey: Buffer): StoredRecord | undefined {
    const bytes = this.#db.getBinary(entryKey);
    if (!bytes) return undefined;
    const record = decodeRecord(bytes);
    this.#db.remove(entryKey);
    if (record) {
      for (let i = 0; i * PIECE_BYTES < record.frameBytes; i++) this.#db.remove(pieceKey(record.id, i));
      this.#db.remove(useKey(record.lastUse));
      if (record.goneAt < Number.POSITIVE_INFINITY) this.#db.remove(goneKey(record.goneAt, record.id));
      this.#bytes = Math.max(0, this.#bytes - record.charge);
      this.#entries = Math.max(0, this.#entries - 1);
    }
    return record;
  }

  #record(entryKey: Buffer): StoredRecord | undefined {
    const bytes = this.#db.getBinary(entryKey);
    return bytes && decodeRecord(bytes);
  }

  #readTotals(): void {
    const bytes = this.#db.getBinary(metaKey);
    const known = bytes?.length === TOTALS_BYTES;
    this.#bytes = known ? bytes.readDoubleLE(0) : 0;
    this.#entries = known ? bytes.readDoubleLE(8) : 0;
    this.#next = known ? bytes.readDoubleLE(16) : 1;
  }

  #writeTotals(): void {
    const bytes = Buffer.allocUnsafe(TOTALS_BYTES);
    bytes.writeDoubleLE(this.#bytes, 0);
    bytes.writeDoubleLE(this.#entries, 8);
    bytes.writeDoubleLE(this.#next, 16);
    this.#db.put(metaKey, bytes);
  }
}

function checksum(entryKey: Buffer, frame: Buffer): number {
  return crc32(frame, crc32(entryKey));
}

/** About what an entry takes of the file. */
function chargeOf(entryKey: Buffer, frameBytes: number): number {
  const rest = frameBytes % PIECE_BYTES;
  const pages = Math.floor(frameBytes / PIECE_BYTES) + (rest > OWN_PAGE_BYTES ? 1 : 0);
  const small = rest > OWN_PAGE_BYTES ? 0 : rest;
  return Math.ceil(pages * (PAGE_BYTES + 40) + FILL * (small + KEY_COPIES * entryKey.length) + ENTRY_BYTES);
}
