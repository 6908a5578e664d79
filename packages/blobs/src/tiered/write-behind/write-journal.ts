import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type FolderLock, makeFolder } from '@granary/cache/folders';
import { checkDatabaseFile, checkLockFile, createDatabase, DATABASE_FILE, GroupCommit } from '@granary/cache/lmdb';
import { type Database, open, type RootDatabase } from 'lmdb';
import { commitFailure, orFail, storeFailure } from '../../disk/failure.js';
import { lockStore } from '../../disk/files/store-lock.js';
import { StoreClosedError } from '../../errors.js';
import { QueuedWrite } from './queued-write.js';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const KEY_BYTES = 8;
const CLOSE_WAIT_MS = 500;

/**
 * The writes that wait, on the disk: what was kept survives a killed process and a power cut. Those that come together
 * make one transaction.
 */
export class WriteJournal {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #writes: Database<Buffer, Buffer>;
  readonly #commits: GroupCommit;
  readonly #lock: FolderLock;
  #closed = false;

  private constructor(directory: string, root: RootDatabase<Buffer, Buffer>, lock: FolderLock) {
    this.#root = root;
    this.#writes = root.openDB({ name: 'writes', ...BINARY });
    this.#commits = new GroupCommit(root, (cause) => commitFailure(cause, 'cannot write to the index', directory));
    this.#lock = lock;
  }

  /**
   * @throws StoreLockedError when another process has the folder
   * @throws StoreError when it can't be used
   */
  static async open(directory: string): Promise<WriteJournal> {
    await orFail(makeFolder(directory), `cannot use ${directory}`);
    const lock = await lockStore(directory);
    try {
      checkDatabaseFile(join(directory, DATABASE_FILE));
      await createDatabase(directory);
      checkLockFile(directory);
      const root = open<Buffer, Buffer>({
        path: directory,
        ...BINARY,
        maxDbs: 2,
        // With syncs that overlap a commit may resolve before LMDB's thread has let go of the database: see GroupCommit.
        overlappingSync: false,
        eventTurnBatching: false,
      });
      return new WriteJournal(directory, root, lock);
    } catch (error) {
      await lock.release();
      throw storeFailure(error, `cannot open the queue of writes in ${directory}`);
    }
  }

  /** What was kept and not removed, in order. What can't be read is removed; its number is given. */
  load(): { readonly writes: QueuedWrite[]; readonly malformed: number } {
    const writes: QueuedWrite[] = [];
    const malformed: Buffer[] = [];
    for (const { key, value } of this.#writes.getRange({ snapshot: false })) {
      const bytes = Buffer.from(key);
      const write = bytes.length === KEY_BYTES ? QueuedWrite.decode(sequenceOf(bytes), Buffer.from(value)) : undefined;
      if (write) writes.push(write);
      else malformed.push(bytes);
    }
    if (malformed.length > 0) {
      const removeAll = () => {
        for (const key of malformed) this.#writes.remove(key);
      };
      this.#commits.add(removeAll).catch(() => {});
    }
    return { writes, malformed: malformed.length };
  }

  /**
   * Keeps a write, in place of an earlier one if need be. Resolves when it is on the disk.
   *
   * @throws StoreError when it could not be kept
   */
  async keep(write: QueuedWrite, instead?: QueuedWrite): Promise<void> {
    if (this.#closed) throw new StoreClosedError();
    await this.#commits.add(() => {
      if (instead) this.#writes.remove(keyOf(instead));
      this.#writes.put(keyOf(write), write.encode());
    });
  }

  async remove(write: QueuedWrite): Promise<void> {
    if (this.#closed) throw new StoreClosedError();
    await this.#commits.add(() => this.#writes.remove(keyOf(write)));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#commits.idle();
    const closed = this.#root.close();
    // After a failed commit LMDB waits for a sync that never comes.
    if (this.#commits.failed) await Promise.race([closed, delay(CLOSE_WAIT_MS)]);
    else await closed;
    await this.#lock.release();
  }
}

function keyOf({ sequence }: QueuedWrite): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key.writeBigUInt64BE(BigInt(sequence));
  return key;
}

function sequenceOf(key: Buffer): number {
  return Number(key.readBigUInt64BE());
}
