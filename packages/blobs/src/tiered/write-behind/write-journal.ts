import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createDatabase } from '@granary/cache/lmdb';
import { type Database, open, type RootDatabase } from 'lmdb';
import { orFail, storeFailure } from '../../disk/failure.js';
import { StoreLock } from '../../disk/files/store-lock.js';
import { GroupCommit } from '../../disk/index/group-commit.js';
import { checkMagic } from '../../disk/index/index-database.js';
import { StoreClosedError } from '../../errors.js';
import { QueuedWrite } from './queued-write.js';

const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const;
const KEY_BYTES = 8;
const FLUSH_WAIT_MS = 30_000;
const CLOSE_WAIT_MS = 500;

/**
 * The writes that wait, on the disk: a killed process loses none that was kept. Those of one turn of the event loop make
 * one transaction.
 */
export class WriteJournal {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #writes: Database<Buffer, Buffer>;
  readonly #commits: GroupCommit;
  readonly #lock: StoreLock;
  readonly #flush: boolean;
  #closed = false;

  private constructor(root: RootDatabase<Buffer, Buffer>, lock: StoreLock, flush: boolean) {
    this.#root = root;
    this.#writes = root.openDB({ name: 'writes', ...BINARY });
    this.#commits = new GroupCommit(root);
    this.#lock = lock;
    this.#flush = flush;
  }

  /**
   * @param flush whether to wait until a write is on the disk, so that it survives a power cut too
   * @throws StoreLockedError when another process has the folder
   * @throws StoreError when it can't be used
   */
  static async open(directory: string, flush: boolean): Promise<WriteJournal> {
    await orFail(mkdir(directory, { recursive: true }), `cannot use ${directory}`);
    const lock = await StoreLock.acquire(directory);
    try {
      checkMagic(join(directory, 'data.mdb'));
      await createDatabase(directory);
      const root = open<Buffer, Buffer>({
        path: directory,
        ...BINARY,
        maxDbs: 2,
        // Syncs that overlap lost an acknowledged commit in one of ten kills under load; a queue has the time for these.
        overlappingSync: false,
        eventTurnBatching: false,
      });
      return new WriteJournal(root, lock, flush);
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
   * Keeps a write, in place of an earlier one if need be.
   *
   * @throws StoreError when it could not be kept
   */
  async keep(write: QueuedWrite, instead?: QueuedWrite): Promise<void> {
    if (this.#closed) throw new StoreClosedError();
    await this.#commits.add(() => {
      if (instead) this.#writes.remove(keyOf(instead));
      this.#writes.put(keyOf(write), write.encode());
    });
    if (this.#flush) await this.#flushed();
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

  async #flushed(): Promise<void> {
    const patience = new AbortController();
    const tooLate = delay(FLUSH_WAIT_MS, false, { signal: patience.signal }).catch(() => false);
    const flushed = await Promise.race([this.#root.flushed.then(() => true), tooLate]);
    patience.abort();
    if (!flushed) throw storeFailure(new Error(`not synced within ${FLUSH_WAIT_MS} ms`), 'cannot keep a queued write');
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
