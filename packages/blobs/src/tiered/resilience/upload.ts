import {
  type Clock,
  coarseTimers,
  type EndListener,
  listenForAbort,
  TimeoutError,
  type Timers,
  unlistenForAbort,
} from '@granary/resilience';
import { type BlobSource, CHUNK_BYTES } from '../../blob-store.js';

/** Larger ones are uploaded in chunks, so that their time depends on whether they get on. */
const MOST_WHOLE_BYTES = 4 * CHUNK_BYTES;

/** What was to be uploaded could not be read: that says nothing about the tier. */
export class SourceFailedError extends Error {
  constructor(cause: unknown) {
    super('the content could not be read', { cause });
    this.name = 'SourceFailedError';
  }
}

export interface UploadTimes {
  /** Until the first chunk is asked for, and from the last one to the answer. */
  readonly attemptTimeoutMs: number;
  /** Between chunks; and when the store says that it gets on, until it does so again. */
  readonly idleTimeoutMs: number;
  readonly clock: Clock;
  readonly timers: Timers | undefined;
}

/**
 * Watches that an upload gets on: the time that the tier takes for each step is bounded, the time that our own content
 * takes is not the tier's. What hangs is told to stop, the content is closed, and nobody waits for the rest.
 */
export class Upload implements EndListener {
  /** Bytes in memory that are sent at once. */
  readonly #whole: Uint8Array | undefined;
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #times: UploadTimes;
  readonly #timers: Timers;
  readonly #controller = new AbortController();
  #reject: (reason: unknown) => void = () => {};
  #timer: unknown;
  /** How long the tier may take for what it does now, and since when. */
  #allowedMs = 0;
  #movedAt = 0;
  /** Whether the tier has said that it gets on: then it does so each time. */
  #isTelling = false;
  /** Begun only when the tier asks for the first chunk, which it need not. */
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #over = false;
  #sourceEnded = false;
  #sourceFailure: SourceFailedError | undefined;

  constructor(source: BlobSource, times: UploadTimes) {
    const isInMemory = source instanceof Uint8Array;
    this.#whole = isInMemory && source.length <= MOST_WHOLE_BYTES ? source : undefined;
    this.#source = isInMemory ? chunksOf(source) : source;
    this.#times = times;
    this.#timers = times.timers ?? coarseTimers;
  }

  /**
   * @param signal the caller's
   * @param send uploads what it is given
   * @throws SourceFailedError when it was the content that failed
   */
  run(
    signal: AbortSignal,
    send: (source: BlobSource, signal: AbortSignal, onProgress: () => void) => Promise<void>,
  ): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      this.#expect(this.#times.attemptTimeoutMs);
      listenForAbort(signal, this);
      if (this.#over) return;
      send(this.#whole ?? this.#watched(), this.#controller.signal, this.#onProgress).then(resolve, (error: unknown) =>
        reject(this.#sourceFailure ?? error),
      );
    }).finally(() => {
      this.#over = true;
      this.#timers.clearTimeout(this.#timer);
      unlistenForAbort(signal, this);
      this.#closeSource();
    });
  }

  /** Nobody waits any more, or the time is up. */
  end(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#controller.abort(reason);
    this.#reject(reason);
  }

  /** From then on the tier may take as long as it doesn't stand still: how much of it waits in buffers nobody knows. */
  readonly #onProgress = (): void => {
    this.#isTelling = true;
    this.#movedAt = this.#times.clock();
  };

  #watched(): AsyncIterable<Uint8Array> {
    const iterator: AsyncIterator<Uint8Array> = {
      next: () => this.#next(),
      return: async () => {
        this.#closeSource();
        return { done: true, value: undefined };
      },
    };
    return { [Symbol.asyncIterator]: () => iterator };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#over || this.#sourceEnded) return { done: true, value: undefined };
    this.#timers.clearTimeout(this.#timer);
    try {
      this.#iterator ??= this.#source[Symbol.asyncIterator]();
      const step = await this.#iterator.next();
      if (step.done) this.#sourceEnded = true;
      if (!this.#over) this.#expect(step.done ? this.#times.attemptTimeoutMs : this.#times.idleTimeoutMs);
      return step;
    } catch (error) {
      this.#sourceEnded = true;
      this.#sourceFailure = new SourceFailedError(error);
      if (!this.#over) this.#expect(this.#times.attemptTimeoutMs);
      throw error;
    }
  }

  #expect(ms: number): void {
    this.#allowedMs = ms;
    if (this.#isTelling) this.#movedAt = this.#times.clock();
    this.#timer = this.#timers.setTimeout(this.#onTime, ms);
  }

  readonly #onTime = (): void => {
    if (this.#isTelling) this.#allowedMs = Math.max(this.#allowedMs, this.#times.idleTimeoutMs);
    const leftMs = this.#isTelling ? this.#movedAt + this.#allowedMs - this.#times.clock() : 0;
    if (leftMs > 0) this.#timer = this.#timers.setTimeout(this.#onTime, leftMs);
    else this.end(this.#sourceFailure ?? new TimeoutError(this.#allowedMs));
  };

  #closeSource(): void {
    if (this.#sourceEnded) return;
    this.#sourceEnded = true;
    // Not waited for: it may be in the middle of a read.
    void Promise.resolve(this.#iterator?.return?.()).catch(() => {});
  }
}

async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}
