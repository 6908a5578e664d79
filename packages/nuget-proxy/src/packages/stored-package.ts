import type { Readable } from 'node:stream';
import type { BlobReader, BlobStore, Digest } from '@granary/blobs';
import { NuGetError, type RandomAccessSource } from '@granary/nuget';
import type { PackageContent, PackagePart, PackageReader } from '../feed/feed-content.js';
import { etagOf, type PackageEntry } from './package-entry.js';
import { PulledStream } from './pulled-stream.js';

/** Packages up to this size are read in one piece. */
const WHOLE_BYTES = 256 * 1024;

/** What is copied at once for a stream. */
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

  open(part?: PackagePart): Readable {
    return new PulledStream(new CopyingReader(this.read(part)));
  }

  read(part: PackagePart = {}): PackageReader {
    const offset = Math.min(part.offset ?? 0, this.size);
    const limit = Math.min(part.limit ?? Number.POSITIVE_INFINITY, this.size - offset);
    return new StoredReader(this.#blobs, this.digest, offset, limit);
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

class StoredReader implements PackageReader {
  readonly #blobs: BlobStore;
  readonly #digest: Digest;
  readonly #offset: number;
  readonly #limit: number;
  readonly #closed = new AbortController();
  #reader: BlobReader | undefined;
  #done = false;

  constructor(blobs: BlobStore, digest: Digest, offset: number, limit: number) {
    this.#blobs = blobs;
    this.#digest = digest;
    this.#offset = offset;
    this.#limit = limit;
  }

  next(): Buffer | undefined | Promise<Buffer | undefined> {
    if (this.#done) return undefined;
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
    this.#done ||= chunk === undefined;
    return this.#done ? undefined : chunk;
  }

  async #open(): Promise<BlobReader> {
    const { signal } = this.#closed;
    const reader = await this.#blobs.read(this.#digest, { offset: this.#offset, limit: this.#limit, signal });
    if (reader === undefined) throw gone(this.#digest);
    if (signal.aborted) await reader.close();
    return reader;
  }
}

/** Copies of what another reader gives, since that uses its memory again. */
class CopyingReader implements PackageReader {
  readonly #reader: PackageReader;
  /** What the reader has given and this has not. */
  #rest: Buffer | undefined;

  constructor(reader: PackageReader) {
    this.#reader = reader;
  }

  next(): Buffer | undefined | Promise<Buffer | undefined> {
    if (this.#rest !== undefined) return this.#piece(this.#rest);
    const chunk = this.#reader.next();
    return chunk instanceof Promise ? chunk.then((read) => read && this.#piece(read)) : chunk && this.#piece(chunk);
  }

  close(): Promise<void> {
    this.#rest = undefined;
    return this.#reader.close();
  }

  #piece(chunk: Buffer): Buffer {
    this.#rest = chunk.length > PIECE_BYTES ? chunk.subarray(PIECE_BYTES) : undefined;
    return Buffer.from(chunk.subarray(0, PIECE_BYTES));
  }
}

function gone(digest: Digest): NuGetError {
  return new NuGetError('SOURCE_UNAVAILABLE', `the package ${digest} went away before it was read`);
}
