import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Logger } from '@granary/telemetry';
import { isNuGetError, SourceError } from '../../errors.js';
import type { HttpCache } from '../../http-cache/http-cache.js';
import { createTemporary, type TemporaryFile } from '../../http-cache/temporary-files.js';
import type { PackageIdentity } from '../../package-identity.js';
import type { Nuspec } from '../../packages/nuspec.js';
import { verifyPackage } from '../../packages/verify-package.js';
import type { PackageStream } from '../../protocol/feed.js';
import { shownUrl } from '../../protocol/v3/endpoint-url.js';
import { failureOf } from '../source-failures.js';
import { OpenPackage, type PackageBytes } from './package-download.js';
import { checkSha512, isSha512, type PackageHash } from './package-hash.js';

export interface PackageReceiverOptions {
  readonly source: string;
  readonly sourceUrl: string;
  readonly maxPackageBytes: number;
  readonly logger: Logger;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
}

export interface ReceiveOptions {
  /** Where the package is kept, and its key there. */
  readonly disk: HttpCache | undefined;
  readonly key: string;
  readonly hash: PackageHash | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Pieces of a body are written together up to this length. A package that is shorter stays in memory until it is read: to
 * look at it there and to write it in one go takes a fraction of what an open file does.
 */
const WRITE_BYTES = 256 * 1024;

/** Takes packages from a source: checked as a whole, and only then to where others find them. */
export class PackageReceiver {
  readonly #options: PackageReceiverOptions;

  constructor(options: PackageReceiverOptions) {
    this.#options = options;
  }

  /**
   * The package, in memory or an open file. What it is refused for, or breaks off with, leaves nothing behind.
   *
   * @throws SourceError `INVALID_PACKAGE`, `LIMIT`, `SOURCE_UNAVAILABLE`
   */
  async receive(identity: PackageIdentity, stream: PackageStream, options: ReceiveOptions): Promise<OpenPackage> {
    const modifiedAt = this.#options.clock();
    const arriving = new ArrivingBytes(stream, this.#options);
    try {
      const begin = await arriving.next();
      return arriving.isOver
        ? await this.#receiveSmall(identity, Buffer.concat(begin), arriving, modifiedAt, options)
        : await this.#receiveLarge(identity, begin, arriving, modifiedAt, options);
    } catch (error) {
      stream.body.destroy();
      throw error;
    }
  }

  async #receiveSmall(
    identity: PackageIdentity,
    content: Buffer,
    arriving: ArrivingBytes,
    modifiedAt: number,
    options: ReceiveOptions,
  ): Promise<OpenPackage> {
    const { sourceUrl } = this.#options;
    const { disk, key } = options;
    const { url } = arriving;
    const sha512 = arriving.sha512();
    const nuspec = await this.#verify(content, identity, sha512, url, options);
    const notes = { validators: { url }, modifiedAt, sha512 };
    const path = disk && (await this.#keep(disk, key, () => disk.set(sourceUrl, key, content, undefined, notes)));
    return this.#opened(identity, content, { size: content.length, path, sha512, nuspec });
  }

  async #receiveLarge(
    identity: PackageIdentity,
    begin: Buffer[],
    arriving: ArrivingBytes,
    modifiedAt: number,
    options: ReceiveOptions,
  ): Promise<OpenPackage> {
    const { sourceUrl } = this.#options;
    const { disk, key } = options;
    const { url } = arriving;
    let temporary: TemporaryFile | undefined;
    try {
      const inCache = disk && (await this.#createIn(disk));
      const file = inCache ?? (await createUnnamed());
      temporary = file;
      for (let group = begin; group.length > 0; group = await arriving.next()) await writeAll(file.handle, group);
      const { size } = arriving;
      const sha512 = arriving.sha512();
      const nuspec = await this.#verify(file.handle, identity, sha512, url, options);
      const notes = { validators: { url, sha512 }, modifiedAt, size };
      const path = inCache && disk && (await this.#keep(disk, key, () => disk.keep(inCache, sourceUrl, key, notes)));
      if (path === undefined) await rm(file.path, { force: true });
      return this.#opened(identity, file.handle, { size, path, sha512, nuspec });
    } catch (error) {
      await temporary?.handle.close();
      if (temporary !== undefined) await rm(temporary.path, { force: true });
      throw error;
    }
  }

  #opened(
    identity: PackageIdentity,
    bytes: PackageBytes,
    known: { size: number; path: string | undefined; sha512: string; nuspec: Nuspec },
  ): OpenPackage {
    return new OpenPackage({ identity, source: this.#options.source, bytes, ...known, fromCache: false });
  }

  async #createIn(disk: HttpCache): Promise<TemporaryFile | undefined> {
    const { sourceUrl, source, logger } = this.#options;
    try {
      return await disk.createTemporary(sourceUrl);
    } catch (error) {
      if (isNuGetError(error)) throw error;
      logger.warning('Packages of {Source} are not cached: the cache cannot be written to', source, error);
      return undefined;
    }
  }

  async #verify(
    input: PackageBytes,
    identity: PackageIdentity,
    sha512: string,
    url: string,
    { hash, signal }: ReceiveOptions,
  ): Promise<Nuspec> {
    try {
      checkSha512(identity, hash, sha512);
      const other = hash === undefined || isSha512(hash) ? undefined : hash;
      return await verifyPackage(input, identity, { signal, hash: other });
    } catch (error) {
      if (!isNuGetError(error)) throw error;
      throw new SourceError(error.code, this.#options.source, `${shownUrl(url)}: ${error.message}`, { cause: error });
    }
  }

  /** Where it is cached from now on; undefined when the cache can't take it. */
  async #keep(disk: HttpCache, key: string, keep: () => Promise<unknown>): Promise<string | undefined> {
    const { sourceUrl, source, logger } = this.#options;
    try {
      await keep();
      return disk.getCachePath(sourceUrl, key);
    } catch (error) {
      logger.warning('Could not cache {CacheKey} of {Source}', key, source, error);
      return undefined;
    }
  }
}

/** What comes of a package, in groups of chunks: counted, hashed and not too long. */
class ArrivingBytes {
  readonly url: string;
  /** Bytes that have come. */
  size = 0;
  /** Whether all of it has come: as many bytes as the source said, if it did. */
  isOver = false;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #length: number | undefined;
  readonly #source: string;
  readonly #maxBytes: number;
  readonly #hash = createHash('sha512');

  constructor({ body, length, url }: PackageStream, { source, maxPackageBytes }: PackageReceiverOptions) {
    this.url = url;
    this.#chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
    this.#length = length;
    this.#source = source;
    this.#maxBytes = maxPackageBytes;
  }

  /** The chunks that come next, at least {@link WRITE_BYTES} until it is over; then none. */
  async next(): Promise<Buffer[]> {
    if ((this.#length ?? 0) > this.#maxBytes) throw this.#tooLong();
    const group: Buffer[] = [];
    const enough = this.size + WRITE_BYTES;
    while (!this.isOver && this.size < enough) {
      const chunk = await this.#nextChunk();
      if (chunk === undefined) this.#end();
      else {
        this.size += chunk.length;
        if (this.size > this.#maxBytes) throw this.#tooLong();
        this.#hash.update(chunk);
        group.push(chunk);
      }
    }
    return group;
  }

  /** Of all of it, in base64. To be asked once. */
  sha512(): string {
    return this.#hash.digest('base64');
  }

  async #nextChunk(): Promise<Buffer | undefined> {
    try {
      const { done, value } = await this.#chunks.next();
      return done ? undefined : value;
    } catch (error) {
      throw failureOf(this.#source, this.url, error);
    }
  }

  #end(): void {
    this.isOver = true;
    if (this.#length === undefined || this.#length === this.size) return;
    const what = `${shownUrl(this.url)} ended after ${this.size} of ${this.#length} bytes`;
    throw new SourceError('SOURCE_UNAVAILABLE', this.#source, what);
  }

  #tooLong(): SourceError {
    const what = `${shownUrl(this.url)} is longer than ${this.#maxBytes} bytes`;
    return new SourceError('LIMIT', this.#source, what);
  }
}

/** A file that nobody else finds, and that is gone when it is closed; on Windows, where it can't be, when it was read. */
async function createUnnamed(): Promise<TemporaryFile> {
  const temporary = await createTemporary(tmpdir());
  if (process.platform !== 'win32') await rm(temporary.path, { force: true });
  return temporary;
}

async function writeAll(handle: TemporaryFile['handle'], chunks: Buffer[]): Promise<void> {
  const wanted = chunks.reduce((sum, { length }) => sum + length, 0);
  const { bytesWritten } = await handle.writev(chunks);
  if (bytesWritten === wanted) return;
  const rest = Buffer.concat(chunks).subarray(bytesWritten);
  for (let offset = 0; offset < rest.length; ) offset += (await handle.write(rest, offset)).bytesWritten;
}
