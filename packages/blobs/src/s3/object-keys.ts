import type { Digest } from '../digest.js';
import { type DigestFunction, hashBytes } from '../digest-function.js';
import { actionOfKey } from '../remote/action-of-key.js';

/**
 * Where things lie in a bucket: `cas/ab/abcd…` and `ac/ab/abcd…`, with the function's name before the two digits for
 * functions other than SHA-256. bazel-remote lays its uncompressed objects out like this, so that both can share a bucket.
 */
export class ObjectKeys {
  readonly #prefix: string;

  /** @param prefix empty, or with a slash at its end */
  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  blob({ function: fn, hash }: Digest): string {
    return this.#key('cas', fn, hash);
  }

  blobOfHash(fn: DigestFunction, hash: Uint8Array): string {
    return this.#key('cas', fn, Buffer.from(hash).toString('hex'));
  }

  /**
   * Keys hold no more than 1024 bytes, and instance names do: with one, the key has the SHA-256 of the action's hash with
   * the name behind it.
   *
   * @throws RangeError when the key is none of an action result
   */
  actionResult(key: string): string {
    const { action, instance } = actionOfKey(key);
    const { hash } = action;
    const name = instance === '' ? hash : hashBytes('sha256', Buffer.from(hash + instance)).toString('hex');
    return this.#key('ac', action.function, name);
  }

  #key(kind: 'cas' | 'ac', fn: DigestFunction, hash: string): string {
    return `${this.#prefix}${kind}/${fn === 'sha256' ? '' : `${fn}/`}${hash.slice(0, 2)}/${hash}`;
  }
}
