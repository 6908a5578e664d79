import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import type { PackageIdentity } from '../../package-identity.js';
import { NupkgReader } from '../../packages/nupkg-reader.js';
import type { Nuspec } from '../../packages/nuspec.js';

/** Where a package lies that is open: in a file, or in memory where it is short. */
export type PackageBytes = FileHandle | Buffer;

export interface OpenPackageInit {
  readonly identity: PackageIdentity;
  /** Name of the source. */
  readonly source: string;
  readonly bytes: PackageBytes;
  readonly size: number;
  /** Where it is cached; undefined when it isn't. */
  readonly path: string | undefined;
  /** Of the whole package, in base64. */
  readonly sha512: string;
  /** What its nuspec says, where that was read already. */
  readonly nuspec?: Nuspec | undefined;
  readonly fromCache: boolean;
}

/** A package in memory or an open file, which is closed when the last of those who read it is done. */
export class OpenPackage {
  readonly init: OpenPackageInit;
  #users: number;

  constructor(init: OpenPackageInit, users = 1) {
    this.init = init;
    this.#users = users;
  }

  retain(users: number): void {
    this.#users += users;
  }

  async release(): Promise<void> {
    const { bytes } = this.init;
    if (--this.#users === 0 && !Buffer.isBuffer(bytes)) await bytes.close();
  }
}

const CHUNK_BYTES = 256 * 1024;

/**
 * A whole, verified package as a stream: read it to its end or destroy it. It stays what it is, whatever becomes of the
 * cache meanwhile.
 */
export class PackageDownload extends Readable {
  readonly identity: PackageIdentity;
  /** Name of the source that it is from. */
  readonly source: string;
  /** Bytes. */
  readonly size: number;
  /** The file in the cache, which may be gone at any time; undefined when it isn't cached. */
  readonly path: string | undefined;
  /** Hash of the whole package, in base64. */
  readonly sha512: string;
  /** Whether it was there already. */
  readonly fromCache: boolean;
  readonly #opened: OpenPackage;
  #position = 0;

  constructor(opened: OpenPackage) {
    super({ highWaterMark: CHUNK_BYTES });
    const { identity, source, size, path, sha512, fromCache } = opened.init;
    this.identity = identity;
    this.source = source;
    this.size = size;
    this.path = path;
    this.sha512 = sha512;
    this.fromCache = fromCache;
    this.#opened = opened;
  }

  /** What a `NupkgReader` can be opened with, before the stream is destroyed. Not to be changed. */
  get bytes(): PackageBytes {
    return this.#opened.init.bytes;
  }

  /**
   * What its nuspec says. Ask before the stream is destroyed or at its end; it costs nothing where the package has just
   * been fetched, and else a few reads.
   */
  async nuspec(): Promise<Nuspec> {
    const known = this.#opened.init.nuspec;
    if (known !== undefined) return known;
    await using reader = await NupkgReader.open(this.bytes);
    return await reader.nuspec();
  }

  override _read(): void {
    this.#readNext().catch((error: Error) => this.destroy(error));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#opened.release().then(
      () => callback(error),
      (failed: Error) => callback(error ?? failed),
    );
  }

  async #readNext(): Promise<void> {
    const wanted = Math.min(CHUNK_BYTES, this.size - this.#position);
    if (wanted === 0) {
      this.push(null);
      return;
    }
    const chunk = Buffer.allocUnsafeSlow(wanted);
    const { bytes } = this;
    const read = Buffer.isBuffer(bytes)
      ? bytes.copy(chunk, 0, this.#position)
      : (await bytes.read(chunk, 0, wanted, this.#position)).bytesRead;
    if (this.destroyed) return;
    if (read === 0) throw new Error(`the file of ${this.identity.id} became shorter while it was read`);
    this.#position += read;
    this.push(read === wanted ? chunk : chunk.subarray(0, read));
  }
}
