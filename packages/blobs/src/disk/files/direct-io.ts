import type { AlignedPair } from './aligned-memory.js';
import type { BufferPool } from './buffer-pool.js';
import type { FileSystem } from './file-system.js';

/** What positions, lengths and addresses have to be multiples of; a file system that wants more shows at the first try. */
export const DIRECT_BLOCK_BYTES = 4096;

/**
 * Which uploads are written past the page cache: the large ones. Their bytes are copied once less, and don't push out of
 * memory what is read (decision 011). Whether the file system can do it is tried out once, with one block.
 */
export class DirectIo {
  readonly #fs: FileSystem;
  readonly #buffers: BufferPool;
  readonly #leastBytes: number;
  #works: Promise<boolean> | undefined;

  /** @param leastBytes uploads of this size and larger ones are written so; 0 for none */
  constructor(fs: FileSystem, buffers: BufferPool, leastBytes: number) {
    this.#fs = fs;
    this.#buffers = buffers;
    this.#leastBytes = leastBytes;
  }

  /** @param path where the upload will be; the try is made beside it */
  suits(size: number, path: string): Promise<boolean> | false {
    if (this.#leastBytes === 0 || size < this.#leastBytes) return false;
    this.#works ??= this.#tryOut(`${path}.direct`);
    return this.#works ?? false;
  }

  /** Undefined while there is no memory to try it with, which says nothing about the file system. */
  #tryOut(path: string): Promise<boolean> | undefined {
    const pair = this.#buffers.takeAlignedPair();
    return pair && this.#tryWith(pair, path);
  }

  async #tryWith(pair: AlignedPair, path: string): Promise<boolean> {
    try {
      const file = await this.#fs.createDirect(path);
      try {
        const written = await file.write(pair[0], 0, DIRECT_BLOCK_BYTES, DIRECT_BLOCK_BYTES);
        return written === DIRECT_BLOCK_BYTES;
      } finally {
        await file.close();
      }
    } catch {
      return false;
    } finally {
      for (const buffer of pair) this.#buffers.give(buffer);
      // The file may be there although it could not be opened so.
      await this.#fs.unlink(path).catch(() => {});
    }
  }
}
