/** Buffers for large responses that are kept for the next ones. Answers that are given at once need no more than one. */
const MOST_IDLE = 2;

/**
 * Memory for responses that takes turns. To get fresh memory for each response of a few hundred kilobytes costs more
 * than to fill it: the system clears every page of it, and the collector is kept busy (benchmark `BatchReadBlobs`).
 */
export class ResponseMemory {
  readonly #idle: Buffer[] = [];

  /** At least so many bytes, with whatever was in them before. */
  take(bytes: number): Buffer {
    const idle = this.#idle.pop();
    if (idle && idle.length >= bytes) return idle;
    return Buffer.allocUnsafeSlow(Math.max(bytes, idle?.length ?? 0));
  }

  /** Takes memory back that nobody reads any more. */
  give(buffer: Buffer): void {
    if (this.#idle.length < MOST_IDLE) this.#idle.push(buffer);
  }
}
