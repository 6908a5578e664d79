import { createHmac, randomBytes } from 'node:crypto';

/**
 * Turns secrets into hashes that can be kept and compared: keyed, so that the hashes are worth nothing outside of this
 * process, and all of one length, as a comparison in constant time needs them.
 */
export class SecretHash {
  readonly #key = randomBytes(32);

  /** The parts may hold anything: lengths keep them apart. */
  of(...parts: readonly string[]): Buffer {
    const hmac = createHmac('sha256', this.#key);
    for (const part of parts) hmac.update(`${part.length}:`).update(part);
    return hmac.digest();
  }
}
