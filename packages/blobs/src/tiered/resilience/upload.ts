import {
  coarseTimers,
  type EndListener,
  listenForAbort,
  TimeoutError,
  type Timers,
  unlistenForAbort,
} from '@granary/resilience';
import { type BlobSource, CHUNK_BYTES } from '../../blob-store.js';

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
  /** Between chunks. */
  readonly idleTimeoutMs: number;
  readonly timers: Timers | undefined;
}

/**
 * Watches that an upload gets on: the time that the tier takes for each step is bounded, the time that our own content
 * takes is not the tier's. What hangs is told to stop, the content is closed, and nobody waits for the rest.
 */
export class Upload implements EndListener {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #times: UploadTimes;
  readonly #timers: Timers;
  readonly #controller = new AbortController();
  #reject: (reason: unknown) => void = () => {};
  #timer: unknown;
  /** Begun only when the tier asks for the first chunk, which it need not. */
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #over = false;
  #sourceEnded = false;
  #sourceFailure: SourceFailedError | undefined;

  constructor(source: BlobSource, times: UploadTimes) {
    this.#source = source instanceof Uint8Array ? chunksOf(source) : source;
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
    send: (source: AsyncIterable<Uint8Array>, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#reject = reject;
      this.#expect(this.#times.attemptTimeoutMs);
      listenForAbort(signal, this);
      if (this.#over) return;
      send(this.#watched(), this.#controller.signal).then(resolve, (error: unknown) =>
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
    this.#timer = this.#timers.setTimeout(() => this.end(this.#sourceFailure ?? new TimeoutError(ms)), ms);
  }

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
