/** Bytes that are kept for the next responses at most. */
const MOST_IDLE_BYTES = 8 * 1024 * 1024;

/** Responses differ a little; memory for one should fit the next. */
const STEP_BYTES = 64 * 1024;

/**
 * Memory for responses that takes turns. To get fresh memory for each response of a few hundred kilobytes costs more
 * than to fill it: the system clears every page of it, and the collector is kept busy (benchmark `BatchReadBlobs`).
 */
export class ResponseMemory {
  readonly #idle: Buffer[] = [];
  #idleBytes = 0;

  /** At least so many bytes, with whatever was in them before. */
  take(bytes: number): Buffer {
    const idle = this.#idle.pop();
    if (idle) this.#idleBytes -= idle.length;
    // One that is too small is let go, so that the pool follows what is asked for.
    if (idle && idle.length >= bytes) return idle;
    return Buffer.allocUnsafeSlow(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES);
  }

  /** Takes memory back that nobody reads any more. */
  give(buffer: Buffer): void {
    if (this.#idleBytes + buffer.length > MOST_IDLE_BYTES) return;
    this.#idle.push(buffer);
    this.#idleBytes += buffer.length;
  }
}
