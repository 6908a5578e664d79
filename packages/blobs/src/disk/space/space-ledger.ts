import { type EndListener, listenForAbort, unlistenForAbort } from '@granary/resilience';
import type { MaybePromise } from '../../blob-store.js';
import { NoSpaceError } from '../../errors.js';
import { DatabaseRoom } from './database-room.js';

/** Space set aside for one upload. Exactly one of the two ends it; ending it again does nothing. */
export interface Reservation {
  /** The bytes are in the store now. */
  commit(): void;
  /** The upload came to nothing. */
  release(): void;
}

/** What goes with a reservation. */
export interface ReserveOptions {
  /** Whether the bytes are to lie in the database, which can fill again what others left there. */
  readonly inDatabase?: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface Waiter extends EndListener {
  readonly bytes: number;
  readonly inDatabase: boolean;
  readonly admit: () => void;
}

export interface SpaceLedgerOptions {
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  /** How long an upload waits for room. */
  readonly waitMs: number;
  /** Asked to make room whenever some is short or soon will be. */
  readonly onPressure: () => void;
}

/** More uploads than this never wait for room at once; an edge admits fewer. */
const MOST_WAITERS = 4096;
/** The janitor starts when less than this part of the limit is left, so that uploads need not wait for it. */
const HEADROOM = 0.05;
/** With less than this beyond what is to stay free the file system is short of space, also after room has been made. */
const SHORT = 1.25;
/** A large store needs no larger headroom than uploads fill while the janitor gets going. */
const MOST_HEADROOM = 2 * 1024 ** 3;

/**
 * Who has how much of the space. An upload reserves before its first byte and commits at its end, so that the limit
 * holds however many arrive at once; what doesn't fit waits its turn, for a bounded time.
 */
export class SpaceLedger {
  readonly #options: SpaceLedgerOptions;
  readonly #waiters = new Set<Waiter>();
  readonly #database = new DatabaseRoom();
  /** Whether it may while the file system is short of space: where nothing in it can go. */
  #databaseMayGrow = true;
  #used = 0;
  #reserved = 0;
  #waiting = 0;
  #free = Number.POSITIVE_INFINITY;
  /** Bytes that may have been written since the free space was looked at. */
  #spent = 0;

  constructor(options: SpaceLedgerOptions) {
    this.#options = options;
  }

  get used(): number {
    return this.#used;
  }

  get reserved(): number {
    return this.#reserved;
  }

  /** Free bytes of the file system when it was looked at last. */
  get free(): number {
    return this.#free;
  }

  /** Whether uploads are waiting for room. */
  get hasWaiters(): boolean {
    return this.#waiters.size > 0;
  }

  /** Whether something has to go. */
  get isShort(): boolean {
    return this.excess() > 0 || this.freeShortage() > 0 || this.databaseShortage() > 0;
  }

  /** Sets what is in the store, and how much of it in the database, when that has been counted anew. */
  recount(used: number, inDatabase = 0): void {
    this.#used = used;
    this.#database.recount(inDatabase);
    this.admitWaiters();
  }

  /** Notes whether entries in the database have gone when some were to. */
  triedDatabase(haveGone: boolean): void {
    this.#databaseMayGrow = !haveGone;
  }

  /** Notes what the file system has left. */
  sawFree(bytes: number): void {
    this.#free = bytes;
    this.#spent = this.#reserved;
    this.admitWaiters();
  }

  /** Notes that bytes went without a file that has to go first. */
  remove(bytes: number, inDatabase: boolean): void {
    this.#used = Math.max(0, this.#used - bytes);
    if (inDatabase) this.#database.remove(bytes);
    this.admitWaiters();
  }

  /**
   * Bytes that have to go for the store to be at its low-water mark; 0 while it is under the high-water mark and
   * nobody waits.
   */
  excess(): number {
    const { maxBytes } = this.#options;
    const wanted = this.#used + this.#reserved + this.#waiting;
    const headroom = Math.min(maxBytes * HEADROOM, MOST_HEADROOM);
    return wanted > maxBytes - headroom ? wanted - (maxBytes - 2 * headroom) : 0;
  }

  /** Bytes that the file system lacks of what is to stay free and what is wanted; a tenth more when it lacks any. */
  freeShortage(): number {
    const { minFreeBytes } = this.#options;
    if (minFreeBytes === 0) return 0;
    const left = this.#left - this.#waiting;
    return left < minFreeBytes * 1.05 ? minFreeBytes * 1.1 - left : 0;
  }

  /** Bytes that have to go from the database, for others that have no room on the file system. */
  databaseShortage(): number {
    if (!this.#isFileSystemShort(0)) return 0;
    let waiting = 0;
    for (const { inDatabase, bytes } of this.#waiters) if (inDatabase) waiting += bytes;
    return this.#database.shortage(waiting);
  }

  /**
   * Sets space aside; answers at once when there is enough.
   *
   * @throws NoSpaceError when there is none within the time that uploads wait, or never can be
   */
  reserve(bytes: number, { inDatabase = false, signal }: ReserveOptions = {}): MaybePromise<Reservation> {
    const isFree = this.#waiters.size === 0 ? this.#fits(bytes, inDatabase) : this.#passes(bytes, inDatabase, bytes);
    if (isFree) return this.#take(bytes, inDatabase);
    if (bytes > this.#options.maxBytes)
      throw new NoSpaceError(`${bytes} bytes are more than the whole store may take (${this.#options.maxBytes})`);
    if (this.#waiters.size >= MOST_WAITERS) throw new NoSpaceError('too many uploads wait for space already');
    return this.#wait(bytes, inDatabase, signal);
  }

  /** Turns what an entry had into a reservation, until its file is gone too. */
  retire(bytes: number, inDatabase: boolean): Reservation {
    this.#used = Math.max(0, this.#used - bytes);
    if (inDatabase) this.#database.remove(bytes);
    return this.#reservation(bytes, inDatabase);
  }

  /** Lets those in for whom there is room now, in the order in which they came. */
  admitWaiters(): void {
    let isFirst = true;
    for (const waiter of this.#waiters) {
      const { bytes, inDatabase } = waiter;
      if (isFirst ? this.#fits(bytes, inDatabase) : this.#passes(bytes, inDatabase, 0)) waiter.admit();
      else isFirst = false;
    }
  }

  /** Refuses everyone who waits. */
  close(error: Error): void {
    for (const waiter of this.#waiters) waiter.end(error);
  }

  /** What the file system has left for uploads that come. */
  get #left(): number {
    return this.#free - this.#spent;
  }

  #isFileSystemShort(bytes: number): boolean {
    const { minFreeBytes } = this.#options;
    return minFreeBytes > 0 && this.#left - bytes < minFreeBytes * SHORT;
  }

  #fits(bytes: number, inDatabase: boolean): boolean {
    const { maxBytes, minFreeBytes } = this.#options;
    if (this.#used + this.#reserved + bytes > maxBytes) return false;
    if (inDatabase && this.#database.spare >= bytes) return true;
    // It would take for good what files had.
    if (inDatabase && !this.#databaseMayGrow && this.#isFileSystemShort(bytes)) return false;
    return minFreeBytes === 0 || this.#left - bytes >= minFreeBytes;
  }

  /**
   * Whether somebody need not wait for those before: who fills what others left in the database takes no room from those
   * who wait for the file system, as long as all of them fit into the store.
   *
   * @param newBytes those that are not yet among the bytes that wait
   */
  #passes(bytes: number, inDatabase: boolean, newBytes: number): boolean {
    if (!inDatabase || this.#database.spare < bytes) return false;
    return this.#used + this.#reserved + this.#waiting + newBytes <= this.#options.maxBytes;
  }

  #take(bytes: number, inDatabase: boolean): Reservation {
    if (!inDatabase || this.#database.spare < bytes) {
      this.#spent += bytes;
      if (inDatabase && this.#isFileSystemShort(0)) this.#database.lacked(bytes);
    }
    const reservation = this.#reservation(bytes, inDatabase);
    if (this.isShort) this.#options.onPressure();
    return reservation;
  }

  #reservation(bytes: number, inDatabase: boolean): Reservation {
    this.#reserved += bytes;
    if (inDatabase) this.#database.reserve(bytes);
    let open = true;
    const end = (stored: number) => {
      if (!open) return;
      open = false;
      this.#reserved -= bytes;
      this.#used += stored;
      if (inDatabase) this.#database.settle(bytes, stored);
      if (stored === 0) this.admitWaiters();
    };
    return { commit: () => end(bytes), release: () => end(0) };
  }

  #wait(bytes: number, inDatabase: boolean, signal: AbortSignal | undefined): Promise<Reservation> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        if (signal) unlistenForAbort(signal, waiter);
        this.#waiters.delete(waiter);
        this.#waiting -= bytes;
      };
      const waiter: Waiter = {
        bytes,
        inDatabase,
        admit: () => {
          leave();
          resolve(this.#take(bytes, inDatabase));
        },
        end: (error) => {
          leave();
          reject(error);
          this.admitWaiters();
        },
      };
      const timer = setTimeout(() => waiter.end(this.#exhausted(bytes)), this.#options.waitMs);
      if (signal) listenForAbort(signal, waiter);
      this.#waiters.add(waiter);
      this.#waiting += bytes;
      if (inDatabase && this.#isFileSystemShort(0)) this.#database.lacked(bytes);
      this.#options.onPressure();
    });
  }

  #exhausted(bytes: number): NoSpaceError {
    const { maxBytes, minFreeBytes, waitMs } = this.#options;
    const taken = `${this.#used + this.#reserved} of ${maxBytes} bytes are taken`;
    const free = minFreeBytes > 0 ? `, ${this.#free} are free on the file system and ${minFreeBytes} must stay so` : '';
    return new NoSpaceError(`no room for ${bytes} bytes within ${waitMs} ms: ${taken}${free}`);
  }
}
