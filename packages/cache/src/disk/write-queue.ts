import { type RootDatabase, TransactionFlags } from 'lmdb';
import { QueueFullError } from '../errors.js';
import type { NamespaceWrites } from './namespace.js';

interface Write {
  readonly run: () => unknown;
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/** A transaction holds the event loop up, so a large one is several. */
const TRANSACTION_BYTES = 1024 * 1024;
const TRANSACTION_WRITES = 200;
/** Undone as a whole when anything throws; committed when it returns; synced to the medium afterwards. */
const TRANSACTION_FLAGS: number =
  TransactionFlags.ABORTABLE | TransactionFlags.SYNCHRONOUS_COMMIT | TransactionFlags.NO_SYNC_FLUSH;

/**
 * Gathers the writes of one turn of the event loop, or of a few milliseconds, into one transaction, since a commit costs
 * the same for one and for a hundred. When a transaction fails, its writes are tried one by one, so that only those fail which can't be made.
 */
export class WriteQueue implements NamespaceWrites {
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #maxPendingBytes: number;
  readonly #gatherMs: number;
  #gathering: NodeJS.Timeout | undefined;
  #writes: Write[] = [];
  #pendingBytes = 0;
  #idle: Promise<void> = Promise.resolve();
  #becomeIdle: (() => void) | undefined;

  /** @param gatherMs how long the first write waits for others; 0: to the end of the turn */
  constructor(root: RootDatabase<Buffer, Buffer>, maxPendingBytes: number, gatherMs = 0) {
    this.#root = root;
    this.#maxPendingBytes = maxPendingBytes;
    this.#gatherMs = gatherMs;
  }

  /**
   * Runs in a transaction, after everything that was added before.
   *
   * @param run reads and writes; what it returns is what the promise resolves to once the transaction is committed. Must
   * stand being run again, when the transaction was undone
   * @param bytes memory that waits with it
   * @throws QueueFullError when too many bytes wait already
   */
  add<T>(what: string, run: () => T, bytes = 0, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#maxPendingBytes)
        throw new QueueFullError(what, `${this.#pendingBytes} bytes wait to be written`);
      this.#pendingBytes += bytes;
      this.#writes.push({ run, bytes, signal, resolve, reject });
      if (!this.#becomeIdle) {
        this.#idle = new Promise((done) => {
          this.#becomeIdle = done;
        });
        if (this.#gatherMs > 0) this.#gathering = setTimeout(() => this.#drain(), this.#gatherMs);
        else setImmediate(() => this.#drain());
      }
      if (this.#writes.length >= TRANSACTION_WRITES || this.#pendingBytes >= TRANSACTION_BYTES) this.hurry();
    });
  }

  /** Waits for no more writes. */
  hurry(): void {
    if (!this.#gathering) return;
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    setImmediate(() => this.#drain());
  }

  /** Resolves when nothing waits. */
  idle(): Promise<void> {
    return this.#idle;
  }

  #drain(): void {
    this.#gathering = undefined;
    const writes = this.#next();
    if (!this.#transact(writes) && writes.length > 1) for (const write of writes) this.#transact([write]);
    if (this.#writes.length > 0) {
      setImmediate(() => this.#drain());
      return;
    }
    this.#becomeIdle?.();
    this.#becomeIdle = undefined;
  }

  #next(): Write[] {
    let count = 0;
    let bytes = 0;
    while (count < this.#writes.length && count < TRANSACTION_WRITES && bytes < TRANSACTION_BYTES)
      bytes += this.#writes[count++]?.bytes ?? 0;
    this.#pendingBytes -= bytes;
    return this.#writes.splice(0, count).filter((write) => {
      if (write.signal?.aborted) write.reject(write.signal.reason);
      return !write.signal?.aborted;
    });
  }

  /** False when it failed and more than one write could be to blame; else each has its outcome. */
  #transact(writes: readonly Write[]): boolean {
    if (writes.length === 0) return true;
    try {
      const results = this.#root.transactionSync(() => writes.map(({ run }) => run()), TRANSACTION_FLAGS);
      for (const [i, { resolve }] of writes.entries()) resolve(results[i] as never);
      return true;
    } catch (error) {
      if (writes.length === 1) writes[0]?.reject(error);
      return false;
    }
  }
}
