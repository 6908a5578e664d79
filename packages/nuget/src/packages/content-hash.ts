import { createHash, type Hash } from 'node:crypto';
import { NuGetError } from '../errors.js';
import type { RandomAccessSource } from './random-access.js';
import { isSignature, type ZipDirectory, type ZipEntry } from './zip-directory.js';

const CHUNK = 1024 * 1024;
const OFFSET_IN_HEADER = 42;

/** Hash of all bytes of a source. */
export async function hashAll(source: RandomAccessSource, algorithm: string, signal?: AbortSignal): Promise<Buffer> {
  const hash = createHash(algorithm);
  await hashRange(hash, source, 0, source.size, signal);
  return hash.digest();
}

/**
 * SHA-512 of the package as it was before it was signed: the bytes that remain when the signature's entry and its
 * header in the directory are cut out, with the offsets, counts and sizes that the archive had without them. It stays
 * the same when a feed signs the package once more, and is what lock files and `.nupkg.metadata` call the content hash.
 */
export async function hashWithoutSignature(
  source: RandomAccessSource,
  directory: ZipDirectory,
  signal?: AbortSignal,
): Promise<Buffer> {
  const [signature, another] = directory.entries.filter(isSignature);
  if (signature === undefined) return hashAll(source, 'sha512', signal);
  if (another !== undefined) throw new NuGetError('INVALID_PACKAGE', 'the package has more than one signature');
  if (directory.isZip64)
    throw new NuGetError('UNSUPPORTED', 'signed packages in the ZIP64 format have no content hash');

  const hash = createHash('sha512');
  const byOffset = [...directory.entries].sort((a, b) => a.offset - b.offset);
  await hashRange(hash, source, 0, byOffset[0]?.offset ?? 0, signal);
  const newOffsets = new Map<ZipEntry, number>();
  let newOffset = 0;
  for (const entry of byOffset) {
    if (entry === signature) continue;
    newOffsets.set(entry, newOffset);
    newOffset += entry.limit - entry.offset;
    await hashRange(hash, source, entry.offset, entry.limit, signal);
  }
  for (const entry of directory.entries) {
    if (entry === signature) continue;
    const header = Buffer.from(await source.read(entry.headerPosition, entry.headerSize));
    header.writeUInt32LE(newOffsets.get(entry) ?? 0, OFFSET_IN_HEADER);
    hash.update(header);
  }
  const end = Buffer.from(await source.read(directory.end, source.size - directory.end));
  end.writeUInt16LE(end.readUInt16LE(8) - 1, 8);
  end.writeUInt16LE(end.readUInt16LE(10) - 1, 10);
  end.writeUInt32LE(end.readUInt32LE(12) - signature.headerSize, 12);
  end.writeUInt32LE(end.readUInt32LE(16) - (signature.limit - signature.offset), 16);
  hash.update(end);
  return hash.digest();
}

async function hashRange(
  hash: Hash,
  source: RandomAccessSource,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let position = start; position < end; ) {
    signal?.throwIfAborted();
    const bytes = await source.read(position, Math.min(CHUNK, end - position));
    if (bytes.length === 0) throw new NuGetError('INVALID_PACKAGE', 'the package became shorter while it was read');
    hash.update(bytes);
    position += bytes.length;
  }
}
