// Blobs of any size that cost no memory: one block again and again, the first one with a number in it.
import { createHash } from 'node:crypto';
import { bytes, KIB } from '../corpus.mjs';

export const BLOCK_BYTES = 256 * KIB;
const BLOCK = bytes(7, BLOCK_BYTES);

/** The block at any place but the first. */
export const block = () => BLOCK;

export function firstBlock(n) {
  const first = Buffer.from(BLOCK);
  first.writeUInt32LE(n, 0);
  return first;
}

/** @returns {{ n: number, hash: string, sizeBytes: number }} `sizeBytes` a multiple of {@link BLOCK_BYTES} */
export function patterned(n, sizeBytes) {
  const hash = createHash('sha256').update(firstBlock(n));
  for (let at = BLOCK_BYTES; at < sizeBytes; at += BLOCK_BYTES) hash.update(BLOCK);
  return { n, hash: hash.digest('hex'), sizeBytes };
}
