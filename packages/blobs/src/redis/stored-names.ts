import { StoredKeys } from '@granary/cache/redis';
import type { Digest } from '../digest.js';
import type { DigestFunction } from '../digest-function.js';

/**
 * How keys are called in Redis:
 *
 * - `PREFIXcas/FUNCTION/HASH`: a blob's bytes as they are
 * - `PREFIXac/FUNCTION/HASH/INSTANCE`: an action result as it came, by the hash of the action
 */
export class StoredNames {
  readonly #keys: StoredKeys;

  /** @throws InvalidOptionError for an empty prefix */
  constructor(prefix: string) {
    this.#keys = new StoredKeys(prefix);
  }

  blob(digest: Digest): string {
    return `${this.#keys.prefix}cas/${digest.function}/${digest.hash}`;
  }

  blobWithHash(fn: DigestFunction, hash: Uint8Array): string {
    return `${this.#keys.prefix}cas/${fn}/${Buffer.from(hash).toString('hex')}`;
  }

  /** @param key see `actionKey` */
  actionResult(key: string): string {
    return this.#keys.of(`ac/${key}`);
  }

  /** A key that nobody writes. */
  get probe(): string {
    return `${this.#keys.prefix}probe`;
  }
}
