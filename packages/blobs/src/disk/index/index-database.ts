import { type BigIntStats, rmSync, statSync } from 'node:fs';
import { open as openFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { checkDatabaseFile, checkLockFile, DATABASE_FILE, GroupCommit } from '@granary/cache/lmdb';
import { type Database, open, type RootDatabase } from 'lmdb';
import { StoreError } from '../../errors.js';
import { commitFailure, isNotFound, orFail, storeFailure } from '../failure.js';
import type { Durability } from '../options.js';
import { type EntryKey, keyBytes, PIECE_BYTES, parseKey, parsePieceKey, pieceKey, ReusedKeys } from './entry-key.js';
import { decodeRecord, type EntryRecord, encodeRecord } from './record.js';
import type { RawEntry } from './record-stream.js';

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
/** Bytes that are copied one by one. */
const SHORT_BYTES = 64;
/** Pieces that a value is given room for when it turns out longer than expected. */
const PIECES_MORE = 256;
const CLOSE_WAIT_MS = 500;
// With syncs that overlap a commit may resolve before LMDB's thread has let go of the database: see GroupCommit.
const OPTIONS = { maxDbs: 4, eventTurnBatching: false, overlappingSync: false } as const;
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;

/**
 * The truth about what the store holds: an LMDB environment with the entries' records, the bytes of small blobs and
 * the action results. Reads are synchronous, from mapped memory. Writes that come together make one transaction, and
 * their promises resolve when it is committed and synced (with durability `none` only committed), so a killed process
 * loses nothing, and a power cut nothing that was synced.
 */
export class IndexDatabase {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #records: Database<Buffer, Buffer>;
  readonly #values: Database<Buffer, Buffer>;
  readonly #meta: Database<Buffer, Buffer>;
  readonly #commits: GroupCommit;
  readonly directory: string;
  readonly #file: string;
  readonly #opened: BigIntStats;
  readonly #keys = new ReusedKeys();
  #fullPiece: Uint8Array | undefined;
  /** Records that there were when it was closed. */
  #closedWith: number | undefined;

  private constructor(directory: string, root: RootDatabase<Buffer, Buffer>) {
    this.directory = directory;
    this.#file = join(directory, DATABASE_FILE);
    this.#opened = statSync(this.#file, { bigint: true });
    this.#root = root;
    this.#commits = new GroupCommit(root, (cause) => commitFailure(cause, 'cannot write to the index', directory));
    this.#records = root.openDB({ name: 'records', ...BINARY });
    this.#values = root.openDB({ name: 'values', ...BINARY });
    this.#meta = root.openDB({ name: 'meta', ...BINARY });
  }

  /** @throws StoreError when the folder can't be used or what lies in it is no database */
  static open(directory: string, durability: Durability): IndexDatabase {
    try {
      checkDatabaseFile(join(directory, DATABASE_FILE));
      checkLockFile(directory);
      const noSync = durability === 'none';
      const root = open<Buffer, Buffer>({ path: directory, ...BINARY, noSync, ...OPTIONS });
      return new IndexDatabase(directory, root);
    } catch (error) {
      throw storeFailure(error, `cannot open the index in ${directory}`);
    }
  }

  /** Records in the database. */
  get recordCount(): number {
    return this.#closedWith ?? (this.#records.getStats() as { entryCount: number }).entryCount;
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

  /**
   * A copy of a small blob's bytes, or of an action result's record.
   *
   * @param size how long it should be; what is there may have another length
   * @param allocate gives the memory for a value of that length
   */
  value(key: EntryKey, size: number, allocate: (bytes: number) => Buffer = Buffer.allocUnsafe): Buffer | undefined {
    const bytes = allocate(size);
    const lookUp = this.#keys.of(key);
    let filled = 0;
    for (let i = 0; ; i++) {
      const piece = this.#values.getBinaryFast(i === 0 ? lookUp.entry : lookUp.piece(i));
      if (!piece) return i === 0 ? undefined : bytes.subarray(0, filled);
      if (filled + piece.length > size) return this.value(key, size + PIECES_MORE * PIECE_BYTES);
      this.#copy(piece, bytes, filled);
      filled += piece.length;
      if (piece.length < PIECE_BYTES) return filled === size ? bytes : bytes.subarray(0, filled);
    }
  }

  /**
   * Writes an entry, with its bytes when they are to lie here. The bytes must stay as they are until it resolves.
   *
   * @param sizeBefore size of the value that is being replaced
   */
  put(key: EntryKey, record: EntryRecord, value?: Uint8Array, sizeBefore = 0): Promise<void> {
    const bytes = keyBytes(key);
    return this.#commits.add(() => {
      if (value) {
        const count = pieceCount(value.length);
        for (let i = 0; i < count; i++)
          this.#values.put(pieceKey(bytes, i), value.subarray(i * PIECE_BYTES, (i + 1) * PIECE_BYTES) as Buffer);
        this.#removePieces(bytes, count, pieceCount(sizeBefore));
      }
      this.#records.put(bytes, encodeRecord(record));
    });
  }

  /** Writes a record back, for another last use or time of writing. */
  putRecord(key: Buffer, record: EntryRecord): Promise<void> {
    return this.#commits.add(() => this.#records.put(key, encodeRecord(record)));
  }

  /** Removes an entry and the value of this size that it has here, if any. */
  remove(key: Buffer, valueBytes: number | undefined): Promise<void> {
    return this.#commits.add(() => {
      if (valueBytes !== undefined) this.#removePieces(key, 0, pieceCount(valueBytes));
      this.#records.remove(key);
    });
  }

  /** Removes a piece of a value that no record names. */
  removePiece(piece: Buffer): Promise<void> {
    return this.#commits.add(() => this.#values.remove(piece));
  }

  /** Up to `limit` records whose keys come after `after`, in the order of keys. */
  *recordsAfter(
    after: Buffer | undefined,
    limit: number,
  ): Generator<{ readonly key: Buffer; readonly record: EntryRecord | undefined }, void> {
    const range = this.#records.getRange({ ...this.#after(after, limit), snapshot: false });
    for (const { key, value } of range) yield { key, record: decodeRecord(value) };
  }

  /** Up to `limit` keys of pieces of values that come after `after`; see {@link parsePiece}. */
  piecesAfter(after: Buffer | undefined, limit: number): Buffer[] {
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
    return this.#commits.add(() => this.#meta.put(TOTALS, bytes));
  }

  /** Whether the last user closed the store; if not, files may lie about that no record names. */
  wasClosed(): boolean {
    return this.#meta.getBinary(CLEAN)?.[0] === 1;
  }

  putClosed(closed: boolean): Promise<void> {
    return this.#commits.add(() => this.#meta.put(CLEAN, Buffer.of(closed ? 1 : 0)));
  }

  /** Keeps the pages of what is here now, for {@link readEntries}, until the function is called that it returns. */
  hold(): () => void {
    const transaction = this.#root.useReadTransaction();
    return () => transaction.done();
  }

  /**
   * What is written here is found again only while the file has its name, and what lies beside it belongs to it only then.
   *
   * @throws StoreError when it has not
   */
  async checkInPlace(): Promise<void> {
    const now = await orFail(statusOf(this.#file), 'cannot look at the index');
    if (now?.dev !== this.#opened.dev || now.ino !== this.#opened.ino)
      throw new StoreError('STORE_FAILED', "the store's folder was removed, replaced or mounted over: start again");
  }

  /** Brings the database's file to the disk, also when it is opened without syncing. */
  async sync(): Promise<void> {
    await syncFile(this.#file);
  }

  async close(): Promise<void> {
    await this.#commits.idle();
    this.#closedWith ??= this.recordCount;
    const closed = this.#root.close();
    // After a failed commit LMDB waits for a sync that never comes.
    if (this.#commits.failed) await Promise.race([closed, delay(CLOSE_WAIT_MS)]);
    else await closed;
  }

  /**
   * Copies what LMDB's binding has read, in a buffer that is used again by the next read and has a `length` that is
   * not its `byteLength`. A view costs more than the few bytes that many values have beyond a page, and the view of a
   * full piece is always the same one (benchmark `BatchReadBlobs 100x4KiB`).
   */
  #copy(piece: Buffer, target: Buffer, at: number): void {
    const { buffer, byteOffset, length } = piece;
    if (length <= SHORT_BYTES) for (let i = 0; i < length; i++) target[at + i] = piece[i] as number;
    else if (length !== PIECE_BYTES) target.set(new Uint8Array(buffer, byteOffset, length), at);
    else {
      if (this.#fullPiece?.buffer !== buffer || this.#fullPiece.byteOffset !== byteOffset)
        this.#fullPiece = new Uint8Array(buffer, byteOffset, length);
      target.set(this.#fullPiece, at);
    }
  }

  #after(after: Buffer | undefined, limit: number): { start?: Buffer; limit: number } {
    // The next key in order: the same bytes and a zero behind them.
    return after ? { start: Buffer.concat([after, Buffer.of(0)]), limit } : { limit };
  }

  #removePieces(key: Buffer, from: number, to: number): void {
    for (let i = from; i < to; i++) this.#values.remove(pieceKey(key, i));
  }
}

/**
 * Every record of the index in a folder, as it is at the first, while another process writes there and holds it (see
 * {@link IndexDatabase.hold}).
 *
 * That process is kept out of it: LMDB, when it opens a database, tells all who share its lock file that the commit it
 * has found is the last one, and one that came a moment later is undone by the next, or its pages are written over. So
 * the file is opened by its name, with a lock file of its own.
 */
export function* readEntries(directory: string): Generator<RawEntry, void> {
  const path = join(directory, DATABASE_FILE);
  const root = open<Buffer, Buffer>({ path, noSubdir: true, ...BINARY, readOnly: true, ...OPTIONS });
  try {
    yield* root.openDB({ name: 'records', ...BINARY }).getRange();
  } finally {
    void root.close();
    rmSync(`${path}-lock`, { force: true });
  }
}

function pieceCount(size: number): number {
  return Math.max(1, Math.ceil(size / PIECE_BYTES));
}

/** The entry that a piece belongs to, and whether a value of some size has that piece. */
export function parsePiece(piece: Buffer): { readonly key: Buffer; readonly isPartOf: (size: number) => boolean } {
  const { entry, number } = parsePieceKey(piece);
  return { key: entry, isPartOf: (size) => number < pieceCount(size) };
}

/** Undefined when there is no such file. */
async function statusOf(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
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
