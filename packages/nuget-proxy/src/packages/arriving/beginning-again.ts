import { createHash } from 'node:crypto';

/**
 * The beginning of a package that has come before, and comes again with the whole: it is compared with what is here, and
 * not taken twice.
 */
export class BeginningAgain {
  readonly #sha256 = createHash('sha256');
  readonly #expected: Buffer;
  #left: number;

  /** @param bytes that are here, more than none, and their SHA-256 */
  constructor(bytes: number, sha256: Buffer) {
    this.#left = bytes;
    this.#expected = sha256;
  }

  /** Whether all of it has come again. */
  get isOver(): boolean {
    return this.#left === 0;
  }

  /** What of a chunk is new: nothing, as long as the beginning isn't over; undefined when that is another one. */
  newOf(chunk: Buffer): Buffer | undefined {
    if (this.#left === 0) return chunk;
    const known = chunk.subarray(0, this.#left);
    this.#sha256.update(known);
    this.#left -= known.length;
    if (this.#left === 0 && !this.#sha256.digest().equals(this.#expected)) return undefined;
    return chunk.subarray(known.length);
  }
}
