import type { Bucket } from './bucket.js';
import { answerOf } from './s3-failure.js';

/** How stores say that they don't know a header. */
const UNKNOWN = new Set(['NotImplemented', 'InvalidArgument', 'InvalidRequest']);

/**
 * Writes of content that may be there already, with `If-None-Match: *`, so that a store that knows the header needn't
 * keep it twice, or another version of it. One that refuses the header isn't sent it again.
 */
export class ConditionalWrites {
  readonly #bucket: Bucket;
  #known = true;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /**
   * @param size what the object has to have: one with another size is replaced
   * @param write sends it, under the condition that it is given
   * @returns whether it was written, and was not there before
   */
  async run(
    key: string,
    size: number,
    signal: AbortSignal | undefined,
    write: (condition: '*' | undefined) => Promise<unknown>,
  ): Promise<boolean> {
    if (!this.#known) {
      await write(undefined);
      return true;
    }
    try {
      await write('*');
      return true;
    } catch (error) {
      const { code, status } = answerOf(error);
      if (status === 412 || status === 409) {
        if ((await this.#bucket.sizeAt(key, signal)) === size) return false;
        // 409: somebody else is at it, and may fail.
        if (status === 409) throw error;
      } else if (!UNKNOWN.has(code)) throw error;
      await write(undefined);
      if (UNKNOWN.has(code)) this.#known = false;
      return true;
    }
  }
}
