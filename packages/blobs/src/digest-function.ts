import { createHash, hash } from 'node:crypto';
import { Blake3Hasher, blake3 } from '@napi-rs/blake-hash';

/**
 * The hash functions that name content, under the names that the Remote Execution API gives them
 * (REAPI v2, `DigestFunction.Value`), in lower case as resource names and configuration write them.
 */
export const DIGEST_FUNCTIONS = ['sha256', 'blake3', 'sha1', 'md5', 'sha384', 'sha512'] as const;

/** The name of a digest function, as resource names have it. */
export type DigestFunction = (typeof DIGEST_FUNCTIONS)[number];

/** The functions that a server offers unless it is told otherwise. */
export const DEFAULT_DIGEST_FUNCTIONS: readonly DigestFunction[] = ['sha256', 'blake3'];

/** Length of each function's hash, in bytes. All are multiples of four, which the index relies on. */
export const HASH_BYTES: Readonly<Record<DigestFunction, number>> = {
  sha256: 32,
  blake3: 32,
  sha1: 20,
  md5: 16,
  sha384: 48,
  sha512: 64,
};

/** Whether this is the name of a digest function, in lower case. */
export function isDigestFunction(name: string): name is DigestFunction {
  return (DIGEST_FUNCTIONS as readonly string[]).includes(name);
}

/**
 * The function that a hash of this length stands for where the protocol lets a client leave it out.
 * SHA-256 and BLAKE3 share a length; the protocol says that such a hash is SHA-256.
 *
 * @param hexLength length of the hash in hexadecimal digits
 */
export function inferDigestFunction(hexLength: number): DigestFunction | undefined {
  return DIGEST_FUNCTIONS.find((name) => HASH_BYTES[name] * 2 === hexLength);
}

/** A hash that is computed while the bytes pass by. */
export interface Hasher {
  update(chunk: Uint8Array): void;
  /** Ends the computation; the hasher must not be used afterwards. */
  digest(): Buffer;
}

/** Computes a hash from chunks. */
export function createHasher(fn: DigestFunction): Hasher {
  if (fn !== 'blake3') return createHash(fn);
  const blake = new Blake3Hasher();
  return {
    update: (chunk) => {
      blake.update(chunk);
    },
    digest: () => blake.digestBuffer(),
  };
}

/** The hash of bytes that are all in memory; for small inputs about twice as fast as a {@link Hasher}. */
export function hashBytes(fn: DigestFunction, bytes: Uint8Array): Buffer {
  return fn === 'blake3' ? blake3(bytes) : hash(fn, bytes, 'buffer');
}
