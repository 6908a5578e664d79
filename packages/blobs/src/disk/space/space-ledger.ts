import type { MaybePromise } from '../../blob-store.js';
import { NoSpaceError } from '../../errors.js';

/** Space set aside for one upload. Exactly one of the two ends it; ending it again does nothing. */
export interface Reservation {
  /** The bytes are in the store now. */
  commit(): void;
  /** The upload came to nothing. */
  release(): void;
}

interface Waiter {
  readonly bytes: number;
  readonly admit: () => void;
  readonly refuse: (error: unknown) => void;
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
/** A large store needs no larger headroom than uploads fill while the janitor gets going. */
const MOST_HEADROOM = 2 * 1024 ** 3;

/**
 * Who has how much of the space. An upload reserves before its first byte and commits at its end, so that the limit
 * holds however many arrive at once; what doesn't fit waits its turn, for a bounded time.
 */
export class SpaceLedger {
  readonly #options: SpaceLedgerOptions;
  readonly #waiters = new Set<Waiter>();
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

  /** Sets what is in the store, when that has been counted anew. */
  recount(used: number): void {
    this.#used = used;
    this.admitWaiters();
  }

  /** Notes what the file system has left. */
  sawFree(bytes: number): void {
    this.#free = bytes;
    this.#spent = this.#reserved;
    this.admitWaiters();
  }

  /** Notes a change of what is in the store that needed no reservation. */
  add(bytes: number): void {
    this.#used = Math.max(0, this.#used + bytes);
    if (bytes < 0) this.admitWaiters();
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
    const left = this.#free - this.#spent - this.#waiting;
    return left < minFreeBytes * 1.05 ? minFreeBytes * 1.1 - left : 0;
  }

  /**
   * Sets space aside; answers at once when there is enough.
   *
   * @throws NoSpaceError when there is none within the time that uploads wait, or never can be
   */
  reserve(bytes: number, signal?: AbortSignal): MaybePromise<Reservation> {
    if (this.#waiters.size === 0 && this.#fits(bytes)) return this.#take(bytes);
    if (bytes > this.#options.maxBytes)
      throw new NoSpaceError(`${bytes} bytes are more than the whole store may take (${this.#options.maxBytes})`);
    if (this.#waiters.size >= MOST_WAITERS) throw new NoSpaceError('too many uploads wait for space already');
    return this.#wait(bytes, signal);
  }

  /** Turns what an entry had into a reservation, until its file is gone too. */
  retire(bytes: number): Reservation {
    this.#used = Math.max(0, this.#used - bytes);
    this.#reserved += bytes;
    return this.#reservation(bytes);
  }

  /** Lets those in for whom there is room now, in the order in which they came. */
  admitWaiters(): void {
    for (const waiter of this.#waiters) {
      if (!this.#fits(waiter.bytes)) break;
      waiter.admit();
    }
  }

  /** Refuses everyone who waits. */
  close(error: Error): void {
    for (const waiter of this.#waiters) waiter.refuse(error);
  }

  #fits(bytes: number): boolean {
    const { maxBytes, minFreeBytes } = this.#options;
    if (this.#used + this.#reserved + bytes > maxBytes) return false;
    return minFreeBytes === 0 || this.#free - this.#spent - bytes >= minFreeBytes;
  }

  #take(bytes: number): Reservation {
    this.#reserved += bytes;
    this.#spent += bytes;
    if (this.excess() > 0 || this.freeShortage() > 0) this.#options.onPressure();
    return this.#reservation(bytes);
  }

  #reservation(bytes: number): Reservation {
    let open = true;
    const end = (stored: number) => {
      if (!open) return;
      open = false;
      this.#reserved -= bytes;
      this.#used += stored;
      if (stored === 0) this.admitWaiters();
    };
    return { commit: () => end(bytes), release: () => end(0) };
  }

  #wait(bytes: number, signal: AbortSignal | undefined): Promise<Reservation> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#waiters.delete(waiter);
        this.#waiting -= bytes;
      };
      const waiter: Waiter = {
        bytes,
        admit: () => {
          leave();
          resolve(this.#take(bytes));
        },
        refuse: (error) => {
          leave();
          reject(error);
          this.admitWaiters();
        },
      };
      const abort = () => waiter.refuse(signal?.reason);
      const timer = setTimeout(() => waiter.refuse(this.#exhausted(bytes)), this.#options.waitMs);
      signal?.addEventListener('abort', abort);
      this.#waiters.add(waiter);
      this.#waiting += bytes;
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
