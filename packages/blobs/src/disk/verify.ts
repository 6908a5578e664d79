import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, nullLogger } from '@granary/telemetry';
import { isContentOf } from '../blob-source.js';
import { Digest } from '../digest.js';
import { createHasher, type DigestFunction } from '../digest-function.js';
import { StoreError } from '../errors.js';
import { decodeActionRecord, isIntact } from './action-record.js';
import { isForbidden, isNotFound, isUnreadable, storeFailure } from './failure.js';
import { type FileSystem, nodeFileSystem } from './files/file-system.js';
import { StoreDirectory } from './files/store-directory.js';
import { lockStore } from './files/store-lock.js';
import { UnsyncedMarker } from './files/unsynced-marker.js';
import { actionResultKey, blobKey, type EntryKey, functionOf, keyBytes, parseKey } from './index/entry-key.js';
import { IndexDatabase, parsePiece } from './index/index-database.js';
import type { EntryRecord } from './index/record.js';

export interface VerifyOptions {
  /** The folder of a store that nobody has open. */
  readonly directory: string;
  /** Removes what is damaged or belongs to nothing. Default false: only looks. */
  readonly repair?: boolean;
  /** Default: the operating system's. */
  readonly fileSystem?: FileSystem;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Told of each finding as it is made. */
  readonly onFinding?: (finding: VerifyFinding) => void;
  /** Told from time to time how far it is. */
  readonly onProgress?: (progress: {
    readonly checked: number;
    readonly total: number;
    readonly bytes: number;
  }) => void;
}

export interface VerifyFinding {
  /**
   * - `damaged`: the bytes are not those that the digest names (or the action result's checksum is wrong)
   * - `missing`: the index names it, but its bytes are not there
   * - `stray`: a file or value that the index doesn't name
   * - `unreadable`: a file or folder that this user may not read, so that nobody knows what is in it; never removed
   */
  readonly kind: 'damaged' | 'missing' | 'stray' | 'unreadable';
  /** Digest, action key or path. */
  readonly subject: string;
  readonly detail: string;
  /** Whether it was removed. */
  readonly repaired: boolean;
}

export interface VerifyReport {
  readonly blobs: number;
  readonly actionResults: number;
  /** Bytes that were read and compared. */
  readonly bytes: number;
  readonly damaged: number;
  readonly missing: number;
  readonly stray: number;
  readonly unreadable: number;
  /** How many of those were removed. */
  readonly repaired: number;
  readonly durationMs: number;
}

/**
 * Checks every blob and action result in a folder against its digest, and the index against the disk in both
 * directions. Reads everything, so it takes as long as the disk needs.
 *
 * @throws StoreLockedError when a server has the folder
 * @throws StoreError (`STORE_FAILED`) when the folder holds no store, or one that can only be emptied and isn't to be
 *   repaired
 */
export async function verifyStore(options: VerifyOptions): Promise<VerifyReport> {
  const fs = options.fileSystem ?? nodeFileSystem;
  const directory = new StoreDirectory(options.directory, fs);
  if (!(await directory.exists())) throw new StoreError('STORE_FAILED', `${options.directory} holds no store`);
  const lock = await lockStore(directory.path);
  try {
    const marker = new UnsyncedMarker(directory.path, directory.index);
    if (!options.repair && (await marker.isStale()))
      throw new StoreError(
        'STORE_FAILED',
        `${options.directory} ran with durability none when the machine went down, so its index can't be trusted: a repair or the next start empties the store`,
      );
    await directory.prepare();
    await marker.settle('data', options.logger ?? nullLogger);
    const database = IndexDatabase.open(directory.index, 'data');
    try {
      return await new Verification(directory, database, fs, options).run();
    } finally {
      await database.close();
    }
  } finally {
    await lock.release();
  }
}

/** Records that are read from the index, or repaired, at once. */
const BATCH = 256;
const READ_BYTES = 1024 * 1024;

class Verification {
  readonly #directory: StoreDirectory;
  readonly #database: IndexDatabase;
  readonly #fs: FileSystem;
  readonly #options: VerifyOptions;
  readonly #counts = { damaged: 0, missing: 0, stray: 0, unreadable: 0 };
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  #blobs = 0;
  #actionResults = 0;
  #bytes = 0;
  #repaired = 0;
  readonly #repairs: (() => Promise<void>)[] = [];

  constructor(directory: StoreDirectory, database: IndexDatabase, fs: FileSystem, options: VerifyOptions) {
    this.#directory = directory;
    this.#database = database;
    this.#fs = fs;
    this.#options = options;
  }

  async run(): Promise<VerifyReport> {
    const start = performance.now();
    for (const check of [this.#checkRecords, this.#findStrayValues, this.#findStrayFiles]) {
      await check.call(this);
      await this.#repair();
    }
    return {
      blobs: this.#blobs,
      actionResults: this.#actionResults,
      bytes: this.#bytes,
      ...this.#counts,
      repaired: this.#repaired,
      durationMs: performance.now() - start,
    };
  }

  /** From the index to the disk. */
  async #checkRecords(): Promise<void> {
    const total = this.#database.recordCount;
    let checked = 0;
    let after: Buffer | undefined;
    for (;;) {
      const batch = [...this.#database.recordsAfter(after, BATCH)];
      for (const { key, record } of batch) {
        this.#options.signal?.throwIfAborted();
        await this.#checkRecord(key, record);
      }
      after = batch.at(-1)?.key;
      if (!after) return;
      checked += batch.length;
      this.#options.onProgress?.({ checked, total, bytes: this.#bytes });
    }
  }

  async #checkRecord(bytes: Buffer, record: EntryRecord | undefined): Promise<void> {
    const key = parseKey(bytes);
    const removeRecord = () => this.#database.remove(bytes, 0);
    if (!key || !record) {
      await this.#found('damaged', bytes.toString('hex'), 'its record in the index is malformed', removeRecord);
      return;
    }
    const fn = functionOf(key.kind);
    if ((record.place === 'action') !== (fn === undefined)) {
      await this.#found('damaged', bytes.toString('hex'), 'its record in the index is of another kind', removeRecord);
      return;
    }
    if (!fn) {
      this.#actionResults++;
      await this.#checkActionResult(key, record.size);
      return;
    }
    this.#blobs++;
    const digest = Digest.fromBytes(fn, bytes.subarray(1), record.size);
    if (record.place === 'file') await this.#checkFile(bytes, digest);
    else await this.#checkValue(key, digest);
  }

  async #checkActionResult(key: EntryKey, size: number): Promise<void> {
    const bytes = keyBytes(key);
    const value = this.#database.value(key, size);
    this.#bytes += value?.length ?? 0;
    const record = value && decodeActionRecord(value);
    const subject = `the result of ${record?.key ?? bytes.toString('hex', 1)}`;
    const remove = () => this.#database.remove(bytes, size);
    if (!value) await this.#found('missing', subject, 'the index has no bytes for it', remove);
    else if (!record || !isIntact(value)) await this.#found('damaged', subject, 'its checksum is wrong', remove);
    else if (value.length !== size || !keyBytes(actionResultKey(record.key)).equals(bytes))
      await this.#found('damaged', subject, 'its record in the index is that of another', remove);
  }

  async #checkValue(key: EntryKey, digest: Digest): Promise<void> {
    const value = this.#database.value(key, digest.size);
    this.#bytes += value?.length ?? 0;
    const remove = () => this.#database.remove(keyBytes(key), digest.size);
    if (!value) await this.#found('missing', String(digest), 'the index has no bytes for it', remove);
    else if (!isContentOf(digest, value))
      await this.#found('damaged', String(digest), 'the index has other bytes for it', remove);
  }

  async #checkFile(key: Buffer, digest: Digest): Promise<void> {
    const path = this.#directory.blobFile(digest);
    const removeRecord = () => this.#database.remove(key, undefined);
    const removeBoth = async () => {
      await rm(path, { recursive: true, force: true });
      await removeRecord();
    };
    try {
      const reason = await this.#compareFile(path, digest);
      if (reason) await this.#found('damaged', String(digest), reason, removeBoth);
    } catch (error) {
      if (isNotFound(error)) await this.#found('missing', String(digest), 'its file is missing', removeRecord);
      else if (isUnreadable(error)) await this.#found('damaged', String(digest), 'its file cannot be read', removeBoth);
      else if (isForbidden(error)) this.#foundForbidden(String(digest), error);
      else throw storeFailure(error, `cannot check ${path}`);
    }
  }

  /** What is wrong with a blob's file, if anything is. */
  async #compareFile(path: string, digest: Digest): Promise<string | undefined> {
    const { size } = await this.#fs.status(path);
    if (size !== digest.size) return `its file has ${size} bytes`;
    const file = this.#fs.openToRead(path);
    try {
      const hasher = createHasher(digest.function);
      for (let at = 0; at < size; ) {
        this.#options.signal?.throwIfAborted();
        const bytes = await file.read(this.#buffer, 0, Math.min(READ_BYTES, size - at), at);
        if (bytes === 0) return `its file ends after ${at} bytes`;
        hasher.update(this.#buffer.subarray(0, bytes));
        this.#bytes += bytes;
        at += bytes;
      }
      return hasher.digest().equals(digest.bytes) ? undefined : 'its file has other bytes';
    } finally {
      await file.close();
    }
  }

  /** From the disk to the index: bytes in the database. */
  async #findStrayValues(): Promise<void> {
    let after: Buffer | undefined;
    for (;;) {
      const pieces = this.#database.piecesAfter(after, BATCH);
      for (const piece of pieces) {
        const { key, isPartOf } = parsePiece(piece);
        const record = this.#database.record(key);
        if (record && record.place !== 'file' && isPartOf(record.size)) continue;
        const remove = () => this.#database.removePiece(piece);
        await this.#found('stray', piece.toString('hex'), 'bytes without an entry', remove);
      }
      this.#options.signal?.throwIfAborted();
      after = pieces.at(-1);
      if (!after) return;
    }
  }

  /** From the disk to the index: files. */
  async #findStrayFiles(): Promise<void> {
    for (const { fn, path } of this.#directory.functions())
      for (const shard of (await this.#list(path)) ?? []) await this.#findStrayFilesIn(fn, join(path, shard));
  }

  async #findStrayFilesIn(fn: DigestFunction, path: string): Promise<void> {
    this.#options.signal?.throwIfAborted();
    const names = await this.#list(path);
    if (!names) {
      await this.#found('stray', path, 'no folder of blobs', () => rm(path, { force: true }));
      return;
    }
    for (const name of names) {
      if (this.#isKnownFile(fn, name, path)) continue;
      const file = join(path, name);
      await this.#found('stray', file, 'a file without an entry', () => rm(file, { recursive: true, force: true }));
    }
  }

  /** Names in a folder, in order; none when it may not be read, undefined when it is no folder. */
  async #list(path: string): Promise<string[] | undefined> {
    try {
      return (await this.#fs.list(path)).sort();
    } catch (error) {
      if (isNotFound(error)) return undefined;
      if (!isForbidden(error)) throw storeFailure(error, `cannot check ${path}`);
      this.#foundForbidden(path, error);
      return [];
    }
  }

  #isKnownFile(fn: DigestFunction, name: string, path: string): boolean {
    if (!StoreDirectory.isBlobName(fn, name)) return false;
    const digest = Digest.parse(fn, name, 0);
    if (this.#directory.blobFile(digest) !== join(path, name)) return false;
    return this.#database.record(keyBytes(blobKey(digest)))?.place === 'file';
  }

  async #found(
    kind: VerifyFinding['kind'],
    subject: string,
    detail: string,
    repair: () => Promise<void>,
  ): Promise<void> {
    this.#counts[kind]++;
    const { onFinding } = this.#options;
    if (!this.#options.repair) {
      onFinding?.({ kind, subject, detail, repaired: false });
      return;
    }
    const repairAndTell = async () => {
      const obstacle = await obstacleTo(repair);
      const repaired = obstacle === undefined;
      if (repaired) this.#repaired++;
      onFinding?.({ kind, subject, detail: repaired ? detail : `${detail}; ${obstacle}`, repaired });
    };
    if (this.#repairs.push(repairAndTell) >= BATCH) await this.#repair();
  }

  /** Nothing is removed that nobody could look at: whose folder it is has to say what becomes of it. */
  #foundForbidden(subject: string, error: unknown): void {
    this.#counts.unreadable++;
    const detail = `it may not be read: ${(error as Error).message}`;
    this.#options.onFinding?.({ kind: 'unreadable', subject, detail, repaired: false });
  }

  /** What was found since the last time, together: each by itself would wait for a sync of the index. */
  async #repair(): Promise<void> {
    await Promise.all(this.#repairs.splice(0).map((repair) => repair()));
  }
}

/** Does what may be forbidden, and says so when it is. */
async function obstacleTo(work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (isForbidden(error)) return `it may not be removed: ${(error as Error).message}`;
    throw storeFailure(error, 'cannot remove what is wrong');
  }
}
