import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type BlobSource, NoSpaceError } from '@granary/blobs';

const IN_MEMORY_BYTES = 1024 * 1024;

/** An upload of unknown size, kept until its size is known. */
export interface Spooled {
  readonly size: number;
  readonly source: BlobSource;
  /** Gives its memory or its file back. */
  discard(): Promise<void>;
}

/**
 * Where uploads wait whose size nobody announced: a store reserves space before it takes the first byte. Up to a
 * mebibyte in memory, more in a temporary file; all files together are bounded.
 */
export class Spool {
  readonly #directory: string;
  readonly #maxBytes: number;
  #bytes = 0;

  /**
   * @param directory for the temporary files
   * @param maxBytes in all files together
   */
  constructor(directory: string, maxBytes: number) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
  }

  /** @throws NoSpaceError when too much is waiting already */
  async take(chunks: AsyncIterable<Buffer>): Promise<Spooled> {
    const inMemory: Buffer[] = [];
    let size = 0;
    let file: SpoolFile | undefined;
    try {
      for await (const chunk of chunks) {
        size += chunk.length;
        if (!file && size <= IN_MEMORY_BYTES) {
          inMemory.push(chunk);
          continue;
        }
        this.#reserve(file ? chunk.length : size);
        file ??= await SpoolFile.create(this.#directory);
        for (const each of [...inMemory.splice(0), chunk]) await file.write(each);
      }
      if (!file) return { size, source: Buffer.concat(inMemory), discard: async () => {} };
      const spooled = file;
      return { size, source: spooled.chunks(), discard: () => this.#discard(spooled) };
    } catch (error) {
      if (file) await this.#discard(file);
      throw error;
    }
  }

  #reserve(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new NoSpaceError(`uploads without an announced length take ${this.#bytes} bytes already; announce it`);
    }
    this.#bytes += bytes;
  }

  async #discard(file: SpoolFile): Promise<void> {
    this.#bytes -= file.size;
    await file.discard();
  }
}

class SpoolFile {
  size = 0;
  readonly #path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  static async create(directory: string): Promise<SpoolFile> {
    const path = join(directory, `granary-upload-${randomUUID()}`);
    return new SpoolFile(path, await open(path, 'wx', 0o600));
  }

  async write(bytes: Buffer): Promise<void> {
    this.size += bytes.length;
    await this.#handle.writeFile(bytes);
  }

  async *chunks(): AsyncGenerator<Buffer> {
    yield* createReadStream(this.#path) as AsyncIterable<Buffer>;
  }

  async discard(): Promise<void> {
    await this.#handle.close();
    await unlink(this.#path).catch(() => {});
  }
}
