import { type MaybePromise, NoSpaceError, type OpenFile, StoreError, type WholeFile } from '@granary/blobs';
import type { RandomAccessSource } from '@granary/nuget';
import type { SpoolFolder } from './spool-folder.js';

/** What is shorter than this becomes a file only when somebody wants it to be one. */
const FILE_BYTES = 256 * 1024;

/** Bytes that are written together, at least: of many packages at once, what waits to be written is what takes memory. */
const WRITE_BYTES = 128 * 1024;

/** Longest piece that is read from the file at once. */
export const SPOOL_READ_BYTES = 64 * 1024;

/** Shorter chunks are put together, so that neither they nor what they are parts of are many. */
const SMALL_BYTES = 4 * 1024;

/** Bytes of small chunks that are put together. */
const BLOCK_BYTES = 16 * 1024;

const NOTHING = Buffer.alloc(0);

/**
 * Bytes that arrive, in a temporary file, and can be read from any place meanwhile. The last ones are in memory, where
 * all who keep up with them share the same buffers: at most those of a package that is no file yet, and the largest chunk.
 *
 * Whoever needs it holds it; with the last one the file goes.
 */
export class Spool {
  readonly #folder: SpoolFolder;
  /** What isn't in the file yet, in order. */
  readonly #tail: Buffer[] = [];
  /** What the last of the tail is the beginning of, while there is room for another small chunk. */
  #block: Buffer | undefined;
  /** Where the tail begins. */
  #written = 0;
  #size = 0;
  #file: WholeFile | undefined;
  /** Whether the file's name is still this one's to remove. */
  #isOwned = true;
  #writing: Promise<void> | undefined;
  #failure: unknown;
  #holders = 1;
  /** Room that it has taken in memory until it is over. */
  #memoryBytes: number | undefined;
  #closing: Promise<void> | undefined;

  constructor(folder: SpoolFolder) {
    this.#folder = folder;
  }

  /** Bytes that have come. */
  get size(): number {
    return this.#size;
  }

  /** Whether it may wait in memory, where it has room, until somebody wants it to be a file. */
  get staysInMemory(): boolean {
    return this.#memoryBytes !== undefined;
  }

  /**
   * Lets it wait there, if there is room. Not a long one: buffers that outlive a moment cost the garbage collector more than
   * a file costs.
   *
   * @param bytes it will have at most
   */
  stayInMemory(bytes: number): void {
    if (bytes < FILE_BYTES && this.#folder.enterMemory(bytes)) this.#memoryBytes = bytes;
  }

  /**
   * Takes a chunk, whose memory belongs to the spool from now on. What it returns is waited for before the next one.
   *
   * @throws StoreError when what came before could not be written
   */
  append(chunk: Buffer): Promise<void> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    this.#add(chunk);
    this.#size += chunk.length;
    const waiting = this.#size - this.#written;
    if (waiting < (this.#written === 0 ? FILE_BYTES : WRITE_BYTES)) return undefined;
    if (this.#writing === undefined) {
      this.#writing = this.#writeTail().finally(() => {
        this.#writing = undefined;
      });
      // Whoever appends next gets the error.
      this.#writing.catch(() => {});
    }
    return waiting < FILE_BYTES + WRITE_BYTES ? undefined : this.#writing;
  }

  /**
   * Bytes from a position on that has come: at least one, at most `length`. They are not to be changed.
   *
   * @param allocate Gives the memory for what is read from the file. Default: new memory
   */
  read(position: number, length: number, allocate?: (bytes: number) => Buffer): MaybePromise<Buffer> {
    if (position < this.#written) {
      const bytes = Math.min(length, this.#written - position, SPOOL_READ_BYTES);
      return this.#readFile(position, bytes, allocate?.(bytes) ?? Buffer.allocUnsafeSlow(bytes));
    }
    let start = this.#written;
    for (const chunk of this.#tail) {
      if (position < start + chunk.length) return chunk.subarray(position - start, position - start + length);
      start += chunk.length;
    }
    return NOTHING;
  }

  /** What has come, for those who read here and there. It must not grow meanwhile. */
  source(): RandomAccessSource {
    return {
      size: this.#size,
      read: async (position, length) => {
        const pieces: Buffer[] = [];
        for await (const piece of this.#pieces(position, Math.min(this.#size, position + length))) pieces.push(piece);
        return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
      },
    };
  }

  /** All that has come, from the beginning. */
  chunks(): AsyncIterable<Buffer> {
    return this.#pieces(0, this.#size);
  }

  /**
   * All that has come as a file, for someone who takes its name over. Nothing may come any more.
   *
   * @throws StoreError
   */
  async toFile(): Promise<WholeFile> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const whole = this.#file ?? (await this.#create());
      let position = this.#written;
      // It stays in memory, too, for those who are about to read it.
      for (let next = 0; next < this.#tail.length; ) {
        const { chunks, bytes } = await this.#writeSome(whole.file, next, position);
        next += chunks;
        position += bytes;
      }
      this.#isOwned = false;
      return whole;
    } catch (error) {
      throw cannotWrite(error);
    }
  }

  /** Whether it could be held: what was released for good is gone. */
  hold(): boolean {
    if (this.#holders === 0) return false;
    this.#holders++;
    return true;
  }

  /** Ends a hold; reads that were begun with it are over. */
  async release(): Promise<void> {
    if (--this.#holders > 0) return;
    this.#closing ??= this.#close();
    await this.#closing;
  }

  #add(chunk: Buffer): void {
    if (chunk.length >= SMALL_BYTES) {
      this.#block = undefined;
      this.#tail.push(chunk);
      return;
    }
    const begun = this.#block && this.#tail.pop();
    const block = this.#block ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
    const end = (begun?.length ?? 0) + chunk.copy(block, begun?.length);
    this.#tail.push(block.subarray(0, end));
    this.#block = end + SMALL_BYTES > BLOCK_BYTES ? undefined : block;
  }

  async *#pieces(from: number, to: number): AsyncGenerator<Buffer, void> {
    for (let position = from; position < to; ) {
      const bytes = await this.read(position, to - position);
      position += bytes.length;
      yield bytes;
    }
  }

  async #writeTail(): Promise<void> {
    try {
      const { file } = this.#file ?? (await this.#create());
      while (this.#size - this.#written >= WRITE_BYTES) {
        this.#block = undefined;
        const { chunks, bytes } = await this.#writeSome(file, 0, this.#written);
        this.#tail.splice(0, chunks);
        this.#written += bytes;
      }
    } catch (error) {
      this.#failure = cannotWrite(error);
      throw this.#failure;
    }
  }

  /** Writes chunks of the tail from one on, as many as are written together. */
  async #writeSome(file: OpenFile, from: number, position: number): Promise<{ chunks: number; bytes: number }> {
    const memory = this.#folder.take();
    try {
      let bytes = 0;
      let end = from;
      for (let chunk = this.#tail[end]; chunk !== undefined; chunk = this.#tail[++end]) {
        if (bytes + chunk.length > memory.length) break;
        bytes += chunk.copy(memory, bytes);
      }
      if (end > from) {
        await writeAll(file, memory.subarray(0, bytes), position);
        return { chunks: end - from, bytes };
      }
      const large = this.#tail[from] as Buffer;
      await writeAll(file, large, position);
      return { chunks: 1, bytes: large.length };
    } finally {
      this.#folder.give(memory);
    }
  }

  async #create(): Promise<WholeFile> {
    this.#file = await this.#folder.create();
    return this.#file;
  }

  async #readFile(position: number, length: number, memory: Buffer): Promise<Buffer> {
    const read = await (this.#file as WholeFile).file.read(memory, 0, length, position);
    if (read === 0) throw new Error('the temporary file of a package is shorter than what was written to it');
    return memory.subarray(0, read);
  }

  async #close(): Promise<void> {
    await this.#writing?.catch(() => {});
    this.#tail.length = 0;
    if (this.#memoryBytes !== undefined) this.#folder.leaveMemory(this.#memoryBytes);
    if (this.#file === undefined) return;
    const { file, path } = this.#file;
    await Promise.allSettled([file.close(), this.#isOwned ? this.#folder.fs.unlink(path) : undefined]);
  }
}

async function writeAll(file: OpenFile, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const written = await file.write(bytes, done, bytes.length - done, position + done);
    if (written === 0) throw new Error('the file system took no bytes');
    done += written;
  }
}

function cannotWrite(error: unknown): StoreError {
  const what = 'cannot write the temporary file of a package';
  const { code, message } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new NoSpaceError(`${what}: the file system is full (${code})`, { cause: error })
    : new StoreError('STORE_FAILED', `${what}: ${message}`, { cause: error });
}
