import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';

/** A file of the cache, open: it stays what it is even when another one takes its place. Read it or close it. */
export class CachedFile {
  readonly path: string;
  readonly size: number;
  /** When it came from the source or was confirmed by it, in milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Tells this file from one that takes its place. */
  readonly inode: number;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle, stats: Stats) {
    this.path = path;
    this.size = stats.size;
    this.modifiedAt = stats.mtimeMs;
    this.inode = stats.ino;
    this.#handle = handle;
  }

  /** For whoever reads it in another way, and closes it. */
  get handle(): FileHandle {
    return this.#handle;
  }

  /** All of it, and closes it. */
  async bytes(): Promise<Buffer> {
    try {
      return await this.#handle.readFile();
    } finally {
      await this.close();
    }
  }

  /** All of it, and closes it at the end or when the stream is destroyed. */
  stream(): Readable {
    return this.#handle.createReadStream({ start: 0 });
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
