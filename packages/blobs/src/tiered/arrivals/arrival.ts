import type { Timers } from '@granary/resilience';
import {
  type BlobReader,
  type BlobStore,
  CHUNK_BYTES,
  type GrowingBlob,
  type OperationOptions,
  type ReadOptions,
  type WriteObserver,
} from '../../blob-store.js';
import { readRange } from '../../buffer-reader.js';
import type { Digest } from '../../digest.js';
import { BlobDamagedError, isStoreError } from '../../errors.js';
import type { TierAccess } from '../tier-access.js';
import { Deliveries, type DeliveriesContext } from './deliveries.js';
import { FollowingReader } from './following-reader.js';
import { type Delivery, Intake } from './intake.js';

/** The end of a blob that nobody gets before the hash is right, so that nobody ever has all of a wrong blob. */
const HELD_BACK_BYTES = CHUNK_BYTES;

/** The end of a stored blob that stays in memory for those who are about to read it. */
const KEPT_BYTES = 2 * CHUNK_BYTES;

/** The same for a crowd, whose members are not at the same place: no more than two of them by themselves would take. */
const KEPT_FOR_CROWD_BYTES = 16 * CHUNK_BYTES;

/** What those who read along have to have before them in memory for the tier to wait for them. */
const LEAST_AHEAD_BYTES = 4 * CHUNK_BYTES;

/** What is left of a blob is fetched for later although nobody waits any more, when it is no more than this. */
const WORTH_FINISHING_BYTES = 4 * 1024 * 1024;

export interface ArrivalContext extends DeliveriesContext {
  readonly local: BlobStore;
  /** Bytes that one of the blobs that arrive now may keep in memory. */
  readonly memoryBytes: () => number;
  readonly timers: Timers;
  /** A blob straight from a tier, for when the local store can't take it. */
  readonly passOn: (digest: Digest, options: ReadOptions | undefined) => Promise<BlobReader | undefined>;
  /** Told when a blob has come from a tier into the local store. */
  readonly onStored: (digest: Digest, from: TierAccess) => void;
}

/**
 * - `asking`: no tier has answered yet
 * - `arriving`: its bytes come
 * - `stored`: it is in the local store
 * - `absent`: no tier has it
 * - `unstorable`: a tier has it, but the local store can't take it
 * - `failed`: see {@link Arrival.failure}
 */
export type ArrivalState = 'asking' | 'arriving' | 'stored' | 'absent' | 'unstorable' | 'failed';

/**
 * A large blob on its way from a tier into the local store: fetched once, however many ask, and read by all of them
 * while it comes. A delivery that breaks off is taken up where it ended, by the next tier if need be; the hash of the
 * whole decides.
 */
export class Arrival implements WriteObserver {
  readonly digest: Digest;
  readonly #context: ArrivalContext;
  readonly #asked: OperationOptions | undefined;
  readonly #controller = new AbortController();
  readonly #waiting = new Set<() => void>();
  readonly #deliveries: Deliveries;
  #state: ArrivalState = 'asking';
  #failure: unknown;
  #growing: GrowingBlob | undefined;
  #verified = false;
  #followers = 0;
  /** What the follower who is before all others wants next. */
  #furthest = 0;
  /** Counts the times that what came turned out wrong, or could not be stored: those who got some of it can't go on. */
  #generation = 0;
  #intake: Intake | undefined;
  /** Counts what {@link progress} waits for. */
  #news = 0;

  /** @param asked options of whoever asks first: its span is the parent of what happens here */
  constructor(digest: Digest, context: ArrivalContext, asked: OperationOptions | undefined) {
    this.digest = digest;
    this.#context = context;
    this.#asked = asked;
    this.#deliveries = new Deliveries(digest, context, asked, this.signal);
  }

  get state(): ArrivalState {
    return this.#state;
  }

  /** The tier that it comes from, the last one where one took over from another. */
  get from(): string | undefined {
    return this.#deliveries.from;
  }

  /** Why it failed, or what came before turned out to be of no use. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Who has got bytes of an earlier generation has got wrong ones. */
  get generation(): number {
    return this.#generation;
  }

  /** Aborted when it is told to stop. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether it was told to stop: who comes now had better begin anew. */
  get isStopped(): boolean {
    return this.#controller.signal.aborted;
  }

  /** Changes with everything that a follower may wait for. */
  get news(): number {
    return this.#news;
  }

  /** Brings the blob; never rejects. */
  async run(): Promise<void> {
    try {
      this.signal.throwIfAborted();
      this.#settle(await this.#bring());
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends it before it has begun. */
  fail(reason: unknown): void {
    this.#failure = reason;
    this.#settle('failed');
  }

  /** Stops it: whoever follows gets the reason. */
  stop(reason: unknown): void {
    this.#controller.abort(reason);
    // A delivery that hangs doesn't notice by itself.
    this.#intake?.close();
  }

  /** A reader of what comes, once it is clear that it does; undefined when no tier has the blob. */
  async follow(options: ReadOptions | undefined): Promise<BlobReader | 'unstorable' | undefined> {
    this.#followers++;
    let reader: BlobReader | undefined;
    try {
      while (this.#state === 'asking') await this.progress(this.#news, options?.signal);
      if (this.#state === 'unstorable') return 'unstorable';
      if (this.#state === 'failed') throw this.#failure;
      if (this.#state === 'absent') return undefined;
      const range = readRange(this.digest.size, options);
      reader = new FollowingReader(this, this.#context, range, options);
      this.reached(range.offset);
      return reader;
    } finally {
      if (!reader) this.leave();
    }
  }

  /** A follower wants what comes from a position on. */
  reached(position: number): void {
    if (position <= this.#furthest) return;
    this.#furthest = position;
    this.#intake?.wake();
  }

  /** A follower has gone. */
  leave(): void {
    if (--this.#followers > 0 || this.#isWorthFinishing()) return;
    this.stop(new DOMException('nobody waits for the blob any more', 'AbortError'));
  }

  /** Where the bytes end that may be handed out now. */
  get readableTo(): number {
    const { size } = this.digest;
    if (this.#verified || this.#state === 'stored') return size;
    return Math.min(this.#received, size - HELD_BACK_BYTES);
  }

  get #received(): number {
    return this.#intake?.chunks.end ?? 0;
  }

  /** A whole chunk that begins at a position and ends at the limit at the latest, if one is in memory: all share it. */
  shared(position: number, limit: number): Buffer | undefined {
    return this.#intake?.chunks.shared(position, limit);
  }

  /** Copies bytes before {@link readableTo}; 0 when they are not here any more. */
  read(target: Buffer, targetStart: number, length: number, position: number): number | Promise<number> {
    const chunks = this.#intake?.chunks;
    if (chunks && position >= chunks.start) return chunks.copy(target, targetStart, length, position);
    return this.#growing?.read(target, targetStart, length, position) ?? 0;
  }

  /**
   * Resolves when there is something new: bytes, or another state; at once when {@link news} has changed since it was
   * looked at. Rejects when the signal aborts.
   */
  progress(seen: number, signal: AbortSignal | undefined): Promise<void> {
    if (seen !== this.#news) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const wake = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.delete(wake);
        reject(signal?.reason);
      };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.add(wake);
    });
  }

  onGrowing(blob: GrowingBlob): void {
    this.#growing = blob;
  }

  onVerified(): void {
    this.#verified = true;
    this.#wakeAll();
  }

  async #bring(): Promise<ArrivalState> {
    const { local, logger } = this.#context;
    const { signal } = this.#controller;
    for (;;) {
      const delivery = await this.#deliveries.open(0);
      if (!delivery) {
        if (this.#generation === 0) return 'absent';
        throw this.#failure;
      }
      const intake = this.#takeIn(delivery);
      const begin = () => {
        this.#intake = intake;
        this.#settle('arriving');
        return intake.source();
      };
      try {
        const source = { [Symbol.asyncIterator]: begin };
        await local.write(this.digest, source, { signal, span: this.#asked?.span, observer: this });
        this.#context.onStored(this.digest, intake.sources.at(-1) ?? delivery.from);
        intake.chunks.trim(this.#isCrowd ? KEPT_FOR_CROWD_BYTES : KEPT_BYTES, this.digest.size);
        return 'stored';
      } catch (error) {
        this.#growing = undefined;
        this.#intake = undefined;
        if (signal.aborted) throw signal.reason;
        if (isWrong(error)) {
          this.#deliveries.blame(intake.sources, error);
          this.#disown(new BlobDamagedError(`${this.digest} was delivered damaged`, { cause: error }));
        } else if (isOfLocalStore(error)) {
          logger.warning('{Digest} is passed on without being stored', String(this.digest), error);
          this.#disown(error);
          return 'unstorable';
        } else {
          throw error;
        }
      } finally {
        // A write that found the blob there, or could not begin, has not touched the source.
        intake.close();
      }
    }
  }

  #takeIn(first: Delivery): Intake {
    return new Intake(first, {
      size: this.digest.size,
      memoryBytes: this.#context.memoryBytes,
      isFarAhead: (received) => this.#isFarAhead(received),
      timers: this.#context.timers,
      resume: (received, brokenOff, failure) => this.#deliveries.resume(received, brokenOff, failure),
      onNews: () => this.#wakeAll(),
    });
  }

  /** What has come is of no use; those who got none of it can still get what comes next. */
  #disown(reason: unknown): void {
    this.#failure = reason;
    this.#generation++;
    this.#furthest = 0;
    this.#wakeAll();
  }

  get #isCrowd(): boolean {
    return this.#followers > 1;
  }

  /**
   * Whether a crowd has enough in memory. What comes faster than it can be sent on would be gone from there when its
   * turn comes, and each would have to read it from the disk.
   */
  #isFarAhead(received: number): boolean {
    if (!this.#isCrowd) return false;
    const ahead = this.#context.memoryBytes() / 2;
    return ahead >= LEAST_AHEAD_BYTES && received - this.#furthest > ahead;
  }

  #isWorthFinishing(): boolean {
    if (this.#state !== 'arriving') return this.#state !== 'asking';
    const rest = this.digest.size - this.#received;
    return rest <= WORTH_FINISHING_BYTES || rest <= this.digest.size / 2;
  }

  #settle(state: ArrivalState): void {
    this.#state = state;
    this.#wakeAll();
  }

  #wakeAll(): void {
    this.#news++;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }
}

function isWrong(error: unknown): boolean {
  return isStoreError(error) && (error.code === 'DIGEST_MISMATCH' || error.code === 'BLOB_DAMAGED');
}

/** Whether the local store failed, and neither the tier nor the caller. */
function isOfLocalStore(error: unknown): boolean {
  return isStoreError(error) && error.code !== 'STORE_CLOSED' && error.code !== 'TIER_UNAVAILABLE';
}
