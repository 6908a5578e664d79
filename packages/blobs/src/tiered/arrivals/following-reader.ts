import { type BlobReader, CHUNK_BYTES, CHUNK_HEADROOM, type ReadOptions } from '../../blob-store.js';
import { iterateReader } from '../../buffer-reader.js';
import { BlobDamagedError } from '../../errors.js';
import type { Arrival, ArrivalContext } from './arrival.js';

/**
 * Reads a blob while it arrives, from its own offset, and the rest from the local store when it is there. When what
 * arrived is of no use, whoever has got none of it goes on with what comes next.
 */
export class FollowingReader implements BlobReader {
  readonly length: number;
  readonly #arrival: Arrival;
  readonly #context: ArrivalContext;
  readonly #options: ReadOptions | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #start: number;
  readonly #end: number;
  #position: number;
  /** What the bytes that were handed out belong to. */
  #generation = 0;
  #memory: Buffer | undefined;
  #rest: BlobReader | undefined;
  #isShared = false;
  #closed = false;

  constructor(
    arrival: Arrival,
    context: ArrivalContext,
    range: { readonly offset: number; readonly length: number },
    options: ReadOptions | undefined,
  ) {
    this.#arrival = arrival;
    this.#context = context;
    this.#options = options;
    this.#signal = options?.signal;
    this.length = range.length;
    this.#start = range.offset;
    this.#position = range.offset;
    this.#end = range.offset + range.length;
  }

  get lasting(): boolean {
    return this.#rest ? this.#rest.lasting === true : this.#isShared;
  }

  async next(): Promise<Buffer | undefined> {
    while (!this.#closed) {
      this.#signal?.throwIfAborted();
      if (this.#rest) return this.#rest.next();
      if (this.#position === this.#end) break;
      const { news, state } = this.#arrival;
      if (this.#hasWrongBytes()) throw this.#arrival.failure;
      const chunk = await this.#nextOfArrival();
      if (chunk) return chunk;
      if (state === 'failed') throw this.#arrival.failure;
      if (state === 'stored') await this.#openRest();
      else if (state === 'unstorable') await this.#openElsewhere();
      else await this.#arrival.progress(news, this.#signal);
    }
    await this.close();
    return undefined;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#memory = undefined;
    this.#arrival.leave();
    await this.#rest?.close();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  #hasWrongBytes(): boolean {
    return this.#position !== this.#start && this.#generation !== this.#arrival.generation;
  }

  /** What has come and hasn't been delivered; undefined when that is nothing. */
  async #nextOfArrival(): Promise<Buffer | undefined> {
    const { readableTo, state, generation } = this.#arrival;
    const limit = Math.min(readableTo, this.#end);
    const ready = limit - this.#position;
    if (ready <= 0 || (state !== 'arriving' && state !== 'stored')) return undefined;
    const shared = this.#arrival.shared(this.#position, limit);
    if (shared) {
      this.#memory = undefined;
      return this.#give(shared, generation, true);
    }
    if (state === 'stored') return undefined;
    this.#memory ??= this.#takeMemory();
    const bytes = Math.min(ready, this.#memory.length - CHUNK_HEADROOM);
    const read = await this.#arrival.read(this.#memory, CHUNK_HEADROOM, bytes, this.#position);
    if (read === 0 || generation !== this.#arrival.generation) return undefined;
    const chunk = this.#memory?.subarray(CHUNK_HEADROOM, CHUNK_HEADROOM + read);
    return chunk && this.#give(chunk, generation, false);
  }

  /** For a reader who is behind: smaller where many blobs arrive. */
  #takeMemory(): Buffer {
    const bytes = Math.min(CHUNK_BYTES, this.length, this.#context.memoryBytes() / 2);
    return Buffer.allocUnsafeSlow(CHUNK_HEADROOM + Math.ceil(bytes));
  }

  #give(chunk: Buffer, generation: number, isShared: boolean): Buffer {
    this.#generation = generation;
    this.#position += chunk.length;
    this.#isShared = isShared;
    this.#arrival.reached(this.#position);
    return chunk;
  }

  async #openRest(): Promise<void> {
    const { digest } = this.#arrival;
    const limit = this.#end - this.#position;
    const { local } = this.#context;
    this.#use(await local.read(digest, { offset: this.#position, limit, signal: this.#signal }));
  }

  /** The local store can't take the blob, and nothing of it has been handed out here. */
  async #openElsewhere(): Promise<void> {
    this.#use(await this.#context.passOn(this.#arrival.digest, this.#options));
  }

  #use(rest: BlobReader | undefined): void {
    if (!rest) throw new BlobDamagedError(`${this.#arrival.digest} went away while it was read`);
    this.#rest = rest;
    this.#memory = undefined;
    if (this.#closed) void rest.close().catch(() => {});
  }
}
