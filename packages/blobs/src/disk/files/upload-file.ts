import { CHUNK_BYTES } from '../../blob-store.js';
import { orFail } from '../failure.js';
import type { AlignedPair } from './aligned-memory.js';
import type { BufferPool } from './buffer-pool.js';
import { DIRECT_BLOCK_BYTES, type DirectIo } from './direct-io.js';
import type { FileStatus, FileSystem, OpenFile } from './file-system.js';

export interface UploadFileOptions {
  readonly fs: FileSystem;
  readonly buffers: BufferPool;
  readonly direct: DirectIo;
}

/** The file that an upload writes, and the memory in which its bytes gather. */
export class UploadFile {
  /** Bytes that are written at once. */
  readonly transferBytes: number;
  /**
   * Whether it is written past the page cache. Then only memory from {@link takeBuffer} can be written, and nothing waits
   * for a sync but what the disk itself keeps back.
   */
  readonly isDirect: boolean;
  readonly #file: OpenFile;
  readonly #buffers: BufferPool;
  readonly #lent: Buffer[] = [];
  /** Lent already, for who asks next. */
  readonly #ready: Buffer[];

  private constructor(file: OpenFile, buffers: BufferPool, transferBytes: number, aligned: AlignedPair | undefined) {
    this.#file = file;
    this.#buffers = buffers;
    this.transferBytes = transferBytes;
    this.isDirect = aligned !== undefined;
    this.#ready = aligned ? [...aligned] : [];
    this.#lent.push(...this.#ready);
  }

  /**
   * Makes the file of an upload of so many bytes.
   *
   * @param isRead whether it is read while it grows, which is quick only in the page cache
   * @throws StoreError
   */
  static async create(path: string, size: number, isRead: boolean, options: UploadFileOptions): Promise<UploadFile> {
    const { fs, buffers, direct } = options;
    const aligned = !isRead && (await direct.suits(size, path)) ? buffers.takeAlignedPair() : undefined;
    try {
      const file = await orFail(aligned ? fs.createDirect(path) : fs.create(path), 'cannot make a file for an upload');
      const transferBytes = aligned?.[0].length ?? buffers.transferBytes(size);
      // What readers follow comes in chunks that stay in memory for them: those are written as they are.
      return new UploadFile(file, buffers, isRead ? Math.min(transferBytes, CHUNK_BYTES) : transferBytes, aligned);
    } catch (error) {
      for (const buffer of aligned ?? []) buffers.give(buffer);
      throw error;
    }
  }

  /** Room for a transfer, until {@link close}. */
  takeBuffer(): Buffer {
    const ready = this.#ready.pop();
    if (ready !== undefined) return ready;
    const taken = this.#buffers.take(this.transferBytes);
    this.#lent.push(taken);
    return taken;
  }

  /** Writes a transfer; only the last may be shorter than the others. */
  async write(bytes: Uint8Array, position: number): Promise<void> {
    const all = this.isDirect ? wholeBlocks(bytes) : bytes;
    for (let done = 0; done < all.length; ) {
      const written = await this.#file.write(all, done, all.length - done, position + done);
      // What is left has to begin with a block, too.
      const whole = this.isDirect && done + written < all.length ? written - (written % DIRECT_BLOCK_BYTES) : written;
      if (whole === 0) throw new Error('the file system took no bytes');
      done += whole;
    }
  }

  /** Cuts off what fills the last block. */
  async end(size: number): Promise<void> {
    if (this.isDirect && size % DIRECT_BLOCK_BYTES !== 0) await this.#file.truncate(size);
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#file.read(buffer, offset, length, position);
  }

  datasync(): Promise<void> {
    return this.#file.datasync();
  }

  status(): FileStatus {
    return this.#file.status();
  }

  /** Closes the file and gives the memory back. */
  async close(): Promise<void> {
    for (const buffer of this.#lent.splice(0)) this.#buffers.give(buffer);
    await this.#file.close();
  }
}

/** The same bytes, and zeros behind them in the memory where they lie. */
function wholeBlocks(bytes: Uint8Array): Uint8Array {
  const length = Math.ceil(bytes.length / DIRECT_BLOCK_BYTES) * DIRECT_BLOCK_BYTES;
  if (length === bytes.length) return bytes;
  return new Uint8Array(bytes.buffer, bytes.byteOffset, length).fill(0, bytes.length);
}
