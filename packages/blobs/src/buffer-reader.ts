import { type BlobReader, CHUNK_BYTES, CHUNK_HEADROOM, type ReadOptions } from './blob-store.js';

/** The part of a blob that a read asks for. An offset behind the end gives nothing; edges refuse it before. */
export function readRange(size: number, options: ReadOptions | undefined): { offset: number; length: number } {
  const offset = Math.min(options?.offset ?? 0, size);
  return { offset, length: Math.min(options?.limit ?? Number.POSITIVE_INFINITY, size - offset) };
}

/**
 * Iterates with `next()`, and closes at the end, on `break` and on errors.
 * Every reader's `[Symbol.asyncIterator]` is this function.
 */
export async function* iterateReader(reader: Pick<BlobReader, 'next' | 'close'>): AsyncGenerator<Buffer, void> {
  try {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) yield chunk;
  } finally {
    await reader.close();
  }
}

/** All that a reader delivers, in one buffer; for blobs that fit into memory. */
export async function readAll(reader: BlobReader): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(reader.length);
  let filled = 0;
  for await (const chunk of reader) filled += chunk.copy(bytes, filled);
  return bytes;
}

/** Reads bytes that are in memory already. */
export class BufferReader implements BlobReader {
  readonly length: number;
  readonly #memory: Buffer;
  #position = CHUNK_HEADROOM;

  private constructor(memory: Buffer) {
    this.#memory = memory;
    this.length = memory.length - CHUNK_HEADROOM;
  }

  /** A reader of a copy, since consumers write in front of the chunks. */
  static copyOf(bytes: Uint8Array, offset = 0, length = bytes.length - offset): BufferReader {
    const memory = Buffer.allocUnsafe(CHUNK_HEADROOM + length);
    memory.set(bytes.subarray(offset, offset + length), CHUNK_HEADROOM);
    return new BufferReader(memory);
  }

  /** A reader of bytes that follow `CHUNK_HEADROOM` bytes in a buffer, which belongs to the reader from now on. */
  static over(memory: Buffer): BufferReader {
    return new BufferReader(memory);
  }

  next(): Promise<Buffer | undefined> {
    if (this.#position === this.#memory.length) return Promise.resolve(undefined);
    const from = this.#position;
    this.#position = Math.min(from + CHUNK_BYTES, this.#memory.length);
    return Promise.resolve(this.#memory.subarray(from, this.#position));
  }

  close(): Promise<void> {
    this.#position = this.#memory.length;
    return Promise.resolve();
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }
}
