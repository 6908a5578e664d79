// The blobs and requests of the benchmark, the same for every server: made from a seed, so that each process can make
// them again instead of passing them around.
import { createHash } from 'node:crypto';

export const KIB = 1024;
export const MIB = 1024 * KIB;

/** Bytes that don't compress, from a seed; `size` a multiple of 4. */
export function bytes(seed, size) {
  const words = new Uint32Array(size / 4);
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state >>> 0;
  }
  return Buffer.from(words.buffer);
}

/** @returns {{ hash: string, sizeBytes: number, data: Buffer }} */
export function blob(seed, size) {
  const data = bytes(seed, size);
  return { hash: createHash('sha256').update(data).digest('hex'), sizeBytes: size, data };
}

const made = new Map();

/** 1000 blobs of 4 KiB. */
export const smallBlobs = () => once('small', () => Array.from({ length: 1000 }, (_, i) => blob(i + 1, 4 * KIB)));

/** One blob of 64 MiB. */
export const largeBlob = () => once('large', () => blob(99_001, 64 * MIB));

/** A blob of 64 MiB that no server has: another one for each `n`. */
export function freshLargeBlob(n) {
  const data = Buffer.from(largeBlob().data);
  data.writeUInt32LE(n, 0);
  return { hash: createHash('sha256').update(data).digest('hex'), sizeBytes: data.length, data };
}

/** `count` blobs of 4 KiB that no server has, for each `n` others. */
export function freshSmallBlobs(n, count) {
  return Array.from({ length: count }, (_, i) => blob(1_000_000 + n * count + i, 4 * KIB));
}

function once(name, make) {
  if (!made.has(name)) made.set(name, make());
  return made.get(name);
}
