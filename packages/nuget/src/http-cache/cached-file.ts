import type { Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { SmallFiles } from './small-files.js';

/** A file of the cache, open: it stays what it is even when another one takes its place. Read it or close it. */
export class CachedFile {
  readonly path: string;
  readonly size: number;
  /** When it came from the source or was confirmed by it, in milliseconds since 1970. */
  readonly modifiedAt: number;
  /** Tells this file from one that takes its place. */
  readonly inode: number;
  readonly #content: Buffer | FileHandle;
  readonly #files: SmallFiles;

  /** @param content - All of it, or the file where it is long */
  constructor(path: string, content: Buffer | FileHandle, stats: Stats, files: SmallFiles) {
    this.path = path;
    this.size = stats.size;
    this.modifiedAt = stats.mtimeMs;
    this.inode = stats.ino;
    this.#content = content;
    this.#files = files;
  }

  /** For whoever reads it in another way, and closes it where it is a file. */
  get content(): Buffer | FileHandle {
    return this.#content;
  }

  /** Fills a buffer from a position on; fewer bytes only where the file ends. At once where the disk is fast. */
  read(into: Buffer, position: number): number | Promise<number> {
    const content = this.#content;
    if (Buffer.isBuffer(content)) return content.copy(into, 0, position);
    return this.#files.areFast ? this.#files.readPart(content, into, position) : readSome(content, into, position);
  }

  /** All of it, and closes it. */
  async bytes(): Promise<Buffer> {
    const content = this.#content;
    if (Buffer.isBuffer(content)) return content;
    try {
      return await content.readFile();
    } finally {
      await this.close();
    }
  }

  /** All of it, and closes it at the end or when the stream is destroyed. */
  stream(): Readable {
    const content = this.#content;
    return Buffer.isBuffer(content)
      ? Readable.from(content.length > 0 ? [content] : [], { objectMode: false })
      : content.createReadStream({ start: 0 });
  }

  async close(): Promise<void> {
    if (!Buffer.isBuffer(this.#content)) await this.#content.close();
  }
}

async function readSome(file: FileHandle, into: Buffer, position: number): Promise<number> {
  return (await file.read(into, 0, into.length, position)).bytesRead;
}
