import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { FileSystem, WholeFile } from '@granary/blobs';

/** Bytes that are written at once, at most. */
const MEMORY_BYTES = 256 * 1024;

/** Idle memory that is kept for the next write. */
const MOST_IDLE = 16;

/**
 * Where packages are while they arrive, and the memory in which what is written of them is put together: new memory for each
 * write would keep the garbage collector busier than all the rest.
 */
export class SpoolFolder {
  readonly fs: FileSystem;
  readonly #path: string;
  readonly #idle: Buffer[] = [];

  constructor(path: string, fs: FileSystem) {
    this.#path = path;
    this.fs = fs;
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
