import { type BlobReader, type BlobStore, CHUNK_BYTES, CHUNK_HEADROOM } from '../blob-store.js';
import { iterateReader } from '../buffer-reader.js';
import { BlobDamagedError } from '../errors.js';
import type { Arrival } from './arrival.js';

/** Reads a blob while it arrives, from its own offset, and the rest from the local store when it is there. */
export class FollowingReader implements BlobReader {
  readonly length: number;
  readonly #arrival: Arrival;
  readonly #local: BlobStore;
  readonly #signal: AbortSignal | undefined;
  readonly #end: number;
  #position: number;
  #memory: Buffer | undefined;
  #rest: BlobReader | undefined;
  #closed = false;

  constructor(
    arrival: Arrival,
    local: BlobStore,
    range: { readonly offset: number; readonly length: number },
    signal: AbortSignal | undefined,
  ) {
    this.#arrival = arrival;
    this.#local = local;
    this.#signal = signal;
    this.length = range.length;
    this.#position = range.offset;
    this.#end = range.offset + range.length;
  }

  async next(): Promise<Buffer | undefined> {
    while (!this.#closed) {
      this.#signal?.throwIfAborted();
      if (this.#rest) return this.#rest.next();
      if (this.#position === this.#end) break;
      const { news } = this.#arrival;
      const chunk = await this.#nextOfArrival();
      if (chunk) return chunk;
      if (this.#arrival.state === 'failed') throw this.#arrival.failure;
      if (this.#arrival.state === 'stored') await this.#openRest();
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

  /** What has come and hasn't been delivered; undefined when that is nothing. */
  async #nextOfArrival(): Promise<Buffer | undefined> {
    const ready = Math.min(this.#arrival.readableTo, this.#end) - this.#position;
    if (ready <= 0 || this.#arrival.state !== 'arriving') return undefined;
    this.#memory ??= Buffer.allocUnsafeSlow(CHUNK_HEADROOM + Math.min(CHUNK_BYTES, this.length));
    const bytes = Math.min(ready, CHUNK_BYTES);
    const read = await this.#arrival.read(this.#memory, CHUNK_HEADROOM, bytes, this.#position);
    if (read === 0) return undefined;
    this.#position += read;
    return this.#memory?.subarray(CHUNK_HEADROOM, CHUNK_HEADROOM + read);
  }

  async #openRest(): Promise<void> {
    const { digest } = this.#arrival;
    const limit = this.#end - this.#position;
    this.#rest = await this.#local.read(digest, { offset: this.#position, limit, signal: this.#signal });
    if (!this.#rest) throw new BlobDamagedError(`${digest} went away while it was read`);
    if (this.#closed) await this.#rest.close();
  }
}
