import type { Readable } from 'node:stream';
import type { BlobReader, BlobStore, Digest } from '@granary/blobs';
import { NuGetError, type RandomAccessSource } from '@granary/nuget';
import type { PackageContent } from '../feed/feed-content.js';
import { etagOf, type PackageEntry } from './package-entry.js';
import { type ChunkReader, PulledStream } from './pulled-stream.js';

/** Packages up to this size are read in one piece. */
const WHOLE_BYTES = 256 * 1024;

/** What is handed on at once of those that are larger. */
const PIECE_BYTES = 64 * 1024;

/** A package in the blob store. */
export class StoredPackage implements PackageContent {
  readonly state = 'hit';
  readonly digest: Digest;
  /** Of the whole package, in base64. */
  readonly sha512: string;
  readonly etag: string;
  readonly lastModified: Date;
  readonly #blobs: BlobStore;

  constructor(entry: PackageEntry, blobs: BlobStore) {
    this.digest = entry.digest;
    this.sha512 = entry.sha512;
    this.etag = etagOf(entry);
    this.lastModified = new Date(entry.storedAt);
    this.#blobs = blobs;
  }

  get size(): number {
    return this.digest.size;
  }

  open(part: { readonly offset?: number | undefined; readonly limit?: number | undefined } = {}): Readable {
    const offset = Math.min(part.offset ?? 0, this.size);
    const limit = Math.min(part.limit ?? Number.POSITIVE_INFINITY, this.size - offset);
    return new PulledStream(new StoredReader(this.#blobs, this.digest, offset, limit));
  }

  /** The package for those who read here and there in it, such as `NupkgReader`. */
  source(): RandomAccessSource {
    return {
      size: this.size,
      read: async (position, length) => {
        const pieces: Buffer[] = [];
        for await (const piece of this.open({ offset: position, limit: length })) pieces.push(piece);
        return Buffer.concat(pieces);
      },
    };
  }

  /** Nothing is open before {@link open}. */
  release(): void {}
}

class StoredReader implements ChunkReader {
  readonly #blobs: BlobStore;
  readonly #digest: Digest;
  readonly #offset: number;
  readonly #limit: number;
  readonly #closed = new AbortController();
  #reader: BlobReader | undefined;
  #done = false;
  /** What the reader has given and the stream has not. */
  #rest: Buffer | undefined;

  constructor(blobs: BlobStore, digest: Digest, offset: number, limit: number) {
    this.#blobs = blobs;
    this.#digest = digest;
    this.#offset = offset;
    this.#limit = limit;
  }

  next(): Buffer | undefined | Promise<Buffer | undefined> {
    if (this.#done) return undefined;
    if (this.#rest !== undefined) return this.#piece(this.#rest);
    return this.#digest.size <= WHOLE_BYTES ? this.#whole() : this.#nextOfReader();
  }

  async close(): Promise<void> {
    this.#done = true;
    this.#closed.abort();
    await this.#reader?.close();
  }

  async #whole(): Promise<Buffer | undefined> {
    this.#done = true;
    const bytes = await this.#blobs.get(this.#digest, { signal: this.#closed.signal });
    if (bytes === undefined) throw gone(this.#digest);
    return this.#limit === 0 ? undefined : bytes.subarray(this.#offset, this.#offset + this.#limit);
  }

  async #nextOfReader(): Promise<Buffer | undefined> {
    this.#reader ??= await this.#open();
    const chunk = await this.#reader.next();
    if (chunk !== undefined && !this.#done) return this.#piece(chunk);
    this.#done = true;
    return undefined;
  }

  async #open(): Promise<BlobReader> {
    const { signal } = this.#closed;
    const reader = await this.#blobs.read(this.#digest, { offset: this.#offset, limit: this.#limit, signal });
    if (reader === undefined) throw gone(this.#digest);
    if (signal.aborted) await reader.close();
    return reader;
  }

  /** A copy, since the reader uses its memory again. */
  #piece(chunk: Buffer): Buffer {
    this.#rest = chunk.length > PIECE_BYTES ? chunk.subarray(PIECE_BYTES) : undefined;
    return Buffer.from(chunk.subarray(0, PIECE_BYTES));
  }
}

function gone(digest: Digest): NuGetError {
  return new NuGetError('SOURCE_UNAVAILABLE', `the package ${digest} went away before it was read`);
}
