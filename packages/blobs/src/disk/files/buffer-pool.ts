import { CHUNK_HEADROOM } from '../../blob-store.js';

/** Bytes that move between the disk and memory at once: measured, twice as fast as 64 KiB and half as large as 1 MiB. */
export const TRANSFER_BYTES = 512 * 1024;

/** Idle buffers that are kept for the next reader or upload. */
const MOST_IDLE = 16;

/** Buffers for transfers, each with room for a consumer's header in front. */
export class BufferPool {
  readonly #idle: Buffer[] = [];

  /** A buffer of `CHUNK_HEADROOM` bytes and room for a transfer of this size, at most {@link TRANSFER_BYTES}. */
  take(bytes: number): Buffer {
    if (bytes < TRANSFER_BYTES) return Buffer.allocUnsafeSlow(CHUNK_HEADROOM + bytes);
    return this.#idle.pop() ?? Buffer.allocUnsafeSlow(CHUNK_HEADROOM + TRANSFER_BYTES);
  }

  give(buffer: Buffer): void {
    if (buffer.length === CHUNK_HEADROOM + TRANSFER_BYTES && this.#idle.length < MOST_IDLE) this.#idle.push(buffer);
  }
}
