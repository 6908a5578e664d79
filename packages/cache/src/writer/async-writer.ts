import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import {
  coarseTimers,
  isTimeout,
  MAX_TIMER_MS,
  quietly,
  type Timers,
  toMaybePromise,
  withTimeout,
} from '@granary/resilience';
import type { MetricsCollector } from '@granary/telemetry';
import { CacheClosedError } from '../errors.js';
import type { Layer, MaybePromise, OpOptions, SetOptions } from '../layer.js';
import { type AsyncWriterOptions, type AsyncWriterStats, checkWriterOptions } from './async-writer-options.js';
import type { Change, KeyLine } from './pending-write.js';
import { WriteQueue } from './write-queue.js';

/** A layer that answers at once is given so many writes before the rest of the process gets its turn. */
const WRITES_PER_TURN = 64;

/**
 * Writes to a layer behind its callers' backs: they go on as soon as the write has room. Room is bounded, in writes and
 * in bytes. When there is none, a caller waits up to `maxWaitMs`; then the write is dropped, and the answer says so.
 *
 * Changes of one key reach the layer in the order in which they were given, one at a time, and a newer one replaces one
 * that hasn't started, in its place. Lifetimes count from when the value was given; one that is over by its turn is
 * written all the same, with a lifetime below 0, because what the layer has is older still. What the layer throws is
 * counted, and goes to `onFailure`.
 *
 * The writer doesn't close its layer.
 */
export class AsyncWriter<V> {
  readonly layer: Layer<V>;
  readonly #options: AsyncWriterOptions<V>;
  readonly #workers: number;
  readonly #maxBytes: number;
  readonly #clock: () => number;
  readonly #timers: Timers;
  readonly #metrics: MetricsCollector | undefined;
  readonly #queue: WriteQueue<V>;
  /** Ends the writes under way that `close` doesn't wait for any longer. */
  readonly #end = new AbortController();
  #running = 0;
  #startsSoon = false;
  #closing: Promise<void> | undefined;
  #dropped = 0;
  #total = 0;
  #failed = 0;

  /** @throws InvalidOptionError that names the option */
  constructor(layer: Layer<V>, options: AsyncWriterOptions<V> = {}) {
    checkWriterOptions(options);
    const { maxEntries = 10_000, maxWaitMs = 100, maxWaiting = 1000 } = options;
    this.layer = layer;
    this.#options = options;
    this.#workers = options.workers ?? 4;
    this.#maxBytes = options.maxBytes ?? Number.POSITIVE_INFINITY;
    this.#clock = options.clock ?? Date.now;
    this.#timers = options.timers ?? coarseTimers;
    this.#metrics = options.metrics?.enabled === false ? undefined : options.metrics;
    this.#queue = new WriteQueue<V>({
      maxEntries,
      maxBytes: this.#maxBytes,
      maxWaitMs,
      maxWaiting,
      timers: this.#timers,
      onReady: () => this.#startSoon(),
      onDepth: (depth) => {
        if (this.#metrics !== undefined) quietly(() => this.#metrics?.recordQueueDepth(this.layer.name, depth));
      },
      onDrop: () => this.#drop(),
    });
    setMaxListeners(0, this.#end.signal);
  }

  /**
   * Whether the value will be written: true as soon as it has room (or a newer one has taken its place), false when it
   * was dropped, as everything is after {@link close}. Answers at once where it needn't wait.
   *
   * @param options an abort ends the wait for room, and nothing else: the promise rejects with the signal's reason
   */
  set(key: string, value: V, options?: SetOptions): MaybePromise<boolean> {
    const bytes = this.#sizeOf(value, key);
    // Written so that what is no number has no room either.
    if (!(bytes >= 0 && bytes <= this.#maxBytes)) return this.#drop();
    const { ttlMs, graceMs, signal } = options ?? {};
    const expiresAt = ttlMs === undefined ? undefined : this.#clock() + ttlMs;
    return this.#offer(key, { kind: 'set', value, expiresAt, graceMs }, bytes, signal);
  }

  /** Whether the key will be deleted; as {@link set}. */
  delete(key: string, options?: OpOptions): MaybePromise<boolean> {
    return this.#offer(key, { kind: 'delete' }, 0, options?.signal);
  }

  /** The newest change of a key that is accepted or waits for room, and that the layer hasn't answered yet. */
  pending(key: string): Change<V> | undefined {
    return this.#queue.newest(key);
  }

  /**
   * Waits for what has been given so far. Answers whether all of it was written: false when some of it failed or was
   * dropped, or when the time was up.
   */
  async flush(timeoutMs: number): Promise<boolean> {
    const flush = this.#queue.startFlush();
    if (flush === undefined) return true;
    try {
      const waitMs = Math.min(timeoutMs, MAX_TIMER_MS);
      return await withTimeout(() => flush.done, waitMs, { timers: this.#timers });
    } catch (error) {
      if (isTimeout(error)) return false;
      throw error;
    } finally {
      this.#queue.endFlush(flush);
    }
  }

  /** Forgets what hasn't started, and waits for what has: a layer that is cleared then stays clear. */
  async discard(): Promise<void> {
    this.#queue.supersedeAll();
    await this.#queue.startFlush()?.done;
  }

  /**
   * Takes nothing more, and waits up to `closeTimeoutMs` for what was accepted. What hasn't started by then is dropped,
   * and what is under way is aborted. May be called twice.
   */
  close(): Promise<void> {
    this.#closing ??= this.#drain();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  stats(): AsyncWriterStats {
    return {
      queueDepth: this.#queue.depth,
      queuedBytes: this.#queue.bytes,
      waiting: this.#queue.waiting,
      droppedWrites: this.#dropped,
      supersededWrites: this.#queue.superseded,
      totalWrites: this.#total,
      failedWrites: this.#failed,
    };
  }

  #sizeOf(value: V, key: string): number {
    try {
      return this.#options.sizeOf?.(value, key) ?? 0;
    } catch {
      return Number.NaN;
    }
  }

  #offer(key: string, change: Change<V>, bytes: number, signal: AbortSignal | undefined): MaybePromise<boolean> {
    if (this.#closing !== undefined) return this.#drop();
    if (signal?.aborted) return Promise.reject(signal.reason);
    return this.#queue.offer(key, change, bytes, signal);
  }

  #drop(): false {
    this.#dropped++;
    if (this.#metrics !== undefined) quietly(() => this.#metrics?.recordWriteDropped(this.layer.name));
    return false;
  }

  async #drain(): Promise<void> {
    await this.flush(this.#options.closeTimeoutMs ?? 5000);
    this.#queue.dropAll();
    this.#end.abort(new CacheClosedError(`the writer to ${this.layer.name}`));
  }

  #startSoon(): void {
    if (this.#startsSoon || this.#running === this.#workers) return;
    this.#startsSoon = true;
    setImmediate(this.#startReady);
  }

  readonly #startReady = (): void => {
    this.#startsSoon = false;
    for (let i = 0; i < WRITES_PER_TURN && this.#running < this.#workers; i++) {
      const line = this.#queue.next();
      if (line?.running === undefined) return;
      this.#start(line, line.running.change);
    }
    if (this.#queue.hasReady) this.#startSoon();
  };

  #start(line: KeyLine<V>, change: Change<V>): void {
    this.#running++;
    const begun = this.#metrics === undefined ? 0 : performance.now();
    let result: unknown;
    try {
      result = toMaybePromise(this.#apply(line.key, change));
    } catch (error) {
      result = Promise.reject(error);
    }
    if (result instanceof Promise) {
      result.then(
        () => this.#ended(line, begun),
        (error: unknown) => this.#failedWith(error, line, change, begun),
      );
    } else this.#ended(line, begun);
  }

  #apply(key: string, change: Change<V>): unknown {
    const { signal } = this.#end;
    if (change.kind === 'delete') return this.layer.delete(key, { signal });
    const { value, expiresAt, graceMs } = change;
    const ttlMs = expiresAt === undefined ? undefined : expiresAt - this.#clock();
    return this.layer.set(key, value, { ttlMs, graceMs, signal });
  }

  #failedWith(error: unknown, line: KeyLine<V>, change: Change<V>, begun: number): void {
    this.#failed++;
    const { key } = line;
    this.#ended(line, begun, false);
    quietly(() => this.#options.onFailure?.({ layer: this.layer.name, key, operation: change.kind, error }));
  }

  #ended(line: KeyLine<V>, begun: number, written = true): void {
    this.#running--;
    this.#total++;
    if (this.#metrics !== undefined) {
      const ms = performance.now() - begun;
      quietly(() => this.#metrics?.recordAsyncWrite(this.layer.name, written, ms));
    }
    this.#queue.done(line, written);
    if (this.#queue.hasReady) this.#startSoon();
  }
}
