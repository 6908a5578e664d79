import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { FileSystem, WholeFile } from '@granary/blobs';

/** Bytes that are written at once, at most. */
const MEMORY_BYTES = 256 * 1024;

/** Idle memory that is kept for the next write. */
const MOST_IDLE = 16;

/** Packages that may wait in memory until they are stored, all together. */
const MEMORY_BYTES_OF_PACKAGES = 16 * 1024 * 1024;

/** What each of them counts as at least, so that they are no more than a thousand. */
const LEAST_BYTES = 16 * 1024;

/**
 * Where packages are while they arrive, and the memory in which what is written of them is put together: new memory for each
 * write would keep the garbage collector busier than all the rest.
 */
export class SpoolFolder {
  readonly fs: FileSystem;
  readonly #path: string;
  readonly #idle: Buffer[] = [];
  readonly #onFull: () => void;
  #inMemory = 0;

  /** @param onFull told when a package would stay in memory, and there is no room for it */
  constructor(path: string, fs: FileSystem, onFull: () => void = () => {}) {
    this.#path = path;
    this.fs = fs;
    this.#onFull = onFull;
  }

  /** Takes room in memory for a whole package, to be given back with {@link leaveMemory}; false when there is none. */
  enterMemory(bytes: number): boolean {
    const taken = Math.max(bytes, LEAST_BYTES);
    if (this.#inMemory + taken > MEMORY_BYTES_OF_PACKAGES) {
      this.#onFull();
      return false;
    }
    this.#inMemory += taken;
    return true;
  }

  leaveMemory(bytes: number): void {
    this.#inMemory -= Math.max(bytes, LEAST_BYTES);
  }

  /** A new file, to be closed and removed by whoever asked. */
  async create(): Promise<WholeFile> {
    const path = join(this.#path, `package-${randomUUID()}`);
    return { path, file: await this.fs.create(path) };
  }

  /** Memory for a write, to be given back. */
  take(): Buffer {
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(MEMORY_BYTES);
  }

  give(memory: Buffer): void {
    if (this.#idle.length < MOST_IDLE) this.#idle.push(memory);
  }
}
