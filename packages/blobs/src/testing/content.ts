import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { BlobReader, WholeFile } from '../blob-store.js';
import { Digest } from '../digest.js';
import { type FileSystem, nodeFileSystem } from '../disk/files/file-system.js';

/** Bytes that differ with the seed, and their digest. */
export function blobOf(size: number, seed: number | string = 0): { readonly bytes: Buffer; readonly digest: Digest } {
  const block = Buffer.from(`${seed}/${size}|`);
  const bytes = Buffer.alloc(size, block);
  return { bytes, digest: Digest.of('sha256', bytes) };
}

export async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** All that a reader has; a test that expects a blob fails where there is none. */
export async function bytesOf(reader: BlobReader | undefined): Promise<Buffer> {
  if (reader === undefined) throw new Error('there is no such blob');
  const parts: Buffer[] = [];
  for await (const chunk of reader) parts.push(Buffer.from(chunk));
  return Buffer.concat(parts);
}

/** A file that a store may adopt; whoever asked closes it. */
export async function fileOf(folder: string, bytes: Buffer, fs: FileSystem = nodeFileSystem): Promise<WholeFile> {
  const path = join(folder, randomUUID());
  const file = await fs.create(path);
  await file.write(bytes, 0, bytes.length, 0);
  return { path, file };
}
