import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { platform } from 'node:process';
import { type BlobSource, CHUNK_BYTES, NoSpaceError } from '@granary/blobs';

const MIB = 1024 * 1024;
const IN_MEMORY_BYTES = MIB;
/** As many are written between two looks at the disk. */
const PIECE_BYTES = 4 * MIB;

/** An upload of unknown size, kept until its size is known. */
export interface Spooled {
  readonly size: number;
  readonly source: BlobSource;
  /** Gives its memory or its file back. */
  discard(): Promise<void>;
}

/**
 * Where uploads wait whose size nobody announced: a store reserves space before it takes the first byte. Up to a
 * mebibyte in memory, more in a temporary file; all files together are bounded, and by the disk.
 */
export class Spool {
  readonly #directory: string;
  readonly #maxBytes: number;
  readonly #makeRoom: (bytes: number) => Promise<void>;
  #bytes = 0;

  /**
   * @param directory for the temporary files
   * @param maxBytes in all files together
   * @param makeRoom Asked before each few mebibytes are written to the disk; throws where there is no room for them
   */
  constructor(directory: string, maxBytes: number, makeRoom: (bytes: number) => Promise<void> = async () => {}) {
    this.#directory = directory;
    this.#maxBytes = maxBytes;
    this.#makeRoom = makeRoom;
  }

  /** @throws NoSpaceError when too much is waiting already, or the disk is full */
  async take(chunks: AsyncIterable<Buffer>): Promise<Spooled> {
    const inMemory: Buffer[] = [];
    let size = 0;
    let reserved = 0;
    let roomFor = 0;
    let file: SpoolFile | undefined;
    try {
      for await (const chunk of chunks) {
        size += chunk.length;
        if (!file && size <= IN_MEMORY_BYTES) {
          inMemory.push(chunk);
          continue;
        }
        this.#reserve(file ? chunk.length : size);
        reserved += file ? chunk.length : size;
        if (reserved > roomFor) {
          await this.#makeRoom(reserved - roomFor + PIECE_BYTES);
          roomFor = reserved + PIECE_BYTES;
        }
        file ??= await SpoolFile.create(this.#directory);
        for (const each of [...inMemory.splice(0), chunk]) await file.write(each);
      }
      if (!file) return { size, source: Buffer.concat(inMemory), discard: async () => {} };
      const spooled = file;
      return { size, source: spooled.chunks(), discard: () => this.#discard(spooled, reserved) };
    } catch (error) {
      await this.#discard(file, reserved);
      throw outOfSpace(error);
    }
  }

  #reserve(bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw new NoSpaceError(`uploads without an announced length take ${this.#bytes} bytes already; announce it`);
    }
    this.#bytes += bytes;
  }

  async #discard(file: SpoolFile | undefined, reserved: number): Promise<void> {
    this.#bytes -= reserved;
    await file?.discard();
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
    const file = new SpoolFile(path, await open(path, 'wx+', 0o600));
    // Where a file without a name can be, nothing is left of it when the process is killed.
    if (platform !== 'win32') await unlink(path);
    return file;
  }

  async write(bytes: Buffer): Promise<void> {
    let written = 0;
    while (written < bytes.length)
      written += (await this.#handle.write(bytes, written, bytes.length - written, this.size + written)).bytesWritten;
    this.size += bytes.length;
  }

  async *chunks(): AsyncGenerator<Buffer> {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (let at = 0; at < this.size; ) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, at);
      if (bytesRead === 0) throw new Error('a temporary file lost its end');
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async discard(): Promise<void> {
    await this.#handle.close();
    if (platform === 'win32') await unlink(this.#path).catch(() => {});
  }
}

/** What the file system says when it is full, as the error that is answered with 507. */
function outOfSpace(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new NoSpaceError('there is no room for an upload without an announced length', { cause: error });
}
