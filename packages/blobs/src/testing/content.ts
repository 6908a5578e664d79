import { Digest } from '../digest.js';

/** Bytes that differ with the seed, and their digest. */
export function blobOf(size: number, seed: number | string = 0): { readonly bytes: Buffer; readonly digest: Digest } {
  const block = Buffer.from(`${seed}/${size}|`);
  const bytes = Buffer.alloc(size, block);
  return { bytes, digest: Digest.of('sha256', bytes) };
}

export async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
