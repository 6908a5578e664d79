import { type BackoffOptions, type Clock, endsWithin, nodeTimers, type Timers, wholeNumber } from '@granary/resilience';
import { type Logger, type MetricsCollector, noopCollector, nullLogger } from '@granary/telemetry';
import type { Digest } from '../../digest.js';
import { EntryPins } from '../../disk/index/entry-pins.js';
import { StoreClosedError } from '../../errors.js';
import type { WriteBehind } from '../tier-writes.js';
import type { QueuedContent } from './queued-write.js';
import { TierQueue, type TierQueueStats } from './tier-queue.js';
import { WriteJournal } from './write-journal.js';

/** Why a write was given up: see {@link WriteBehindQueueOptions.onDropped}. */
export type DropReason =
  | 'full' // there was no room for it
  | 'gone' // what was to be written is not in the local store any more
  | 'refused' // the tier did not take it, again and again, or has no place for it
  | 'no-tier'; // there is no such tier any more

/** Where the writes of one tier go. */
export interface WriteBehindTarget {
  /** The tier's name. */
  readonly tier: string;
  /** Resolves when the tier has the blob; false when it is not here any more. */
  sendBlob(digest: Digest, signal: AbortSignal): Promise<boolean>;
  /** Resolves when the tier has the result and all blobs that it names; false when it is not here any more. */
  sendActionResult(key: string, signal: AbortSignal): Promise<boolean>;
}

export interface WriteBehindQueueOptions {
  /** The queue's own folder; made when it is missing. */
  readonly directory: string;
  /** Where it notes what the local store must not evict. Open that store with the same, after the queue. Default: none. */
  readonly pins?: EntryPins | undefined;
  /** Most writes that wait for one tier, about 600 bytes of memory each. Default 100,000. */
  readonly maxEntries?: number | undefined;
  /**
   * Most bytes of blobs that wait for one tier. They can't be evicted, so leave room for others: not above half of the
   * local store's size for all tiers together. Default 4 GiB.
   */
  readonly maxBytes?: number | undefined;
  /** Writes to one tier at once. Default 8. */
  readonly maxParallel?: number | undefined;
  /** How often a tier may refuse a single write before that is given up. Default 10. */
  readonly maxRefusals?: number | undefined;
  /** Waits after failures. Default 1 s to 30 s. */
  readonly backoff?: BackoffOptions | undefined;
  /** Is told the depth of each queue, what was dropped, and each write with its time. */
  readonly metrics?: MetricsCollector | undefined;
  /** Told of each write that is given up. */
  readonly onDropped?: ((tier: string, what: string, reason: DropReason) => void) | undefined;
  readonly logger?: Logger | undefined;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly clock?: Clock | undefined;
  readonly timers?: Timers | undefined;
}

/** What all queues of tiers share. */
export interface QueueContext {
  readonly journal: WriteJournal;
  readonly pins: EntryPins;
  readonly limits: {
    readonly maxEntries: number;
    readonly maxBytes: number;
    readonly maxParallel: number;
    readonly maxRefusals: number;
  };
  readonly backoff: BackoffOptions | undefined;
  readonly metrics: MetricsCollector;
  readonly onDropped: (tier: string, what: string, reason: DropReason) => void;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Aborted when the queue stops. */
  readonly stopped: AbortSignal;
  nextSequence(): number;
}

/** How long closing waits for writes that were told to stop. */
const STOP_WAIT_MS = 1000;

/**
 * Writes to tiers that nobody waits for. What was queued is kept on the disk until the tier has it: a restart or a kill
 * loses nothing. In order for each tier, several at once, an action result after the blobs that were queued before it;
 * content is opened only when its turn comes. A tier that can't be reached is left alone with growing waits, and for as
 * long as its breaker is open.
 *
 * Open it before the local store, so that what waits is pinned when that begins to evict; {@link start} it when the tiers
 * are there; close it before both.
 */
export class WriteBehindQueue implements WriteBehind, AsyncDisposable {
  readonly #context: QueueContext;
  readonly #stop = new AbortController();
  readonly #queues = new Map<string, TierQueue>();
  readonly #known = new Set<string>();
  #sequence = 0;
  #started = false;
  #closing: Promise<void> | undefined;

  private constructor(journal: WriteJournal, options: WriteBehindQueueOptions) {
    const { maxEntries = 100_000, maxBytes = 4 * 1024 ** 3, maxParallel = 8, maxRefusals = 10 } = options;
    this.#context = {
      journal,
      pins: options.pins ?? new EntryPins(),
      limits: {
        maxEntries: wholeNumber('maxEntries', maxEntries),
        maxBytes: wholeNumber('maxBytes', maxBytes),
        maxParallel: wholeNumber('maxParallel', maxParallel),
        maxRefusals: wholeNumber('maxRefusals', maxRefusals),
      },
      backoff: options.backoff,
      metrics: options.metrics ?? noopCollector,
      onDropped: options.onDropped ?? (() => {}),
      logger: options.logger ?? nullLogger,
      clock: options.clock ?? Date.now,
      timers: options.timers ?? nodeTimers,
      stopped: this.#stop.signal,
      nextSequence: () => ++this.#sequence,
    };
  }

  /**
   * Opens the queue with what waits in its folder.
   *
   * @throws StoreLockedError when another process has the folder
   * @throws StoreError (`STORE_FAILED`) when it can't be used
   * @throws InvalidOptionError that names the option
   */
  static async open(options: WriteBehindQueueOptions): Promise<WriteBehindQueue> {
    const journal = await WriteJournal.open(options.directory);
    try {
      const queue = new WriteBehindQueue(journal, options);
      queue.#restore();
      return queue;
    } catch (error) {
      await journal.close();
      throw error;
    }
  }

  /** Begins to write. What waits for tiers that are not among these is dropped. */
  start(targets: readonly WriteBehindTarget[]): void {
    this.#assertOpen();
    this.#started = true;
    for (const target of targets) {
      this.#known.add(target.tier);
      this.#queueOf(target.tier).start(target);
    }
    for (const [tier, queue] of this.#queues) if (!this.#known.has(tier)) queue.dropAll('no-tier');
  }

  /** @throws StoreError when the write could not be kept */
  async blob(tier: string, digest: Digest): Promise<void> {
    await this.#add(tier, { blob: digest.compact() });
  }

  /** @throws StoreError when the write could not be kept */
  async actionResult(tier: string, key: string): Promise<void> {
    await this.#add(tier, { actionResult: key });
  }

  /** The queue of each tier. */
  stats(): readonly TierQueueStats[] {
    return Array.from(this.#queues.values(), (queue) => queue.stats());
  }

  /** Resolves when nothing waits and nothing is under way, or everything that waits is left alone for now. */
  async settled(): Promise<void> {
    await Promise.all(Array.from(this.#queues.values(), (queue) => queue.settled()));
  }

  /**
   * Takes nothing more, writes what can be written within the time, and keeps the rest for the next start. May be called
   * twice.
   *
   * @param deadlineMs time for what can be written; a tier that doesn't answer now isn't waited for. Default 0.
   */
  close(deadlineMs = 0): Promise<void> {
    this.#closing ??= this.#close(deadlineMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(deadlineMs: number): Promise<void> {
    const { timers } = this.#context;
    if (deadlineMs > 0 && this.#started) await endsWithin(deadlineMs, this.settled(), timers);
    this.#stop.abort(new StoreClosedError());
    const stopped = Promise.all(Array.from(this.#queues.values(), (queue) => queue.stop()));
    await endsWithin(STOP_WAIT_MS, stopped, timers);
    await this.#context.journal.close();
  }

  #assertOpen(): void {
    if (this.#closing) throw new StoreClosedError();
  }

  #add(tier: string, content: QueuedContent): Promise<void> {
    this.#assertOpen();
    if (this.#started && !this.#known.has(tier)) throw new RangeError(`there is no tier ${tier} to write to`);
    return this.#queueOf(tier).add(content);
  }

  #restore(): void {
    const { journal, logger } = this.#context;
    const { writes, malformed } = journal.load();
    for (const write of writes) {
      this.#sequence = Math.max(this.#sequence, write.sequence);
      this.#queueOf(write.tier).restore(write);
    }
    if (malformed > 0) logger.error('{Count} queued writes could not be read and are lost', malformed);
    if (writes.length > 0) logger.information('{Count} writes to tiers wait from before', writes.length);
  }

  #queueOf(tier: string): TierQueue {
    let queue = this.#queues.get(tier);
    if (!queue) {
      queue = new TierQueue(tier, this.#context);
      this.#queues.set(tier, queue);
    }
    return queue;
  }
}
