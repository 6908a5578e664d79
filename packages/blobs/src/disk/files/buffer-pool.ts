import { CHUNK_HEADROOM } from '../../blob-store.js';
import { AlignedMemory, type AlignedPair } from './aligned-memory.js';

/** Bytes that move between the disk and memory at once: measured, twice as fast as 64 KiB and half as large as 1 MiB. */
const TRANSFER_BYTES = 512 * 1024;

/** The same while many streams are under way, so that hundreds of them don't take hundreds of megabytes. */
const CROWDED_TRANSFER_BYTES = 128 * 1024;

/** Lent bytes from which on new streams get small transfers: 8 streams with two buffers each. */
const CROWDED_BYTES = 16 * TRANSFER_BYTES;

/** Idle buffers that are kept for the next reader or upload. */
const MOST_IDLE = 8;

/** Buffers for transfers, each with room for a consumer's header in front. */
export class BufferPool {
  readonly #idle: Buffer[] = [];
  #aligned: AlignedMemory | undefined;
  #lentBytes = 0;

  /** Bytes that a stream of this length, beginning now, is to move at once. */
  transferBytes(length: number): number {
    return Math.min(length, this.#lentBytes < CROWDED_BYTES ? TRANSFER_BYTES : CROWDED_TRANSFER_BYTES);
  }

  /** A buffer of `CHUNK_HEADROOM` bytes and room for a transfer. Has to be given back. */
  take(transferBytes: number): Buffer {
    this.#lentBytes += transferBytes;
    const idle = transferBytes === TRANSFER_BYTES ? this.#idle.pop() : undefined;
    return idle ?? Buffer.allocUnsafeSlow(CHUNK_HEADROOM + transferBytes);
  }

  /** Two buffers for a transfer each, at whole pages and without headroom; undefined while too many are lent. */
  takeAlignedPair(): AlignedPair | undefined {
    if (this.#lentBytes >= CROWDED_BYTES) return undefined;
    this.#aligned ??= new AlignedMemory(TRANSFER_BYTES, CROWDED_BYTES / TRANSFER_BYTES);
    const pair = this.#aligned.takePair();
    if (pair !== undefined) this.#lentBytes += 2 * TRANSFER_BYTES;
    return pair;
  }

  /** Instead of giving a buffer back, of which somebody may still read; only for those from {@link take}. */
  forget(buffer: Buffer): void {
    this.#lentBytes -= buffer.length - CHUNK_HEADROOM;
  }

  give(buffer: Buffer): void {
    if (this.#aligned?.give(buffer)) {
      this.#lentBytes -= buffer.length;
      return;
    }
    this.forget(buffer);
    if (buffer.length - CHUNK_HEADROOM === TRANSFER_BYTES && this.#idle.length < MOST_IDLE) this.#idle.push(buffer);
  }
}
