import { monotonicClock, toMaybePromise } from '@granary/resilience';
import type {
  BlobReader,
  BlobSource,
  BlobStore,
  GetOptions,
  MaybePromise,
  OperationOptions,
  ReadOptions,
  WholeFile,
} from '../blob-store.js';
import { iterateReader } from '../buffer-reader.js';
import type { Digest } from '../digest.js';
import { StoreDecorator } from './store-decorator.js';

export type StoreOperation = 'find' | 'get' | 'read' | 'write' | 'delete';
export type StoreOutcome = 'hit' | 'miss' | 'ok' | 'error';

/** Whoever counts what stores do. What it throws reaches the caller of the store, so it had better not. */
export interface StoreRecorder {
  /**
   * One finished operation.
   *
   * - `find`: `hit` when nothing was missing, else `miss`
   * - `get`, `read`: `hit` or `miss`; a read ends when its reader is at its end or closed
   * - `write`: `ok`; `delete`: `hit` or `miss`; every operation: `error` when it threw
   *
   * Nothing is told of what threw after its caller had gone: that says nothing about the store. A read that was begun is a
   * `hit` then, with what was delivered.
   *
   * @param bytes delivered or taken; 0 for find, delete, misses and errors
   */
  recordOperation(operation: StoreOperation, outcome: StoreOutcome, durationMs: number, bytes: number): void;
}

/** Tells a recorder how each operation went and how long it took. */
class MeteredStore extends StoreDecorator {
  readonly adopt: BlobStore['adopt'];
  readonly #recorder: StoreRecorder;

  constructor(inner: BlobStore, recorder: StoreRecorder) {
    super(inner);
    this.#recorder = recorder;
    if (inner.adopt !== undefined) this.adopt = this.#adopt;
  }

  /** Written out, as {@link get} is (benchmarks `FindMissingBlobs 1` and `GetActionResult`). */
  override findMissing(digests: readonly Digest[], options?: OperationOptions): MaybePromise<Digest[]> {
    const start = monotonicClock();
    let missing: MaybePromise<Digest[]>;
    try {
      missing = toMaybePromise(this.inner.findMissing(digests, options));
    } catch (error) {
      this.#failed('find', start, options);
      throw error;
    }
    if (missing instanceof Promise) return this.#measureLate('find', start, missing, allOrNot, noBytes, options);
    this.#recorder.recordOperation('find', allOrNot(missing), monotonicClock() - start, 0);
    return missing;
  }

  /** Written out: closures for each blob of a batch would show (benchmark `BatchReadBlobs 100x4KiB`). */
  override get(digest: Digest, options?: GetOptions): MaybePromise<Buffer | undefined> {
    const start = monotonicClock();
    let bytes: MaybePromise<Buffer | undefined>;
    try {
      bytes = toMaybePromise(this.inner.get(digest, options));
    } catch (error) {
      this.#failed('get', start, options);
      throw error;
    }
    if (bytes instanceof Promise) return this.#measureLate('get', start, bytes, hitOrMiss, lengthOf, options);
    this.#recorder.recordOperation('get', hitOrMiss(bytes), monotonicClock() - start, lengthOf(bytes));
    return bytes;
  }

  override async read(digest: Digest, options?: ReadOptions): Promise<BlobReader | undefined> {
    const start = monotonicClock();
    try {
      const reader = await this.inner.read(digest, options);
      if (reader) return new MeteredReader(reader, this.#recorder, start, options);
      this.#recorder.recordOperation('read', 'miss', monotonicClock() - start, 0);
      return undefined;
    } catch (error) {
      this.#failed('read', start, options);
      throw error;
    }
  }

  override async write(digest: Digest, source: BlobSource, options?: OperationOptions): Promise<void> {
    await this.#measure(
      'write',
      () => this.inner.write(digest, source, options),
      () => 'ok',
      () => digest.size,
      options,
    );
  }

  async #adopt(digest: Digest, file: WholeFile, options?: OperationOptions): Promise<void> {
    await this.#measure(
      'write',
      () => this.inner.adopt?.(digest, file, options),
      () => 'ok',
      () => digest.size,
      options,
    );
  }

  override async delete(digest: Digest): Promise<boolean> {
    return this.#measure(
      'delete',
      () => this.inner.delete(digest),
      (found) => (found ? 'hit' : 'miss'),
      () => 0,
    );
  }

  /** Answers without a promise when the store does. */
  #measure<T>(
    operation: StoreOperation,
    work: () => MaybePromise<T>,
    outcome: (value: T) => StoreOutcome,
    bytes: (value: T) => number,
    options?: OperationOptions,
  ): MaybePromise<T> {
    const start = monotonicClock();
    let result: MaybePromise<T>;
    try {
      result = toMaybePromise(work());
    } catch (error) {
      this.#failed(operation, start, options);
      throw error;
    }
    if (result instanceof Promise) return this.#measureLate(operation, start, result, outcome, bytes, options);
    this.#recorder.recordOperation(operation, outcome(result), monotonicClock() - start, bytes(result));
    return result;
  }

  async #measureLate<T>(
    operation: StoreOperation,
    start: number,
    result: Promise<T>,
    outcome: (value: T) => StoreOutcome,
    bytes: (value: T) => number,
    options: OperationOptions | undefined,
  ): Promise<T> {
    let value: T;
    try {
      value = await result;
    } catch (error) {
      this.#failed(operation, start, options);
      throw error;
    }
    this.#recorder.recordOperation(operation, outcome(value), monotonicClock() - start, bytes(value));
    return value;
  }

  #failed(operation: StoreOperation, start: number, options: OperationOptions | undefined): void {
    if (options?.signal?.aborted) return;
    this.#recorder.recordOperation(operation, 'error', monotonicClock() - start, 0);
  }
}

const allOrNot = (missing: readonly Digest[]): StoreOutcome => (missing.length === 0 ? 'hit' : 'miss');
const noBytes = () => 0;
const hitOrMiss = (bytes: Buffer | undefined): StoreOutcome => (bytes ? 'hit' : 'miss');
const lengthOf = (bytes: Buffer | undefined): number => bytes?.length ?? 0;

class MeteredReader implements BlobReader {
  readonly length: number;
  readonly #inner: BlobReader;
  readonly #recorder: StoreRecorder;
  readonly #start: number;
  /** Its signal is asked for where something fails: a call makes one only then. */
  readonly #options: ReadOptions | undefined;
  #bytes = 0;
  #recorded = false;

  constructor(inner: BlobReader, recorder: StoreRecorder, start: number, options: ReadOptions | undefined) {
    this.length = inner.length;
    this.#inner = inner;
    this.#recorder = recorder;
    this.#start = start;
    this.#options = options;
  }

  get lasting(): boolean {
    return this.#inner.lasting === true;
  }

  async next(): Promise<Buffer | undefined> {
    try {
      const chunk = await this.#inner.next();
      if (chunk) this.#bytes += chunk.length;
      else this.#record('hit');
      return chunk;
    } catch (error) {
      this.#record(this.#options?.signal?.aborted ? 'hit' : 'error');
      throw error;
    }
  }

  close(): Promise<void> {
    this.#record('hit');
    return this.#inner.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  #record(outcome: StoreOutcome): void {
    if (this.#recorded) return;
    this.#recorded = true;
    const bytes = outcome === 'error' ? 0 : this.#bytes;
    this.#recorder.recordOperation('read', outcome, monotonicClock() - this.#start, bytes);
  }
}

/** The store itself when nobody listens, so that unobserved stores cost nothing. */
export function withRecorder(store: BlobStore, recorder: StoreRecorder | undefined): BlobStore {
  return recorder ? new MeteredStore(store, recorder) : store;
}
