import { Readable } from 'node:stream';
import type { MaybePromise } from '@granary/blobs';

/** Most bytes that wait in a stream for whoever reads it. */
const HIGH_WATER_MARK = 64 * 1024;

/** Where a stream's chunks come from. */
export interface ChunkReader {
  /** The next chunk, which is the stream's from then on; undefined at the end. */
  next(): MaybePromise<Buffer | undefined>;
  /** Called once; a `next` under way ends soon. */
  close(): Promise<void>;
}

/** A stream that asks for a chunk when there is room for one, and closes its reader when it ends in whatever way. */
export class PulledStream extends Readable {
  readonly #reader: ChunkReader;

  constructor(reader: ChunkReader) {
    super({ highWaterMark: HIGH_WATER_MARK });
    this.#reader = reader;
  }

  override _read(): void {
    try {
      const chunk = this.#reader.next();
      if (chunk instanceof Promise) chunk.then(this.#pass, this.#fail);
      else this.#pass(chunk);
    } catch (error) {
      this.#fail(error);
    }
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#reader.close().then(
      () => callback(error),
      (failure: Error) => callback(error ?? failure),
    );
  }

  readonly #pass = (chunk: Buffer | undefined): void => {
    if (!this.destroyed) this.push(chunk ?? null);
  };

  readonly #fail = (error: unknown): void => {
    this.destroy(error instanceof Error ? error : new Error(String(error)));
  };
}
