import { Readable } from 'node:stream';
import { checkHash, consumeSource } from '../blob-source.js';
import { type BlobSource, CHUNK_BYTES } from '../blob-store.js';
import type { Digest } from '../digest.js';
import { createHasher } from '../digest-function.js';

/** Why a body is left when nobody takes it any more. */
const LEFT: unique symbol = Symbol('the body is not wanted any more');

/**
 * A blob on its way to a peer. The last byte is held back until the hash of all is right: of a wrong blob a peer gets less
 * than it was promised, and keeps nothing.
 */
export class UploadBody extends Readable {
  /** The last byte that has come. */
  #held: Buffer | undefined;
  #resume: (() => void) | undefined;
  #complete = false;

  constructor() {
    super({ highWaterMark: CHUNK_BYTES });
    this.on('error', () => {});
  }

  /** Whether all bytes were handed over, and are right. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /**
   * Feeds it from the source to the end; returns early when the body is destroyed or `signal` aborts with
   * {@link UploadBody.leave}'s reason.
   *
   * @throws DigestMismatchError, and what the source or the signal throws; the body is destroyed then
   */
  async feed(digest: Digest, source: BlobSource, signal: AbortSignal): Promise<void> {
    const hasher = createHasher(digest.function);
    try {
      await consumeSource(source, digest.size, signal, (chunk) => {
        hasher.update(chunk);
        return this.#send(chunk);
      });
      checkHash(digest, hasher.digest());
    } catch (error) {
      this.destroy();
      if (error === LEFT) return;
      throw error;
    }
    if (this.destroyed) return;
    this.#complete = true;
    if (this.#held) this.push(this.#held);
    this.push(null);
  }

  /** Tells the signal's owner how to end a feed that nobody needs any more. */
  static leave(controller: AbortController): void {
    controller.abort(LEFT);
  }

  override _read(): void {
    this.#resume?.();
    this.#resume = undefined;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this._read();
    callback(error);
  }

  #send(chunk: Uint8Array): Promise<void> | undefined {
    if (this.destroyed) throw LEFT;
    if (chunk.length === 0) return undefined;
    // Copied, since the source uses its memory again while these bytes may still wait in the socket's queue.
    const bytes = Buffer.concat(this.#held ? [this.#held, chunk] : [chunk]);
    this.#held = bytes.subarray(-1);
    if (bytes.length === 1 || this.push(bytes.subarray(0, -1))) return undefined;
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }
}
