import { type BlobReader, CHUNK_BYTES, CHUNK_HEADROOM } from '../../blob-store.js';
import { iterateReader } from '../../buffer-reader.js';
import type { Digest } from '../../digest.js';
import { createHasher, type Hasher } from '../../digest-function.js';
import { BlobDamagedError } from '../../errors.js';
import { isUnreadable, storeFailure } from '../failure.js';
import type { BufferPool } from './buffer-pool.js';
import type { OpenFile } from './file-system.js';

export interface FileReaderOptions {
  readonly file: OpenFile;
  readonly digest: Digest;
  readonly offset: number;
  readonly length: number;
  /** Whether the bytes are hashed on their way; only for a read of the whole blob. */
  readonly verify: boolean;
  readonly buffers: BufferPool;
  readonly signal: AbortSignal | undefined;
  /** Told when the hash of the whole blob was right. */
  readonly onVerified: () => void;
  /** Whether somebody needs the blob kept: what the medium doesn't give now it may give again, so it isn't put aside. */
  readonly isKept: () => boolean;
  /** Told when the file is not the blob; resolves when it has been put aside. */
  readonly onDamaged: (reason: string) => Promise<void>;
  readonly onClose: () => void;
}

/**
 * Streams a blob out of its file. While the consumer has one buffer, the next is being read. A blob that is being
 * verified keeps its last transfer back until the hash is right, so nobody ever has all of a damaged blob.
 */
export class FileReader implements BlobReader {
  readonly length: number;
  readonly #options: FileReaderOptions;
  readonly #hasher: Hasher | undefined;
  readonly #transferBytes: number;
  /** Where the next transfer from the file begins, and where they end. */
  #position: number;
  readonly #end: number;
  /** The buffer that the consumer is being served from. */
  #serving: Buffer | undefined;
  #servedTo = 0;
  #filledTo = 0;
  /** The buffer that is free for the next transfer. */
  #spare: Buffer | undefined;
  #ahead: Promise<{ readonly buffer: Buffer; readonly bytes: number; readonly error?: unknown }> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: FileReaderOptions) {
    this.#options = options;
    this.length = options.length;
    this.#position = options.offset;
    this.#end = options.offset + options.length;
    this.#hasher = options.verify ? createHasher(options.digest.function) : undefined;
    this.#transferBytes = options.buffers.transferBytes(options.length);
    this.#readAhead();
  }

  async next(): Promise<Buffer | undefined> {
    this.#options.signal?.throwIfAborted();
    if (this.#servedTo === this.#filledTo && !(await this.#advance())) return undefined;
    const serving = this.#serving;
    if (!serving) return undefined;
    const from = this.#servedTo;
    this.#servedTo = Math.min(from + CHUNK_BYTES, this.#filledTo);
    return serving.subarray(from, this.#servedTo);
  }

  close(): Promise<void> {
    return this.#close(false);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    return iterateReader(this);
  }

  /** @param isConsumed whether the consumer has asked for more, and so is done with what it had */
  #close(isConsumed: boolean): Promise<void> {
    this.#closing ??= this.#shut(isConsumed);
    return this.#closing;
  }

  /** Goes on to the next transfer; false at the end. */
  async #advance(): Promise<boolean> {
    if (!this.#ahead || this.#closing) {
      await this.#close(true);
      return false;
    }
    const { buffer, bytes, error } = await this.#ahead;
    this.#ahead = undefined;
    if (this.#closing) return false;
    this.#spare = this.#serving;
    this.#serving = buffer;
    this.#servedTo = CHUNK_HEADROOM;
    this.#filledTo = CHUNK_HEADROOM + bytes;
    if (error !== undefined) await this.#fail(error);
    this.#readAhead();
    if (this.#hasher) {
      this.#hasher.update(buffer.subarray(CHUNK_HEADROOM, this.#filledTo));
      if (!this.#ahead) await this.#checkHash(this.#hasher);
    }
    return true;
  }

  #readAhead(): void {
    const bytes = Math.min(this.#transferBytes, this.#end - this.#position);
    if (bytes === 0) return;
    const buffer = this.#spare ?? this.#options.buffers.take(this.#transferBytes);
    this.#spare = undefined;
    this.#ahead = this.#fill(buffer, bytes, this.#position).then(
      () => ({ buffer, bytes }),
      (error: unknown) => ({ buffer, bytes: 0, error: error ?? new Error('reading failed') }),
    );
    this.#position += bytes;
  }

  async #fill(buffer: Buffer, bytes: number, position: number): Promise<void> {
    for (let done = 0; done < bytes; ) {
      const read = await this.#options.file.read(buffer, CHUNK_HEADROOM + done, bytes - done, position + done);
      if (read === 0) throw new TruncatedError(position + done);
      done += read;
    }
  }

  async #checkHash(hasher: Hasher): Promise<void> {
    const hash = hasher.digest();
    if (hash.equals(this.#options.digest.bytes)) this.#options.onVerified();
    else await this.#damaged(`its hash is ${hash.toString('hex')}`);
  }

  async #fail(error: unknown): Promise<never> {
    const isLost = error instanceof TruncatedError || (isUnreadable(error) && !this.#options.isKept());
    if (isLost) return this.#damaged((error as Error).message);
    await this.#close(true);
    throw storeFailure(error, `cannot read ${this.#options.digest}`);
  }

  async #damaged(reason: string): Promise<never> {
    this.#filledTo = this.#servedTo;
    await this.#close(true);
    await this.#options.onDamaged(reason);
    throw new BlobDamagedError(`${this.#options.digest} is damaged: ${reason}`);
  }

  async #shut(isConsumed: boolean): Promise<void> {
    const { buffers } = this.#options;
    this.#servedTo = this.#filledTo;
    const pending = await this.#ahead;
    this.#ahead = undefined;
    for (const buffer of [pending?.buffer, this.#spare]) if (buffer) buffers.give(buffer);
    // A socket may still send from the memory of who went away in the middle.
    if (this.#serving && isConsumed) buffers.give(this.#serving);
    else if (this.#serving) buffers.forget(this.#serving);
    this.#serving = undefined;
    this.#spare = undefined;
    await this.#options.file.close().catch(() => {});
    this.#options.onClose();
  }
}

class TruncatedError extends Error {
  constructor(position: number) {
    super(`it ends after ${position} bytes`);
  }
}
