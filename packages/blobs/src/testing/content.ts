import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { WholeFile } from '../blob-store.js';
import { Digest } from '../digest.js';
import { type FileSystem, nodeFileSystem } from '../disk/files/file-system.js';

export { bytesOf, inChunks } from '../contract/content.js';

/** Bytes that differ with the seed, and their digest. */
export function blobOf(size: number, seed: number | string = 0): { readonly bytes: Buffer; readonly digest: Digest } {
  const block = Buffer.from(`${seed}/${size}|`);
  const bytes = Buffer.alloc(size, block);
  return { bytes, digest: Digest.of('sha256', bytes) };
}

/** A file that a store may adopt; whoever asked closes it. */
export async function fileOf(folder: string, bytes: Buffer, fs: FileSystem = nodeFileSystem): Promise<WholeFile> {
  const path = join(folder, randomUUID());
  const file = await fs.create(path);
  await file.write(bytes, 0, bytes.length, 0);
  return { path, file };
}
