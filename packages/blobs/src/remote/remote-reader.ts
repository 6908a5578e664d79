import type { Readable } from 'node:stream';
import { type BlobReader, CHUNK_BYTES, CHUNK_HEADROOM } from '../blob-store.js';
import { iterateReader } from '../buffer-reader.js';

export interface RemoteReaderOptions {
  /** Bytes that are to be delivered. */
  readonly length: number;
  /** Bytes that come before those, from a peer that sends blobs from their beginning only. */
  readonly skip?: number | undefined;
  /** Whether the body ends with the bytes that are wanted: one that goes on is then not the blob. */
  readonly isTail: boolean;
  /** For bodies that don't hear of it themselves. */
  readonly signal?: AbortSignal | undefined;
  /** An error that says what was wrong with what the peer sent. */
  readonly wrong: (what: string) => Error;
  /** What broke off a body, as callers see it. */
  readonly explain: (error: unknown) => unknown;
}

/** A blob on its way from a peer. At most what the stream holds back and one chunk of the reader's own are in memory. */
export class RemoteReader implements BlobReader {
  readonly length: number;
  readonly lasting = true;
  readonly #body: Readable;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #options: RemoteReaderOptions;
  #skip: number;
  #rest: Buffer | undefined;
  /** Bytes that have been taken from the body, without those that are skipped. */
  #seen = 0;
  #done = false;

  constructor(body: Readable, options: RemoteReaderOptions) {
    this.length = options.length;
    this.#options = options;
    this.#body = body;
    this.#chunks = body[Symbol.asyncIterator]();
    this.#skip = options.skip ?? 0;
    options.signal?.addEventListener('abort', this.#abort, { once: true });
  }

  async next(): Promise<Buffer | undefined> {
    if (this.#done) return undefined;
    const { signal } = this.#options;
    try {
      signal?.throwIfAborted();
      const data = this.#rest ?? (await this.#take());
      if (this.#done || !data) return this.#leave();
      // Copied once: the bytes in front of a chunk belong to whoever takes it.
      const size = Math.min(data.length, CHUNK_BYTES);
      this.#rest = data.length > size ? data.subarray(size) : undefined;
      const memory = Buffer.allocUnsafeSlow(CHUNK_HEADROOM + size);
      data.copy(memory, CHUNK_HEADROOM, 0, size);
      return memory.subarray(CHUNK_HEADROOM);
    } catch (error) {
      // What is under way when the reader is closed ends like the blob.
      if (this.#done) return undefined;
      this.#leave();
      throw signal?.aborted ? signal.reason : this.#options.explain(error);
    }
  }

  async close(): Promise<void> {
    this.#leave();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  /** The next bytes that are wanted; undefined at the end. */
  async #take(): Promise<Buffer | undefined> {
    for (;;) {
      const left = this.length - this.#seen;
      if (left === 0 && !this.#options.isTail) return undefined;
      const step = await this.#chunks.next();
      if (step.done) {
        if (left === 0 || this.#done) return undefined;
        throw this.#options.wrong(`ended after ${this.#seen} of ${this.length} bytes`);
      }
      const skipped = Math.min(this.#skip, step.value.length);
      this.#skip -= skipped;
      const data = skipped === 0 ? step.value : step.value.subarray(skipped);
      if (data.length === 0) continue;
      if (data.length > left && this.#options.isTail)
        throw this.#options.wrong(`went on after the ${this.length} bytes that its digest names`);
      const wanted = data.length > left ? data.subarray(0, left) : data;
      this.#seen += wanted.length;
      return wanted;
    }
  }

  readonly #abort = (): void => {
    this.#body.destroy(this.#options.signal?.reason as Error);
  };

  #leave(): undefined {
    if (this.#done) return;
    this.#done = true;
    this.#rest = undefined;
    this.#options.signal?.removeEventListener('abort', this.#abort);
    // What is destroyed before its end may still complain.
    this.#body.on('error', ignore);
    this.#body.destroy();
  }
}

function ignore(): void {}
