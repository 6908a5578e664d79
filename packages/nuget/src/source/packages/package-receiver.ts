import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Readable } from 'node:stream';
import { type BodyConsumer, consumeBody } from '@granary/http';
import type { Logger } from '@granary/telemetry';
import { isNuGetError, SourceError } from '../../errors.js';
import type { HttpCache } from '../../http-cache/http-cache.js';
import { createTemporary, type TemporaryFile } from '../../http-cache/temporary-files.js';
import type { PackageIdentity } from '../../package-identity.js';
import type { Nuspec } from '../../packages/nuspec.js';
import type { RandomAccessInput } from '../../packages/random-access.js';
import { verifyPackage } from '../../packages/verify-package.js';
import { shownUrl } from '../../protocol/endpoint-url.js';
import type { PackageStream } from '../../protocol/feed.js';
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
      if (isMarkup(begin[0])) throw this.#noPackage(arriving.url);
      return arriving.isOver && arriving.size <= WRITE_BYTES
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
      let file = inCache ?? (await createUnnamed());
      temporary = file;
      let written = 0;
      for (let group = begin; group.length > 0; group = await arriving.next()) {
        try {
          await file.append(group);
        } catch (error) {
          if (file !== inCache) throw error;
          file = await this.#leaveCache(inCache, written, error);
          temporary = file;
          await file.append(group);
        }
        for (const { length } of group) written += length;
      }
      const { size } = arriving;
      const sha512 = arriving.sha512();
      const nuspec = await this.#verify(file.asInput(size), identity, sha512, url, options);
      const notes = { validators: { url, sha512 }, modifiedAt, size };
      const isInCache = file === inCache && disk !== undefined;
      const path = isInCache ? await this.#keep(disk, key, () => disk.keep(file, sourceUrl, key, notes)) : undefined;
      if (path === undefined) await rm(file.path, { force: true });
      return this.#opened(identity, file.handle, { size, path, sha512, nuspec });
    } catch (error) {
      await temporary?.handle.close();
      if (temporary !== undefined) await rm(temporary.path, { force: true });
      throw error;
    }
  }

  /** What is wrong with such a thing as an archive is nothing to tell those who are to sign in. */
  #noPackage(url: string): SourceError {
    const message = `${shownUrl(url)} answered with a web page or other markup instead of a package`;
    return new SourceError('INVALID_PACKAGE', this.#options.source, message);
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

  /** The bytes that have come, in a file elsewhere: a disk that is full is no reason to fail. */
  async #leaveCache(full: TemporaryFile, size: number, cause: unknown): Promise<TemporaryFile> {
    const { source, logger } = this.#options;
    logger.warning('A package of {Source} is not cached: the cache cannot be written to', source, cause);
    const file = await createUnnamed();
    try {
      for (let position = 0; position < size; ) {
        const chunk = Buffer.allocUnsafe(Math.min(WRITE_BYTES, size - position));
        const { bytesRead } = await full.handle.read(chunk, 0, chunk.length, position);
        if (bytesRead === 0) throw cause;
        await file.append([chunk.subarray(0, bytesRead)]);
        position += bytesRead;
      }
    } catch (error) {
      await file.handle.close();
      await rm(file.path, { force: true });
      throw error;
    }
    await full.handle.close();
    await rm(full.path, { force: true });
    return file;
  }

  async #verify(
    input: RandomAccessInput,
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

function isMarkup(begin: Buffer | undefined): boolean {
  return /^(?:\xef\xbb\xbf)?\s*</.test(begin?.toString('latin1', 0, 64) ?? '');
}

/** What comes of a package, in groups of chunks: counted, hashed and not too long. */
class ArrivingBytes implements BodyConsumer {
  readonly url: string;
  /** Bytes that have come. */
  size = 0;
  /** Whether all of it has come: as many bytes as the source said, if it did. */
  isOver = false;
  readonly #body: Readable;
  readonly #length: number | undefined;
  readonly #source: string;
  readonly #maxBytes: number;
  readonly #hash = createHash('sha512');
  #group: Buffer[] = [];
  /** How many bytes have to come before somebody wants them. */
  #enough = WRITE_BYTES;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor({ body, length, url }: PackageStream, { source, maxPackageBytes }: PackageReceiverOptions) {
    this.url = url;
    this.#body = body;
    this.#length = length;
    this.#source = source;
    this.#maxBytes = maxPackageBytes;
    if ((length ?? 0) > maxPackageBytes) this.#failure = { error: this.#tooLong() };
    consumeBody(body, this);
  }

  onChunk(chunk: Buffer): void {
    if (this.#failure !== undefined) return;
    this.size += chunk.length;
    if (this.size > this.#maxBytes) {
      this.#fail(this.#tooLong());
      return;
    }
    this.#hash.update(chunk);
    this.#group.push(chunk);
    if (this.size < this.#enough) return;
    this.#body.pause();
    this.#wake?.();
  }

  onEnd(): void {
    this.isOver = true;
    if (this.#length !== undefined && this.#length !== this.size) {
      const what = `${shownUrl(this.url)} ended after ${this.size} of ${this.#length} bytes`;
      this.#fail(new SourceError('SOURCE_UNAVAILABLE', this.#source, what));
    }
    this.#wake?.();
  }

  onError(error: Error): void {
    this.#fail(failureOf(this.#source, this.url, error));
  }

  /** The chunks that come next, at least {@link WRITE_BYTES} until it is over; then none. */
  async next(): Promise<Buffer[]> {
    if (this.#failure === undefined && !this.isOver && this.size < this.#enough) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    const group = this.#group;
    this.#group = [];
    this.#enough = this.size + WRITE_BYTES;
    if (!this.isOver) this.#body.resume();
    return group;
  }

  /** Of all of it, in base64. To be asked once. */
  sha512(): string {
    return this.#hash.digest('base64');
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake?.();
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
