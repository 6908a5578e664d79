import { Readable } from 'node:stream';
import type { PackageReader } from '../feed/feed-content.js';

/** Most bytes that wait in a stream for whoever reads it. */
const HIGH_WATER_MARK = 64 * 1024;

/**
 * A stream of chunks that its reader doesn't use again. It asks for one when there is room, and closes the reader when it
 * ends in whatever way.
 */
export class PulledStream extends Readable {
  readonly #reader: PackageReader;

  constructor(reader: PackageReader) {
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
