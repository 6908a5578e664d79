import type { BlobReader } from '../blob-store.js';

/** Bytes that depend on the size, so that no two sizes share a prefix by accident. */
export function contentOf(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = (size * 2654435761) >>> 0 || 1;
  for (let i = 0; i < size; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}

export async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** All that a reader has; a test that expects a blob fails where there is none. */
export async function bytesOf(reader: BlobReader | undefined): Promise<Buffer> {
  if (reader === undefined) throw new Error('the blob is missing');
  const chunks: Buffer[] = [];
  for await (const chunk of reader) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
