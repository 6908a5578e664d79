import type { PackageRest, PackageStream } from '@granary/nuget';
import type { Deferred } from '../backlog.js';
import type { PackageEntry } from '../package-entry.js';
import { type ReceiveOptions, receivePackage } from './receive-package.js';
import type { Spool } from './spool.js';

/** The end of a package that nobody gets before the whole is verified, so that nobody ever has all of a wrong one. */
const HELD_BACK_BYTES = 64 * 1024;

/** What is left of a package is fetched for later although nobody waits any more, when it is no more than this. */
const WORTH_FINISHING_BYTES = 4 * 1024 * 1024;

export interface ArrivalOptions extends Omit<ReceiveOptions, 'signal' | 'onChunk'> {
  /** The entry of the package, when that turns out to be there already. */
  readonly find: () => Promise<PackageEntry | undefined>;
  /** Waits for its turn. What it returns is called when the package has come. */
  readonly takeTurn: (signal: AbortSignal) => Promise<() => void>;
  /** Stores what is verified; never rejects, since that it can't be stored is no reason not to give it to who waits. */
  readonly store: (entry: PackageEntry, spool: Spool) => Promise<void>;
  /** Puts off what can wait. */
  readonly later: (work: () => Promise<void>) => Deferred;
  /** Told when all of it is here and was verified. */
  readonly onVerified: (bytes: number) => void;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

/**
 * - `asking`: nothing of it can be handed out yet, and it isn't clear whether there is such a package
 * - `absent`: upstream hasn't got it
 * - `stored`: it had been in the store before
 * - `arriving`: there are bytes that can be handed out
 * - `verified`: all of it is here and can be handed out; it is being stored, or waits for that in memory
 * - `complete`: it is stored, or could not be
 */
export type ArrivalState =
  | { readonly name: 'asking' | 'absent' | 'arriving' }
  | { readonly name: 'stored' | 'verified' | 'complete'; readonly entry: PackageEntry }
  | { readonly name: 'failed'; readonly error: unknown };

/**
 * A package on its way from upstream into the store: fetched once, however many ask, and read by all of them while it
 * comes. Who joins leaves in the end; when all have left, what isn't worth finishing is stopped.
 */
export class Arrival {
  readonly #options: ArrivalOptions;
  readonly #spool: Spool;
  readonly #controller = new AbortController();
  readonly #waiting = new Set<() => void>();
  #state: ArrivalState = { name: 'asking' };
  #length: number | undefined;
  #users = 0;
  #storing: Deferred | undefined;

  constructor(spool: Spool, options: ArrivalOptions) {
    this.#options = options;
    this.#spool = spool;
  }

  get state(): ArrivalState {
    return this.#state;
  }

  /** Bytes in all, as upstream says; when they are here, as it is. */
  get length(): number | undefined {
    return this.#length;
  }

  /** Whether it was told to stop: who comes now had better begin anew. */
  get isStopped(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Whether all of it is here and was verified, stored or not. */
  get isWhole(): boolean {
    return this.#state.name === 'verified' || this.#state.name === 'complete';
  }

  /** Where the bytes end that may be handed out now. */
  get readableTo(): number {
    const { size } = this.#spool;
    return this.isWhole ? size : Math.min(size, (this.#length ?? size) - HELD_BACK_BYTES);
  }

  /** Bytes before {@link readableTo}, for who has joined: at least one. See {@link Spool.read}. */
  read(position: number, length: number, allocate?: (bytes: number) => Buffer): Buffer | Promise<Buffer> {
    return this.#spool.read(position, length, allocate);
  }

  /** Brings the package; never rejects. */
  async run(): Promise<void> {
    try {
      this.#settle(await this.#bring());
    } catch (error) {
      this.#settle({ name: 'failed', error });
    } finally {
      await this.#spool.release();
    }
  }

  /** Stops it, unless all that is left is to store it: whoever follows gets the reason. */
  stop(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** Has it stored now, when that was put off. */
  hurry(): void {
    this.#storing?.hurry();
  }

  /** Whether what comes can be read from now on; false when it is over and all who followed it have left. */
  join(): boolean {
    if (!this.#spool.hold()) return false;
    this.#users++;
    return true;
  }

  /** Ends a {@link join}; reads that were begun have ended. */
  leave(): Promise<void> {
    this.#users--;
    this.#stopIfUnwanted();
    return this.#spool.release();
  }

  /** Calls back once, when there are more bytes or another state. */
  onProgress(wake: () => void): void {
    this.#waiting.add(wake);
  }

  offProgress(wake: () => void): void {
    this.#waiting.delete(wake);
  }

  async #bring(): Promise<ArrivalState> {
    const { signal } = this.#controller;
    const { find, takeTurn, store, later, onVerified, clock } = this.#options;
    const found = await find();
    if (found !== undefined) return { name: 'stored', entry: found };
    const endTurn = await takeTurn(signal);
    let entry: PackageEntry;
    try {
      const stream = await this.#open(signal, undefined);
      if (stream === undefined) return { name: 'absent' };
      if (stream.length !== undefined) this.#spool.stayInMemory(stream.length);
      const content = await receivePackage(stream, this.#spool, {
        ...this.#options,
        signal,
        open: (asking, rest) => this.#open(asking, rest),
        onChunk: (length) => this.#onChunk(length),
      });
      entry = { ...content, storedAt: clock() };
      this.#length = this.#spool.size;
      this.#settle({ name: 'verified', entry });
      onVerified(this.#spool.size);
      // What isn't in memory keeps its turn, since it would fill the disk faster than that can take it.
      if (!this.#spool.staysInMemory) await store(entry, this.#spool);
    } finally {
      endTurn();
    }
    if (this.#spool.staysInMemory) {
      this.#storing = later(() => store(entry, this.#spool));
      await this.#storing.done;
    }
    return { name: 'complete', entry };
  }

  /** Doesn't wait for an answer that nobody wants any more; when it comes, it is thrown away. */
  async #open(signal: AbortSignal, rest: PackageRest | undefined): Promise<PackageStream | undefined> {
    const asked = this.#options.open(signal, rest);
    let abort = () => {};
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(signal.reason);
      signal.addEventListener('abort', abort, { once: true });
    });
    try {
      signal.throwIfAborted();
      return await Promise.race([asked, aborted]);
    } catch (error) {
      asked.then((late) => late?.body.on('error', () => {}).destroy()).catch(() => {});
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /** Who asked gets an answer with the first bytes that may be handed out, and of a small package with a verified one. */
  #onChunk(length: number | undefined): void {
    this.#length = length;
    if (this.#state.name === 'asking' && this.readableTo > 0) this.#settle({ name: 'arriving' });
    else this.#wakeAll();
    this.#stopIfUnwanted();
  }

  #stopIfUnwanted(): void {
    if (this.#users > 0 || this.#isWorthFinishing()) return;
    this.stop(new DOMException('nobody waits for the package any more', 'AbortError'));
  }

  #isWorthFinishing(): boolean {
    if (this.#state.name !== 'asking' && this.#state.name !== 'arriving') return true;
    const { size } = this.#spool;
    if (size === 0) return false;
    // As long as nobody knows better, a package is a small one.
    if (this.#length === undefined) return size <= WORTH_FINISHING_BYTES;
    const rest = this.#length - size;
    return rest <= WORTH_FINISHING_BYTES || rest <= this.#length / 2;
  }

  #settle(state: ArrivalState): void {
    this.#state = state;
    this.#wakeAll();
  }

  #wakeAll(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}
